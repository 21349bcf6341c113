"""Datasets over the public API, with a dataset key."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from flask.testing import FlaskClient

from api.controllers.schemas.dataset import DATASET_MODEL
from api.core.ports import JSONObject
from api.principal import Role
from api.runtime import Runtime
from api.services import retrieval
from tests.conftest import BOTH, ONCE
from tests.factories import Owner, make_dataset_key, make_key, make_member, make_owner
from tests.services.test_indexing import idle, make_document, work
from tests.statements import count_statements

__all__ = ["idle"]

SHIPS = "The harbour master counts seven ships."


def key_of(runtime: Runtime, member: Owner) -> dict[str, str]:
    return {"Authorization": f"Bearer {make_dataset_key(runtime, member)}"}


@pytest.mark.parametrize("mount", ["/v1", "/api"])
def test_dataset_lives_through_the_public_api(
    client: FlaskClient, owner: Owner, runtime: Runtime, mount: str
) -> None:
    headers = key_of(runtime, owner)

    made = client.post(f"{mount}/datasets", json={"name": "Birds"}, headers=headers)
    url = f"{mount}/datasets/{made.get_json()['id']}"
    again = client.post(f"{mount}/datasets", json={"name": "Birds"}, headers=headers)
    changed = client.patch(url, json={"name": "Ice"}, headers=headers)
    listed = client.get(f"{mount}/datasets", headers=headers)
    shown = client.get(url, headers=headers)
    deleted = client.delete(url, headers=headers)

    assert (made.status_code, set(made.get_json())) == (200, set(DATASET_MODEL))
    assert made.get_json()["created_by"] == owner.account_id
    assert (again.status_code, again.get_json()["code"]) == (409, "dataset_name_duplicate")
    assert (changed.status_code, changed.get_json()["name"]) == (200, "Ice")
    assert listed.get_json()["data"] == [shown.get_json()]
    assert (deleted.status_code, deleted.data) == (204, b"")
    assert client.get(url, headers=headers).status_code == 404


def test_key_has_the_rights_of_its_maker(client: FlaskClient, owner: Owner, runtime: Runtime) -> None:
    other, normal = make_member(runtime, owner, Role.EDITOR), make_member(runtime, owner, Role.NORMAL)
    mine = client.post("/v1/datasets", json={"name": "Mine"}, headers=key_of(runtime, owner)).get_json()

    hidden = client.get(f"/v1/datasets/{mine['id']}", headers=key_of(runtime, other))
    refused = client.post("/v1/datasets", json={"name": "New"}, headers=key_of(runtime, normal))
    foreign = client.get(f"/v1/datasets/{mine['id']}", headers=key_of(runtime, make_owner(runtime)))

    assert (hidden.status_code, refused.status_code, foreign.status_code) == (403, 403, 404)


def test_app_key_opens_no_dataset(client: FlaskClient, owner: Owner, runtime: Runtime) -> None:
    key = make_key(runtime, owner, None, "chat")

    answer = client.get("/v1/datasets", headers={"Authorization": f"Bearer {key}"})

    assert answer.status_code == 401


def test_list_takes_a_larger_limit_as_the_largest(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    headers = key_of(runtime, owner)

    large, none = (client.get(f"/v1/datasets?limit={limit}", headers=headers) for limit in (5000, 0))

    assert (large.status_code, large.get_json()["limit"]) == (200, 100)
    assert (none.status_code, none.get_json()["details"]["field"]) == (400, "limit")


@ONCE
@BOTH
def test_search_takes_few_statements_once_the_caller_is_known(
    client: FlaskClient, idle: Runtime, owner: Owner
) -> None:
    dataset_id = make_document(idle, owner, SHIPS).dataset_id
    work(idle, owner)
    headers = key_of(idle, owner)

    def search() -> list[str]:
        asked = {"query": "Which ships?", "retrieval_model": {"search_method": "hybrid_search", "top_k": 4}}
        with count_statements(idle.engine) as statements:
            answer = client.post(f"/v1/datasets/{dataset_id}/retrieve", json=asked, headers=headers)
        (record,) = answer.get_json()["records"]
        assert record["segment"]["content"] == SHIPS
        return statements

    search()
    counts = [len(search()) for _ in range(3)]
    (document,) = client.get(f"/v1/datasets/{dataset_id}/documents", headers=headers).get_json()["data"]

    # The dataset, its mark, passages, rows; the log and two counters, which on PostgreSQL are one statement.
    assert min(counts) == (7 if idle.engine.dialect.name == "sqlite" else 5)
    assert document["hit_count"] == 4


@BOTH
def test_searches_of_one_dataset_and_of_several_count_what_they_hit_without_loss(
    client: FlaskClient, idle: Runtime, owner: Owner, caplog: pytest.LogCaptureFixture
) -> None:
    """A circle of locks would cost one of them its note, and a second."""
    text = "\n\n".join(f"Harbour {number} counts its ships." for number in range(4))
    made = make_document(idle, owner, text)
    other = make_document(idle, owner, SHIPS)
    work(idle, owner)
    asked: JSONObject = {"search_method": "full_text_search", "top_k": 4}
    found = [
        record.found
        for record in retrieval.hit_test(
            idle, owner.principal, made.dataset_id, "harbour ships", asked
        ).records
    ]
    both = ([made.dataset_id], [made.dataset_id, other.dataset_id])

    def note(number: int) -> None:
        retrieval.note_search(idle, owner.principal, both[number % 2], "ships", found, source="app")

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(note, range(60)))

    url = f"/v1/datasets/{made.dataset_id}/documents"
    (document,) = client.get(url, headers=key_of(idle, owner)).get_json()["data"]
    assert "search not noted" not in caplog.text
    assert document["hit_count"] == 61


def test_key_deleted_in_the_console_opens_nothing_more(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    keys = "/console/api/datasets/api-keys"
    made = client.post(keys, headers=owner.headers).get_json()
    headers = {"Authorization": f"Bearer {made['token']}"}
    assert client.get("/v1/datasets", headers=headers).status_code == 200

    client.delete(f"{keys}/{made['id']}", headers=owner.headers)

    assert client.get("/v1/datasets", headers=headers).status_code == 401
