"""Counts SQL statements at the driver: the program in this process, called through its test client.

Prints one JSON object: a name for each thing counted, and its statements. The
in-process worker is not started, so that nothing but the request is counted.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import Engine

from api.app_factory import create_app
from api.backends.database import count_statements
from api.backends.migrations import install_migrations, upgrade
from api.runtime import Runtime
from api.settings import Settings
from tests.bench.calls import Answer, Call
from tests.bench.workspace import SLOW_MODEL, USER, Workspace, question, set_up

MESSAGES = 21
BEGINNING = b'"event":"message"'
ENDING = b'"event":"message_end"'
SETTLE_S = 0.2


def count_all(flask: Flask, upstream_url: str) -> dict[str, list[str]]:
    """Return the statements of everything that has a target, each in a process that is warm."""
    workspace = set_up(client_call(flask), upstream_url, model=SLOW_MODEL, messages=MESSAGES)
    _count_message(flask, workspace, question(0, mode="streaming"))
    found: dict[str, list[str]] = {}
    asked = {
        "new": question(0, mode="streaming"),
        "titled": question(0, mode="streaming", wants_title=True),
        "continued": question(0, mode="streaming", conversation_id=workspace.conversation_id),
        "stranger": {**question(0, mode="streaming"), "user": "never seen before"},
    }
    for name, body in asked.items():
        found[f"{name}_before"], found[f"{name}_after"] = _count_message(flask, workspace, body)
    token = workspace.console_token
    found["apps"] = _count_get(flask, "/console/api/apps?page=1&limit=30", token)
    path = f"/v1/messages?conversation_id={workspace.conversation_id}&user={USER}&limit=20"
    found["history"] = _count_get(flask, path, workspace.keys[SLOW_MODEL])
    return found


def _count_message(
    flask: Flask, workspace: Workspace, body: Mapping[str, object]
) -> tuple[list[str], list[str]]:
    """Stream one message; return the statements before its first event, and those after its last delta."""
    headers = {"Authorization": f"Bearer {workspace.keys[SLOW_MODEL]}"}
    with count_statements(_engine(flask)) as statements:
        response = flask.test_client().post("/v1/chat-messages", json=body, headers=headers)
        before: int | None = None
        seen = b""
        for piece in response.iter_encoded():
            seen += piece
            if before is None and BEGINNING in seen:
                before = len(statements)
        time.sleep(SETTLE_S)  # the run's thread may have something left to do after its last event
    assert response.status_code == 200, seen
    assert before is not None, seen
    assert ENDING in seen, seen
    return statements[:before], statements[before:]


def _count_get(flask: Flask, path: str, token: str) -> list[str]:
    with count_statements(_engine(flask)) as statements:
        answer = flask.test_client().get(path, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200, answer.get_data()
    return list(statements)


def _engine(flask: Flask) -> Engine:
    runtime: Runtime = flask.extensions["runtime"]
    engine = runtime.session_factory.kw["bind"]
    assert isinstance(engine, Engine)
    return engine


@contextmanager
def program(data_dir: Path, database_url: str, **values: Any) -> Iterator[Flask]:
    """Give the program on an empty database; ``values`` are settings besides."""
    settings = Settings(
        _env_file=None,
        data_dir=data_dir,
        database_url=database_url,
        rate_limits="off",
        log_level="ERROR",
        **values,
    )
    flask = create_app(settings)
    install_migrations(flask)
    with flask.app_context():
        upgrade()
    yield flask
    _engine(flask).dispose()


def client_call(flask: Flask) -> Call:
    """Return a Call that goes to the program's test client."""

    def call(method: str, path: str, headers: Mapping[str, str], body: object) -> tuple[int, Answer]:
        answer = flask.test_client().open(path, method=method, headers=headers, json=body)
        return answer.status_code, answer.get_json()

    return call


def main() -> None:
    """Count on the database named by the arguments, and print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--upstream", required=True)
    arguments.add_argument("--data-dir", type=Path, required=True)
    arguments.add_argument("--database-url", default="")
    arguments.add_argument("--redis-url", default="")
    given = arguments.parse_args()
    with program(given.data_dir, given.database_url, redis_url=given.redis_url) as flask:
        found = count_all(flask, given.upstream)
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
