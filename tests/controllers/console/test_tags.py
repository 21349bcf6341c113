"""Tags of apps and datasets, over HTTP."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from api.principal import Role
from api.runtime import Runtime
from tests.conftest import BOTH
from tests.controllers.console.test_datasets import listed, made
from tests.factories import Owner, make_app, make_dataset_key, make_member, make_owner

pytestmark = BOTH

TAGS = "/console/api/tags"
BINDINGS = "/console/api/tag-bindings"


def make_tag(client: FlaskClient, caller: Owner, name: str = "ice", kind: str = "knowledge") -> Any:
    return client.post(TAGS, json={"name": name, "type": kind}, headers=caller.headers)


def bind(client: FlaskClient, caller: Owner, target_id: str, *tag_ids: str, kind: str = "knowledge") -> Any:
    body = {"tag_ids": tag_ids, "target_id": target_id, "type": kind}
    return client.post(f"{BINDINGS}/create", json=body, headers=caller.headers)


def test_tags_sort_datasets(client: FlaskClient, owner: Owner) -> None:
    ice, sea = (make_tag(client, owner, name).get_json() for name in ("ice", "sea"))
    both, one = made(client, owner, name="both"), made(client, owner, name="one")
    for _ in range(2):
        assert bind(client, owner, both["id"], ice["id"], sea["id"]).get_json() == {"result": "success"}
    bind(client, owner, one["id"], ice["id"])

    assert listed(client, owner, tag_ids=[ice["id"], sea["id"]]) == ["both"]
    assert listed(client, owner, tag_ids=ice["id"]) == ["one", "both"]
    shown = client.get(f"/console/api/datasets/{both['id']}", headers=owner.headers).get_json()
    assert [tag["name"] for tag in shown["tags"]] == ["ice", "sea"]
    tags = client.get(TAGS, query_string={"type": "knowledge"}, headers=owner.headers).get_json()
    assert [(tag["name"], tag["binding_count"]) for tag in tags] == [("sea", "1"), ("ice", "2")]

    body = {"tag_id": ice["id"], "target_id": one["id"], "type": "knowledge"}
    assert client.post(f"{BINDINGS}/remove", json=body, headers=owner.headers).status_code == 200
    assert listed(client, owner, tag_ids=ice["id"]) == ["both"]
    assert client.delete(f"{TAGS}/{ice['id']}", headers=owner.headers).status_code == 204
    assert listed(client, owner, tag_ids=ice["id"]) == []


def test_tag_is_renamed_and_found(client: FlaskClient, owner: Owner, runtime: Runtime) -> None:
    tag = make_tag(client, owner, kind="app").get_json()
    bind(client, owner, make_app(runtime, owner), tag["id"], kind="app")

    renamed = client.patch(f"{TAGS}/{tag['id']}", json={"name": "snow"}, headers=owner.headers).get_json()

    assert renamed == {"id": tag["id"], "name": "snow", "type": "app", "binding_count": "1"}
    for query, names in (({"keyword": "SNO"}, ["snow"]), ({"keyword": "x"}, []), ({"type": "knowledge"}, [])):
        found = client.get(TAGS, query_string=query, headers=owner.headers).get_json()
        assert [each["name"] for each in found] == names


def test_name_can_be_had_once_a_type_however_many_ask(house: Flask, owner: Owner) -> None:
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: make_tag(house.test_client(), owner), range(4)))

    assert Counter(answer.status_code for answer in answers) == {200: 1, 400: 3}
    refused = next(answer for answer in answers if answer.status_code == 400)
    assert refused.get_json()["details"] == {"field": "name", "type": "duplicate"}
    assert make_tag(house.test_client(), owner, kind="app").status_code == 200


@pytest.mark.parametrize(
    ("body", "field", "fault"),
    [
        ({"name": "", "type": "app"}, "name", "too_short"),
        ({"name": "x" * 51, "type": "app"}, "name", "too_long"),
        ({"name": "x", "type": "other"}, "type", "invalid_choice"),
        ({"name": "x"}, "type", "required"),
    ],
)
def test_create_refuses_a_bad_value_and_names_it(
    client: FlaskClient, owner: Owner, body: dict[str, object], field: str, fault: str
) -> None:
    answer = client.post(TAGS, json=body, headers=owner.headers)

    assert (answer.status_code, answer.get_json()["details"]) == (400, {"field": field, "type": fault})


def test_tags_are_changed_by_editors_and_stay_in_their_workspace(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    normal, stranger = make_member(runtime, owner, Role.NORMAL), make_owner(runtime)
    tag, dataset = make_tag(client, owner).get_json(), made(client, owner)
    url = f"{TAGS}/{tag['id']}"

    assert make_tag(client, normal, "new").status_code == 403
    assert client.patch(url, json={"name": "x"}, headers=stranger.headers).status_code == 404
    assert client.delete(url, headers=stranger.headers).status_code == 404
    assert bind(client, stranger, dataset["id"], tag["id"]).status_code == 404
    assert bind(client, stranger, made(client, stranger)["id"], tag["id"]).status_code == 404
    assert client.get(TAGS, headers=stranger.headers).get_json() == []
    assert len(client.get(TAGS, headers=normal.headers).get_json()) == 1


def test_public_api_tags_datasets(client: FlaskClient, owner: Owner, runtime: Runtime) -> None:
    headers = {"Authorization": f"Bearer {make_dataset_key(runtime, owner)}"}
    dataset = made(client, owner)
    tag = client.post("/v1/datasets/tags", json={"name": "ice"}, headers=headers).get_json()
    target = {"tag_ids": [tag["id"]], "target_id": dataset["id"]}

    bound = client.post("/v1/datasets/tags/binding", json=target, headers=headers)
    of_dataset = client.get(f"/v1/datasets/{dataset['id']}/tags", headers=headers).get_json()
    unbound = client.post("/v1/datasets/tags/unbinding", json=target, headers=headers)
    named_none = client.post("/v1/datasets/tags/binding", json={"target_id": dataset["id"]}, headers=headers)

    assert (bound.status_code, unbound.status_code) == (204, 204)
    assert of_dataset == {"data": [{"id": tag["id"], "name": "ice"}], "total": 1}
    assert named_none.get_json()["details"] == {"field": "tag_ids", "type": "required"}
    assert client.get(f"/v1/datasets/{dataset['id']}/tags", headers=headers).get_json()["data"] == []

    foreign = make_tag(client, owner, "of apps", "app").get_json()
    named = {"tag_id": foreign["id"], "name": "taken"}
    renamed = client.patch("/v1/datasets/tags", json=named, headers=headers)
    deleted = client.delete("/v1/datasets/tags", json=named, headers=headers)
    assert (renamed.status_code, deleted.status_code) == (404, 404)


def test_tags_sort_apps(client: FlaskClient, owner: Owner, runtime: Runtime) -> None:
    ice, sea = (make_tag(client, owner, name, "app").get_json() for name in ("ice", "sea"))
    both, one, _ = (make_app(runtime, owner, name=name) for name in ("both", "one", "none"))
    bind(client, owner, both, sea["id"], ice["id"], kind="app")
    bind(client, owner, one, ice["id"], kind="app")

    def listed_apps(**query: object) -> list[str]:
        found = client.get("/console/api/apps", query_string=query, headers=owner.headers).get_json()
        assert found["total"] == len(found["data"])
        return [app["name"] for app in found["data"]]

    assert listed_apps(tag_ids=ice["id"]) == ["one", "both"]
    assert listed_apps(tag_ids=[ice["id"], sea["id"]]) == ["both"]
    assert listed_apps(tag_ids=f"{sea['id']},{ice['id'].upper()}") == ["both"]
    assert listed_apps(tag_ids="nonsense") == []
    assert listed_apps() == ["none", "one", "both"]
    shown = client.get(f"/console/api/apps/{both}", headers=owner.headers).get_json()
    assert shown["tags"] == [{"id": tag["id"], "name": tag["name"], "type": "app"} for tag in (ice, sea)]


def test_deleted_things_leave_no_tags(client: FlaskClient, owner: Owner, runtime: Runtime) -> None:
    targets = {"app": make_app(runtime, owner), "knowledge": made(client, owner)["id"]}
    for kind, target in targets.items():
        tag = make_tag(client, owner, "ice", kind).get_json()
        bind(client, owner, target, tag["id"], kind=kind)

    client.delete(f"/console/api/apps/{targets['app']}", headers=owner.headers)
    client.delete(f"/console/api/datasets/{targets['knowledge']}", headers=owner.headers)

    counts = [tag["binding_count"] for tag in client.get(TAGS, headers=owner.headers).get_json()]
    assert counts == ["0", "0"]
