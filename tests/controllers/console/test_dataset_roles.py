"""Who may use which route of datasets and tags, and which dataset, on the console and with a dataset key."""

import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from api.principal import Role
from api.runtime import Runtime
from tests.conftest import ONCE
from tests.factories import Owner, make_app, make_key, make_member, make_owner
from tests.knowledge import make_dataset, make_dataset_key, put_to_sleep

CONSOLE, PUBLIC = "/console/api", "/v1"
UNKNOWN_ID = "c0ffee00-0000-4000-8000-000000000000"
BAD_IDS = ("1", "not-a-uuid", "x" * 5000, "c0ffee0000004000800000000000000", "%00")
MODULES = ("datasets", "dataset_reports", "tags", "metadata", "external_knowledge")
BODY: dict[str, object] = {
    "name": "Changed",
    "type": "string",
    "content": "x",
    "text": "x",
    "query": "x",
    "operation_data": [],
    "document_ids": [UNKNOWN_ID],
    "doc_type": "book",
    "doc_metadata": {},
    "upload_file_id": UNKNOWN_ID,
    "knowledge_id": UNKNOWN_ID,
    "retrieval_setting": {},
    "chunks": [{"content": "x"}],
    "segments": [{"content": "x"}],
    "segment": {"content": "x"},
    "indexing_technique": "economy",
    "process_rule": {"mode": "automatic"},
    "data_source": {
        "info_list": {
            "data_source_type": "upload_file",
            "file_info_list": {"file_ids": [UNKNOWN_ID]},
        }
    },
}
"""Gets past the parser of every route of a dataset that takes JSON; unknown keys are ignored."""

LOOK = (
    "GET /datasets",
    "GET /datasets/<>",
    "GET /datasets/<>/use-check",
    "GET /datasets/<>/permission-part-users",
    "GET /datasets/<>/related-apps",
    "GET /datasets/<>/auto-disable-logs",
    "GET /datasets/<>/queries",
    "GET /datasets/<>/indexing-status",
    "GET /datasets/<>/error-docs",
    "GET /datasets/<>/metadata",
    "POST /datasets/<>/external-hit-testing",
    "GET /datasets/api-base-info",
    "GET /datasets/retrieval-setting",
    "GET /datasets/retrieval-setting/<>",
    "GET /datasets/metadata/built-in",
    "GET /datasets/external-knowledge-api",
    "GET /datasets/external-knowledge-api/<>",
    "GET /datasets/external-knowledge-api/<>/use-check",
    "GET /tags",
    "POST /test/retrieval",
)
EDIT = (
    "POST /datasets",
    "PATCH /datasets/<>",
    "DELETE /datasets/<>",
    "POST /datasets/<>/api-keys/enable",
    "POST /datasets/<>/api-keys/disable",
    "POST /datasets/<>/metadata",
    "PATCH /datasets/<>/metadata/<>",
    "DELETE /datasets/<>/metadata/<>",
    "POST /datasets/<>/metadata/built-in/enable",
    "POST /datasets/<>/metadata/built-in/disable",
    "POST /datasets/<>/documents/metadata",
    "POST /datasets/external",
    "POST /datasets/external-knowledge-api",
    "PATCH /datasets/external-knowledge-api/<>",
    "DELETE /datasets/external-knowledge-api/<>",
    "POST /tags",
    "PATCH /tags/<>",
    "DELETE /tags/<>",
    "POST /tag-bindings/create",
    "POST /tag-bindings/remove",
)
ADMIN = (
    "GET /datasets/api-keys",
    "POST /datasets/api-keys",
    "DELETE /datasets/api-keys/<>",
)
ALL = (*LOOK, *EDIT, *ADMIN)
MEMBERS = (Role.NORMAL, Role.EDITOR, Role.DATASET_OPERATOR, Role.ADMIN, Role.OWNER)


@dataclass(frozen=True)
class Road:
    """A way to a dataset: a method, and a path whose first id is that of the dataset."""

    mount: str
    method: str
    path: str

    def go(self, client: FlaskClient, headers: dict[str, str], dataset_id: str) -> TestResponse:
        """Send the request, complete but for rows that do not exist."""
        url = self.mount + self.path.replace("<>", dataset_id, 1).replace("<>", UNKNOWN_ID)
        query = {"document_id": UNKNOWN_ID, "segment_id": UNKNOWN_ID}
        if self.path.endswith(("by-file", "by_file")):
            form = {
                "file": (io.BytesIO(b"x"), "x.txt"),
                "data": json.dumps({"indexing_technique": "economy"}),
            }
            return client.open(url, method=self.method, data=form, headers=headers)
        return client.open(url, method=self.method, query_string=query, json=self.body, headers=headers)

    @property
    def body(self) -> dict[str, object]:
        """What gets past the parser."""
        return BODY if self.path.startswith("/datasets/<>") else {**BODY, "type": "knowledge"}


def roads(app: Flask, mount: str) -> Iterator[Road]:
    """Give every way to a dataset that a mount has, whoever wrote its door."""
    for rule in app.url_map.iter_rules():
        action = "pause" if "/processing/" in rule.rule else "enable"
        path = re.sub("<[^>]+>", "<>", rule.rule.replace("<string:action>", action))
        if path.startswith(f"{mount}/datasets/<>"):
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
                yield Road(mount, method, path.removeprefix(mount))


def call(
    client: FlaskClient, name: str, headers: dict[str, str], dataset_id: str = UNKNOWN_ID
) -> TestResponse:
    method, path = name.split(" ")
    return Road(CONSOLE, method, path).go(client, headers, dataset_id)


