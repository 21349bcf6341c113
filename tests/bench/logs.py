"""Measures the log and the statistics of an app with a million messages, and of one with as many runs.

``python -m tests.bench.logs [--database-url URL] [--messages N] [--only TEXT]`` prints
a line for each request, or each whose name has the text: milliseconds (best and median
of ten), milliseconds of this process's CPU (SQLite is in it, PostgreSQL is not) and SQL
statements. A database that was filled before is measured as it is; without one an
SQLite file is made and thrown away. Nothing is asserted.
"""

import argparse
import random
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import func, select, text

from api.backends.database import count_statements
from api.models.account import TenantMember
from api.models.app import App
from api.models.base import Base, utc_now
from api.models.conversation import Conversation, Message
from api.models.inserts import insert_rows
from api.models.log_index import PLACES, LogBlock
from api.models.workflow import pack
from api.principal import Role
from api.runtime import Runtime
from api.services import log_blocks, sessions
from tests.bench.texts import make_passages
from tests.conftest import make_house, make_settings, stop_house
from tests.factories import Owner, make_app, make_owner

ROWS_AT_ONCE = 5_000
PER_CONVERSATION = 5
USERS = 20_000
DAYS = 365
REPEATS = 10
TEXT = "Where is my parcel, and when will it come? The answer takes a few sentences to write down. " * 4
PASSAGES = 20_000
"""So many different answers there are; a tenth of them are Chinese."""
HANZI = "".join(chr(0x4E00 + 7 * number) for number in range(2_000))
TABLES = ("conversations", "messages", "workflow_runs", "end_users", "message_feedbacks")


