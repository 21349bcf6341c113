"""Plans over HTTP: what they limit, what is told of them, and what the operator does on the command line."""

import contextlib
import json
import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from api.controllers.schemas.feature import FEATURES
from api.models.account import Account
from api.models.base import utc_now
from api.models.document import Document, StoredEmbedding
from api.principal import Role
from api.runtime import Runtime
from api.services import accounts, remembered, trigger_runs
from api.services.plans import PLANS
from api.services.workspace_control import resume, set_plan, suspend
from tests.commands import begin
from tests.conftest import BOTH, SECRET, make_house, make_settings, stop_house
from tests.controllers.console.test_members import code_of, invite, new_email
from tests.controllers.test_triggers import Triggered, clock, hook
from tests.factories import PASSWORD, ChatApp, Owner, make_app, make_member
from tests.knowledge import add_document, make_dataset, put_to_sleep, send_file, set_document

CONSOLE = "/console/api"


def on_plan(runtime: Runtime, owner: Owner, plan: str) -> None:
    with runtime.transaction() as session:
        set_plan(session, owner.tenant_id, plan)


def test_table_of_plans_is_the_seeds() -> None:
    assert [PLANS[name].calls for name in ("sandbox", "professional", "team", "enterprise")] == [
        (60, 1_000, 10_000),
        (300, 10_000, 100_000),
        (600, 30_000, 300_000),
        None,
    ]
    assert set(PLANS["enterprise"].quotas.values()) == {0}