@ONCE
def test_every_route_lets_in_whom_it_should(client: FlaskClient, owner: Owner, runtime: Runtime) -> None:
    allowed = {LOOK: set(MEMBERS), EDIT: set(MEMBERS) - {Role.NORMAL}, ADMIN: {Role.ADMIN, Role.OWNER}}
    members = {role: make_member(runtime, owner, role) for role in MEMBERS}

    for names, wanted in allowed.items():
        for name in names:
            refused = set()
            for role, member in members.items():
                dataset_id = make_dataset(runtime, owner, created_by=member.account_id)
                answer = call(client, name, member.headers, dataset_id)
                assert answer.status_code != 401, (role, name)
                if answer.status_code == 403:
                    assert answer.get_json()["code"] == "access_denied", (role, name)
                    refused.add(role)
            assert refused == set(MEMBERS) - wanted, name


@ONCE
def test_every_route_wants_a_console_session(client: FlaskClient, owner: Owner, runtime: Runtime) -> None:
    keys = make_key(runtime, owner, make_app(runtime, owner)), make_dataset_key(runtime, owner)
    senders: tuple[dict[str, str], ...] = (
        {},
        {"Authorization": "Bearer garbage"},
        {"Authorization": f"Bearer {keys[0]}"},
        keys[1],
    )

    for name in ALL:
        answers = [call(client, name, headers) for headers in senders]
        assert {answer.status_code for answer in answers} == {401}, name


def test_table_names_every_route_of_these_doors(house: Flask) -> None:
    served = set()
    for rule in house.url_map.iter_rules():
        view = getattr(house.view_functions[rule.endpoint], "view_class", None)
        if view is None or view.__module__ not in {f"api.controllers.console.{each}" for each in MODULES}:
            continue
        path = re.sub("<[^>]+>", "<>", rule.rule)
        served |= {
            f"{method} {path.removeprefix(CONSOLE)}"
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        }

    assert served == set(ALL)


@pytest.fixture
def asleep(house: Flask) -> Iterator[None]:
    """Let no job run, so that rows stay as they are."""
    awake = put_to_sleep(house)
    yield
    house.extensions["runtime"] = awake


@pytest.mark.usefixtures("asleep")
@pytest.mark.parametrize("mount", [CONSOLE, PUBLIC])
def test_dataset_of_another_workspace_looks_like_none_on_every_road(
    house: Flask, client: FlaskClient, owner: Owner, runtime: Runtime, mount: str
) -> None:
    stranger = make_owner(runtime)
    headers = stranger.headers if mount == CONSOLE else make_dataset_key(runtime, stranger)
    dataset_id = make_dataset(runtime, owner)
    before = client.get(f"{CONSOLE}/datasets/{dataset_id}", headers=owner.headers).data
    found = list(roads(house, mount))

    for road in found:
        foreign, missing = road.go(client, headers, dataset_id), road.go(client, headers, UNKNOWN_ID)
        assert (foreign.status_code, foreign.data) == (404, missing.data), (road, foreign.data)

    assert len(found) >= 30
    assert client.get(f"{CONSOLE}/datasets/{dataset_id}", headers=owner.headers).data == before


@pytest.mark.usefixtures("asleep")
def test_dataset_its_maker_keeps_is_closed_to_others_on_every_road(
    house: Flask, client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    other = make_member(runtime, owner, Role.ADMIN)
    dataset_id = make_dataset(runtime, owner, permission="only_me")
    senders = {CONSOLE: other.headers, PUBLIC: make_dataset_key(runtime, other)}

    for mount, headers in senders.items():
        for road in roads(house, mount):
            answer = road.go(client, headers, dataset_id)
            assert answer.status_code == 403, (road, answer.data)


@pytest.mark.usefixtures("asleep")
def test_dataset_closed_to_keys_is_closed_on_every_road(
    house: Flask, client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    headers = make_dataset_key(runtime, owner)
    dataset_id = make_dataset(runtime, owner, enable_api=False)

    for road in roads(house, PUBLIC):
        answer = road.go(client, headers, dataset_id)
        assert answer.status_code == 403, (road, answer.data)


@pytest.mark.usefixtures("asleep")
@pytest.mark.parametrize("mount", [CONSOLE, PUBLIC])
def test_normal_member_changes_a_dataset_on_no_road(
    house: Flask, client: FlaskClient, owner: Owner, runtime: Runtime, mount: str
) -> None:
    normal = make_member(runtime, owner, Role.NORMAL)
    headers = normal.headers if mount == CONSOLE else make_dataset_key(runtime, normal)
    dataset_id = make_dataset(runtime, owner)
    readings = ("/retrieve", "/hit-testing", "/external-hit-testing", "/download-zip")
    changes = [
        road for road in roads(house, mount) if road.method != "GET" and not road.path.endswith(readings)
    ]

    for road in changes:
        answer = road.go(client, headers, dataset_id)
        assert answer.status_code == 403, (road, answer.data)

    assert len(changes) >= 15


@pytest.mark.parametrize("mount", [CONSOLE, PUBLIC])
def test_dataset_with_a_bad_id_is_not_found_on_any_road(
    house: Flask, client: FlaskClient, owner: Owner, runtime: Runtime, mount: str
) -> None:
    headers = owner.headers if mount == CONSOLE else make_dataset_key(runtime, owner)

    for road in roads(house, mount):
        for bad in BAD_IDS:
            answer = road.go(client, headers, bad)
            assert answer.status_code == 404, (road, bad, answer.data)