def fill(runtime: Runtime, owner: Owner, app_id: str, flow_id: str, messages: int) -> str:
    """Write conversations with their messages, and as many runs; return a conversation in the middle."""
    chance = random.Random(1)  # the same data each time
    users = [str(uuid.UUID(int=chance.getrandbits(128))) for _ in range(USERS)]
    middle = ""
    answers = _answers(chance)
    tables = {name: Base.metadata.tables[name] for name in TABLES}
    with runtime.engine.begin() as connection:
        rows = [_user(owner, app_id, user, number) for number, user in enumerate(users)]
        insert_rows(connection, tables["end_users"], rows)
    for first in range(0, messages // PER_CONVERSATION, ROWS_AT_ONCE // PER_CONVERSATION):
        batch = range(first, min(first + ROWS_AT_ONCE // PER_CONVERSATION, messages // PER_CONVERSATION))
        talks, said, judged, runs = [], [], [], []
        for number in batch:
            at = utc_now() - timedelta(days=DAYS) * (1 - number / (messages / PER_CONVERSATION))
            user = chance.choice(users)
            talk = _talk(owner, app_id, user, at, number)
            if number == messages // PER_CONVERSATION // 2:
                middle = str(talk["id"])
            talks.append(talk)
            for turn in range(PER_CONVERSATION):
                place = number * PER_CONVERSATION + turn
                message = _message(talk, at + timedelta(seconds=turn * 20), place, answers)
                if place < messages // 4:
                    message["answer"] += " almanac"
                said.append(message)
                runs.append(_run(owner, flow_id, user, message))
                if turn == 0 and number % 20 == 0:
                    judged.append(_judgement(message))
        with runtime.engine.begin() as connection:
            for name, rows in zip(TABLES, (talks, said, runs, [], judged), strict=True):
                insert_rows(connection, tables[name], rows)
    if runtime.engine.dialect.name == "postgresql":  # as autovacuum would; SQLite has no statistics
        with runtime.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
    return middle


def make_index(runtime: Runtime) -> None:
    """Do the work of the background: make all blocks of the index of logs that are full."""
    blocks, before, began, worked = count_blocks(runtime), -1, time.monotonic(), time.process_time()
    first = blocks
    while blocks > before:
        log_blocks.index_logs(runtime)
        before, blocks = blocks, count_blocks(runtime)
    if blocks > first:
        took, used = time.monotonic() - began, time.process_time() - worked
        say(f"{(blocks - first) * PLACES} rows indexed in {took:.0f} s, {used:.0f} s CPU of this process")


def count_blocks(runtime: Runtime) -> int:
    """Return how many blocks the index has."""
    with runtime.reading() as session:
        return session.scalar(select(func.count()).select_from(LogBlock)) or 0


def requests(app_id: str, flow_id: str, middle: str, messages: int) -> Iterator[tuple[str, str]]:
    """Yield what is asked for, with a name."""
    base, flow = f"/console/api/apps/{app_id}", f"/console/api/apps/{flow_id}/workflow-app-logs"
    last_page = messages // PER_CONVERSATION // 20
    yield "chats, first page", f"{base}/chat-conversations?limit=20"
    yield "chats, 100 of them", f"{base}/chat-conversations?limit=100&sort_by=created_at"
    yield "chats, last page", f"{base}/chat-conversations?limit=20&page={last_page}"
    yield "chats, after one", f"{base}/chat-conversations?limit=20&last_id={middle}"
    yield "chats, a day", f"{base}/chat-conversations?start=2026-06-01 00:00&end=2026-06-01 23:59"
    yield "chats, annotated", f"{base}/chat-conversations?annotation_status=annotated"
    yield "chats, not annotated", f"{base}/chat-conversations?annotation_status=not_annotated"
    yield "chats, a common word", f"{base}/chat-conversations?keyword=parcel"
    yield "chats, a rare word", f"{base}/chat-conversations?keyword=number-{messages - 77}-"
    yield "chats, no such word", f"{base}/chat-conversations?keyword=qzebraq"
    yield "chats, word of one in 20,000", f"{base}/chat-conversations?keyword=zeppelin"
    yield "chats, word of olden times", f"{base}/chat-conversations?keyword=almanac"
    yield "chats, word of none, of pieces of all", f"{base}/chat-conversations?keyword=answere"
    yield "chats, two Chinese characters", f"{base}/chat-conversations?keyword=包裹"
    yield "chats, one Chinese character", f"{base}/chat-conversations?keyword=包"
    yield "chats, two letters", f"{base}/chat-conversations?keyword=zz"
    yield "chats, one letter", f"{base}/chat-conversations?keyword=e"
    yield "chats, page 40 of a common word", f"{base}/chat-conversations?keyword=parcel&page=40"
    yield "chats, a user", f"{base}/chat-conversations?keyword=user-777"
    yield "chats, all users", f"{base}/chat-conversations?keyword=user-"
    yield "chat, one", f"{base}/chat-conversations/{middle}"
    yield "runs, first page", flow
    yield "runs, page 1000", f"{flow}?page=1000"
    yield "runs, failed", f"{flow}?status=failed"
    yield "runs, stopped (none)", f"{flow}?status=stopped"
    yield "runs, of a user", f"{flow}?created_by_end_user_session_id=user-777"
    yield "runs, a common word", f"{flow}?keyword=parcel"
    yield "runs, all users", f"{flow}?keyword=user-"
    yield "runs, no such word", f"{flow}?keyword=qzebraq"
    yield "runs, word of one in 20,000", f"{flow}?keyword=zeppelin"
    yield "runs, word of olden times", f"{flow}?keyword=almanac"
    yield "runs, word of none, of pieces of all", f"{flow}?keyword=answere"
    yield "runs, two Chinese characters", f"{flow}?keyword=包裹"
    week = f"start={utc_now() - timedelta(days=7):%Y-%m-%d} 00:00"
    for name in ("daily-messages", "daily-end-users", "user-satisfaction-rate", "token-costs"):
        yield f"{name}, 7 days", f"{base}/statistics/{name}?{week}"
    yield "daily-end-users, a year", f"{base}/statistics/daily-end-users"
    yield "runs a day, a year", f"/console/api/apps/{flow_id}/workflow/statistics/daily-conversations"


def measure(flask: Flask, owner: Owner, path: str) -> str:
    """Return what a request took; of its statements the fewest: now and then a session is looked up."""
    client, runtime = flask.test_client(), flask.extensions["runtime"]
    times, used, sent = [], [], []
    for _ in range(REPEATS):
        with count_statements(runtime.engine) as statements:
            began, worked = time.perf_counter(), time.process_time()
            answer = client.get(path, headers=owner.headers)
            times.append((time.perf_counter() - began) * 1000)
            used.append((time.process_time() - worked) * 1000)
        assert answer.status_code == 200, answer.text
        sent.append(len(statements))
    return f"{min(times):8.1f} {statistics.median(times):8.1f} ms {min(used):8.1f} ms CPU {min(sent):3d}"


def find(runtime: Runtime) -> tuple[Owner, str, str, str, int] | None:
    """Return what an earlier run filled a database with: owner, both apps, a conversation, its messages."""
    with runtime.transaction() as session:
        apps = {row.mode: row for row in session.scalars(select(App))}
        if set(apps) != {"chat", "workflow"}:
            return None
        member = session.scalars(select(TenantMember)).one()
        issued = sessions.open_session(runtime, session, member.account_id, "127.0.0.1")
        middle = session.scalars(
            select(Conversation.id).order_by(Conversation.created_at).offset(1000).limit(1)
        ).one()
        messages = session.scalars(select(func.count()).select_from(Message)).one()
    owner = Owner(
        account_id=member.account_id,
        tenant_id=member.tenant_id,
        email="",
        role=Role.OWNER,
        token=issued.access_token,
    )
    return owner, apps["chat"].id, apps["workflow"].id, middle, messages


def _user(owner: Owner, app_id: str, user: str, number: int) -> dict[str, Any]:
    return {
        "id": user,
        "tenant_id": owner.tenant_id,
        "app_id": app_id,
        "type": "service_api",
        "session_id": f"user-{number}",
        "is_anonymous": False,
        "created_at": utc_now(),
        "updated_at": utc_now(),
    }


def _talk(owner: Owner, app_id: str, user: str, at: Any, number: int) -> dict[str, Any]:
    return {
        "id": str(uuid.uuid4()),
        "tenant_id": owner.tenant_id,
        "app_id": app_id,
        "mode": "chat",
        "name": f"Talk {number}",
        "inputs": {},
        "introduction": "",
        "status": "normal",
        "invoke_from": "service-api",
        "from_end_user_id": user,
        "is_pinned": False,
        "created_at": at,
        "updated_at": at + timedelta(seconds=20 * PER_CONVERSATION),
    }


def _answers(chance: random.Random) -> list[str]:
    """Return what is answered: passages of some 450 characters, of few words or of many characters."""
    found = list(make_passages(PASSAGES, seed=1))
    for number in range(0, PASSAGES, 10):
        found[number] = "，".join("".join(chance.choices(HANZI, k=12)) for _ in range(15))
    for number, word in ((0, "包裹"), (10, "包裹"), (5, "zeppelin")):
        found[number] += word
    return found


def _message(talk: dict[str, Any], at: Any, number: int, answers: list[str]) -> dict[str, Any]:
    shared = {key: talk[key] for key in ("tenant_id", "app_id", "mode", "invoke_from", "from_end_user_id")}
    return {
        **shared,
        "id": str(uuid.uuid4()),
        "conversation_id": talk["id"],
        "task_id": str(uuid.uuid4()),
        "inputs": {},
        "query": f"Question number-{number}- {TEXT[:120]}",
        "answer": answers[number * 7 % len(answers)],
        "status": "error" if number % 100 == 0 else "normal",
        "message_tokens": 20,
        "answer_tokens": 80,
        "total_price": 0.001,
        "currency": "USD",
        "latency_s": 1.5,
        "created_at": at,
    }


def _run(owner: Owner, flow_id: str, user: str, message: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": str(uuid.uuid4()),
        "tenant_id": owner.tenant_id,
        "app_id": flow_id,
        "workflow_id": flow_id,
        "task_id": message["task_id"],
        "type": "workflow",
        "version": "v1.0.0",
        "triggered_from": "app-run",
        "invoke_from": "service-api",
        "inputs": pack({"text": message["query"]}),
        "system": pack({}),
        "outputs": pack({"text": message["answer"]}),
        "status": "failed" if message["status"] == "error" else "succeeded",
        "elapsed_s": 1.0,
        "total_tokens": 100,
        "total_price": 0,
        "currency": "USD",
        "total_steps": 3,
        "exceptions_count": 0,
        "from_end_user_id": user,
        "searchable": f"{message['query']}\n{message['answer']}",
        "created_at": message["created_at"],
        "finished_at": message["created_at"],
    }


def _judgement(message: dict[str, Any]) -> dict[str, Any]:
    shared = {key: message[key] for key in ("tenant_id", "app_id", "conversation_id", "created_at")}
    return {
        **shared,
        "id": str(uuid.uuid4()),
        "message_id": message["id"],
        "rating": "like",
        "from_source": "user",
        "updated_at": message["created_at"],
    }


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Fill a database and print what requests take."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--database-url", default="")
    asked.add_argument("--messages", type=int, default=1_000_000)
    asked.add_argument("--only", default="")
    options = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = make_settings(Path(folder), database_url=options.database_url, console_rpm=0)
        flask = make_house(settings)
        runtime: Runtime = flask.extensions["runtime"]
        found = find(runtime)
        if found is None:
            owner = make_owner(runtime)
            app_id, flow_id = make_app(runtime, owner), make_app(runtime, owner, mode="workflow")
            began = time.monotonic()
            middle = fill(runtime, owner, app_id, flow_id, options.messages)
            say(f"{options.messages} messages and runs written in {time.monotonic() - began:.0f} s")
            found = (owner, app_id, flow_id, middle, options.messages)
        make_index(runtime)
        for name, path in requests(*found[1:]):
            if options.only in name:
                say(f"{name:32} {measure(flask, found[0], path)}")
        stop_house(flask)


if __name__ == "__main__":
    main()