def test_plan_without_limits_tells_what_there_is(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    make_member(runtime, owner, Role.NORMAL)
    make_app(runtime, owner)

    answer = client.get(f"{CONSOLE}/features", headers=owner.headers).get_json()

    assert set(answer) == set(FEATURES)
    assert answer["billing"] == {"enabled": False, "subscription": {"plan": "enterprise", "interval": ""}}
    assert (answer["members"], answer["apps"]) == ({"size": 2, "limit": 0}, {"size": 1, "limit": 0})
    assert answer["documents_upload_quota"] == answer["vector_space"] == {"size": 0, "limit": 0}


def test_plan_limits_members_and_counts_those_invited(
    bare: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    on_plan(runtime, owner, "professional")
    emails = [new_email(owner, name) for name in ("a", "b", "c")]

    assert code_of(invite(bare, owner, *emails)) == (403, "access_denied")
    assert invite(bare, owner, *emails[:2]).status_code == 201
    assert invite(bare, owner, *emails[:2]).status_code == 201  # again, in their own places
    assert code_of(invite(bare, owner, emails[2])) == (403, "access_denied")

    answer = bare.get(f"{CONSOLE}/features", headers=owner.headers).get_json()
    assert (answer["members"], answer["workspace_members"]) == (
        {"size": 3, "limit": 3},
        {"enabled": False, "size": 3, "limit": 3},
    )


@BOTH
def test_plan_limits_apps_however_many_are_made_at_once(house: Flask, runtime: Runtime, owner: Owner) -> None:
    on_plan(runtime, owner, "sandbox")
    for _ in range(4):
        make_app(runtime, owner)

    def make(number: int) -> tuple[int, bytes]:
        body = {"name": f"At once {number}", "mode": "workflow"}
        answer = house.test_client().post(f"{CONSOLE}/apps", json=body, headers=owner.headers)
        return answer.status_code, answer.data

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(make, range(4)))

    assert sorted(status for status, _ in answers) == [201, 403, 403, 403]
    assert all(b"access_denied" in body for status, body in answers if status == 403)


def test_plan_limits_documents_and_vectors(
    house: Flask, client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    awake = put_to_sleep(house)
    words, meaning = (
        make_dataset(runtime, owner, indexing_technique=technique, doc_form="text_model")
        for technique in ("economy", "high_quality")
    )
    first = add_document(client, owner, words)["id"]
    on_plan(runtime, owner, "sandbox")

    def add(dataset_id: str, technique: str) -> int:
        path = f"{CONSOLE}/datasets/{dataset_id}/document/create_by_file"
        return send_file(client, path, owner.headers, indexing_technique=technique).status_code

    def switch(dataset_id: str) -> int:
        path = f"{CONSOLE}/datasets/{dataset_id}"
        sent = {"indexing_technique": "high_quality"}
        return client.patch(path, json=sent, headers=owner.headers).status_code

    assert add(words, "economy") == 200
    set_document(runtime, first, dataset_id=meaning, total_segments=50 * 1024 // 6 + 1)
    told = client.get(f"{CONSOLE}/features", headers=owner.headers).get_json()
    assert (told["documents_upload_quota"], told["vector_space"]) == (
        {"size": 2, "limit": 50},
        {"size": 50, "limit": 50},
    )
    assert add(meaning, "high_quality") == 403
    more = add_document(client, owner, words)["id"]
    set_document(runtime, more, total_segments=1)
    assert switch(words) == 403
    set_document(runtime, more, total_segments=0)
    assert switch(words) == 200
    with runtime.transaction() as session:
        session.add_all(_copies(session.get_one(Document, first), 47))
    assert add(words, "economy") == 403
    house.extensions["runtime"] = awake


def _copies(document: Document, count: int) -> list[Document]:
    keys = ("tenant_id", "dataset_id", "position", "data_source_type", "source", "batch", "name")
    same = {key: getattr(document, key) for key in keys}
    return [Document(**same, created_from="web") for _ in range(count)]


def test_plan_tells_the_calls_of_the_day(client: FlaskClient, runtime: Runtime, chat_app: ChatApp) -> None:
    on_plan(runtime, chat_app.owner, "sandbox")
    for _ in range(3):
        client.get("/api/info", headers=chat_app.headers)

    told = client.get(f"{CONSOLE}/features", headers=chat_app.owner.headers).get_json()["api_rate_limit"]

    assert (told["usage"], told["limit"]) == (3, 10_000)
    assert told["reset_date"] > utc_now().timestamp()


def test_suspended_workspace_is_closed_to_all_until_it_is_resumed(
    client: FlaskClient, runtime: Runtime, chat_app: ChatApp
) -> None:
    owner = chat_app.owner
    hooked, timed = Triggered(client, runtime, owner, hook()), Triggered(client, runtime, owner, clock())
    hooked.publish()
    timed.publish()
    timed.due(seconds=5)
    address = hooked.address()

    def statuses() -> list[int]:
        return [
            client.get(f"{CONSOLE}/workspaces/current", headers=owner.headers).status_code,
            client.get("/api/info", headers=chat_app.headers).status_code,
            client.post(address, json={"text": "hi"}).status_code,
        ]

    with runtime.transaction() as session:
        suspend(session, owner.tenant_id)
    remembered.forget(runtime)

    assert statuses() == [401, 403, 404]
    trigger_runs.fire_due(runtime)
    assert timed.rows() == []
    with runtime.transaction() as session:
        resume(session, owner.tenant_id)
    remembered.forget(runtime)
    assert statuses() == [200, 200, 202]
    assert trigger_runs.fire_due(runtime) >= 1


# -- the command line ----------------------------------------------------------------------------


@pytest.mark.usefixtures("commands")
def test_operator_makes_limits_and_closes_workspaces(tmp_path: Path) -> None:
    app = make_house(make_settings(tmp_path), has_owner=False)
    runtime: Runtime = app.extensions["runtime"]
    with runtime.transaction() as session:
        account = {"email": "ada@example.com", "name": "Ada", "password": PASSWORD}
        _, tenant = accounts.create_owner(runtime, session, **account)
        session.add(Account(email="bo@example.com", name="Bo"))
        session.add(StoredEmbedding(tenant_id=tenant.id, model="m", hash="h", vector=b"1234"))
    stop_house(app)
    here, nowhere = ("workspace", "list"), "c0ffee00-0000-4000-8000-000000000000"

    told = run(
        tmp_path,
        ("workspace", "create", "Research", "Ada@example.com"),
        ("workspace", "plan", tenant.id, "team"),
        ("workspace", "trial", tenant.id, "2030-01-31"),
        ("workspace", "suspend", tenant.id),
        here,
        ("workspace", "resume", tenant.id),
        ("workspace", "trial", tenant.id),
        here,
        ("workspace", "suspend", nowhere),
        ("workspace", "create", "X", "no@example.com"),
        ("workspace", "plan", tenant.id, "gold"),
        ("reset-password", "no@example.com"),
        ("reset-password", "ada@example.com"),
        ("workspace", "create", " ", "ada@example.com"),
        ("workspace", "create", "x" * 101, "ada@example.com"),
        ("workspace", "owner", tenant.id, "no@example.com"),
        ("workspace", "owner", nowhere, "bo@example.com"),
        ("workspace", "owner", tenant.id, "Bo@example.com"),
        ("workspace", "delete", tenant.id),
        here,
        ("workspace", "suspend", tenant.id),
        ("workspace", "delete", tenant.id),
        here,
        ("purge",),
    )

    second = told[0][1]
    rest = f"{second}  normal  enterprise  -  ada@example.com  Research"
    assert told[4] == (
        0,
        f"{tenant.id}  suspended  team  2030-01-31  ada@example.com  Ada's Workspace\n{rest}",
    )
    assert told[7] == (0, f"{tenant.id}  normal  team  -  ada@example.com  Ada's Workspace\n{rest}")
    assert told[8] == told[16] == (1, f"Error: There is no workspace '{nowhere}'.")
    assert told[9] == told[11] == told[15] == (1, "Error: There is no account 'no@example.com'.")
    assert (told[10][0], "'gold'" in told[10][1]) == (2, True)
    assert (told[12][0], len(told[12][1]) >= 16) == (0, True)
    assert told[13] == told[14] == (1, "Error: A name has 1 to 100 characters.")
    assert told[17] == (0, "")
    assert told[18] == (1, "Error: The workspace is open: suspend it first.")
    assert told[19] == (0, f"{tenant.id}  normal  team  -  bo@example.com  Ada's Workspace\n{rest}")
    assert told[22] == (0, rest)
    assert told[23] == (0, "")
    with contextlib.closing(sqlite3.connect(tmp_path / "slipway.db")) as database:
        counts = [
            database.execute(f"SELECT count(*) FROM {table}").fetchone()
            for table in ("tenants", "stored_embeddings", "jobs")
        ]
    assert counts == [(1,), (0,), (0,)]


@pytest.mark.usefixtures("commands")
def test_operator_makes_the_first_owner_once_and_is_told_of_another_database(tmp_path: Path) -> None:
    told = run(
        tmp_path,
        ("workspace", "list"),
        ("purge",),
        ("migrate",),
        ("create-owner", "nonsense", "--password", PASSWORD),
        ("create-owner", "ada@example.com", "--password", "short"),
        ("create-owner", "ada@example.com", "--password", PASSWORD),
        ("create-owner", "bo@example.com", "--password", PASSWORD),
        ("workspace", "list"),
        ("migrate", "--down-to", "0020"),
        ("reset-password", "ada@example.com"),
    )

    assert told[0] == told[1] == (1, told[0][1])
    assert f"{tmp_path / 'slipway.db'} is empty: are DATABASE_URL and DATA_DIR those of" in told[0][1]
    assert told[3] == (1, "Error: This is not an e-mail address.")
    assert told[4] == (1, "Error: The password must have at least 8 characters.")
    assert told[5] == (0, "")
    assert told[6] == (1, "Error: The installation is already set up.")
    assert told[7][1].endswith("ada@example.com  Owner's Workspace")
    assert (told[9][0], "has an older schema than this program: migrate first" in told[9][1]) == (1, True)


def run(data_dir: Path, *lines: tuple[str, ...]) -> list[tuple[int, str]]:
    """Return how each command line ends and what it prints, one program for all."""
    settings = {"DATA_DIR": str(data_dir), "SECRET_KEY": SECRET.get_secret_value(), "LOG_LEVEL": "ERROR"}
    begun = begin(
        "tests.command_lines:main",
        json.dumps(lines),
        environment={**os.environ, **settings},
        output=data_dir / "said",
    )
    assert begun.wait(60.0) == 0, begun.said()
    return [(code, text.strip()) for code, text in map(json.loads, begun.said().splitlines())]
