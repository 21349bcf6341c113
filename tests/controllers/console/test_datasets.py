"""Datasets of the workspace, over HTTP."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from api.controllers.schemas.dataset import DATASET_MODEL
from api.models.base import new_id
from api.models.dataset import AppDataset
from api.models.document import Document
from api.principal import Role
from api.runtime import Runtime
from tests.conftest import BOTH
from tests.factories import Owner, make_app, make_member, make_owner
from tests.statements import count_statements

DATASETS = "/console/api/datasets"
UNKNOWN_ID = "c0ffee00-0000-4000-8000-000000000000"


def create(client: FlaskClient, caller: Owner, **body: object) -> Any:
    return client.post(DATASETS, json={"name": "Birds", **body}, headers=caller.headers)


def made(client: FlaskClient, caller: Owner, **body: object) -> Any:
    answer = create(client, caller, **body)
    assert answer.status_code == 201, answer.get_json()
    return answer.get_json()


def listed(client: FlaskClient, caller: Owner, **query: object) -> list[str]:
    answer = client.get(DATASETS, query_string=query, headers=caller.headers)
    assert answer.status_code == 200, answer.get_json()
    return [dataset["name"] for dataset in answer.get_json()["data"]]


def add_document(runtime: Runtime, owner: Owner, dataset_id: str, **values: Any) -> str:
    """Put the row of a document into a dataset."""
    row = Document(
        tenant_id=owner.tenant_id,
        dataset_id=dataset_id,
        position=1,
        data_source_type="upload_file",
        source={},
        batch="b",
        name="d",
        created_from="web",
        **values,
    )
    with runtime.transaction() as session:
        session.add(row)
        session.flush()
        return row.id


def use(runtime: Runtime, owner: Owner, dataset_id: str) -> None:
    """Have an app use a dataset."""
    app_id = make_app(runtime, owner)
    with runtime.transaction() as session:
        session.add(AppDataset(tenant_id=owner.tenant_id, app_id=app_id, dataset_id=dataset_id))


def test_create_with_a_name_alone_answers_with_the_whole_dataset(client: FlaskClient, owner: Owner) -> None:
    dataset = made(client, owner, name=" 鸟类 ")

    assert set(dataset) == set(DATASET_MODEL)
    assert (dataset["name"], dataset["permission"], dataset["provider"]) == ("鸟类", "only_me", "vendor")
    unset = (
        "indexing_technique",
        "embedding_model",
        "embedding_model_provider",
        "data_source_type",
        "doc_form",
    )
    assert {dataset[key] for key in unset} == {None}
    assert (dataset["document_count"], dataset["word_count"], dataset["app_count"]) == (0, 0, 0)
    assert (dataset["tags"], dataset["doc_metadata"], dataset["partial_member_list"]) == ([], [], None)
    assert (dataset["created_by"], dataset["author_name"]) == (owner.account_id, "Test Owner")
    assert dataset["retrieval_model_dict"]["search_method"] == "semantic_search"
    assert client.get(f"{DATASETS}/{dataset['id'].upper()}", headers=owner.headers).get_json() == dataset


def test_create_of_high_quality_takes_the_default_embedding_model(client: FlaskClient, owner: Owner) -> None:
    dataset = made(client, owner, indexing_technique="high_quality", embedding_model="", retrieval_model=None)

    assert dataset["embedding_model_provider"] == "slipway/builtin/builtin"
    assert dataset["embedding_model"]
    assert dataset["embedding_available"] is True


def test_create_keeps_how_it_is_searched(client: FlaskClient, owner: Owner) -> None:
    asked = {"search_method": "hybrid_search", "reranking_enable": False, "top_k": 7, "score_threshold": 0.5}

    found = made(client, owner, retrieval_model=asked)["retrieval_model_dict"]

    assert (found["search_method"], found["top_k"], found["score_threshold"]) == ("hybrid_search", 7, 0.5)
    assert found["score_threshold_enabled"] is True


@pytest.mark.parametrize(
    ("body", "field", "fault"),
    [
        ({"name": None}, "name", "invalid_type"),
        ({"name": " "}, "name", "too_short"),
        ({"name": "x" * 41}, "name", "too_long"),
        ({"description": "d" * 401}, "description", "too_long"),
        ({"indexing_technique": "best"}, "indexing_technique", "invalid_choice"),
        ({"permission": "public"}, "permission", "invalid_choice"),
        ({"provider": "other"}, "provider", "invalid_choice"),
        ({"provider": "external"}, "external_knowledge_api_id", "required"),
        ({"partial_member_list": [{"user_id": "x"}]}, "partial_member_list", "invalid_format"),
        (
            {"permission": "partial_members", "partial_member_list": [{"user_id": UNKNOWN_ID}]},
            "partial_member_list",
            "invalid_value",
        ),
        ({"embedding_model": "m"}, "embedding_model_provider", "required"),
        ({"embedding_model_provider": "builtin"}, "embedding_model", "required"),
        (
            {"embedding_model": "m", "embedding_model_provider": "nobody"},
            "embedding_model_provider",
            "invalid_value",
        ),
        ({"icon_info": {"icon": 5}}, "icon_info", "invalid_type"),
    ],
)
def test_create_refuses_a_bad_value_and_names_it(
    client: FlaskClient, owner: Owner, body: dict[str, object], field: str, fault: str
) -> None:
    answer = create(client, owner, **body)

    assert answer.status_code == 400
    assert answer.get_json()["details"] == {"field": field, "type": fault}
    assert listed(client, owner) == []


@pytest.mark.parametrize(
    ("setting", "field"),
    [({"top_k": 0}, "retrieval_model.top_k"), ({"score_threshold": 1.1}, "retrieval_model.score_threshold")],
)
def test_create_refuses_a_bad_search_setting(
    client: FlaskClient, owner: Owner, setting: dict[str, object], field: str
) -> None:
    answer = create(client, owner, retrieval_model=setting)

    assert (answer.status_code, answer.get_json()["details"]["field"]) == (400, field)


@BOTH
def test_name_can_be_had_once_a_workspace_however_many_ask(
    house: Flask, owner: Owner, runtime: Runtime
) -> None:
    def ask(_: int) -> int:
        return int(create(house.test_client(), owner, name="Same").status_code)

    with ThreadPoolExecutor(4) as pool:
        answers = Counter(pool.map(ask, range(4)))

    assert answers == {201: 1, 409: 3}
    assert create(house.test_client(), make_owner(runtime), name="Same").status_code == 201
    assert create(house.test_client(), owner, name="Same").get_json()["code"] == "dataset_name_duplicate"


def test_list_comes_in_pages_newest_first(client: FlaskClient, owner: Owner) -> None:
    for number in range(5):
        made(client, owner, name=f"D{number}")

    page = client.get(DATASETS, query_string={"page": 2, "limit": 2}, headers=owner.headers).get_json()

    assert [dataset["name"] for dataset in page["data"]] == ["D2", "D1"]
    assert (page["total"], page["page"], page["limit"], page["has_more"]) == (5, 2, 2, True)


def test_list_finds_keyword_and_ids(client: FlaskClient, owner: Owner) -> None:
    ids = {name: made(client, owner, name=name)["id"] for name in ("100% sure", "100 sure", "else")}

    assert listed(client, owner, keyword="100%") == ["100% sure"]
    assert listed(client, owner, keyword="SURE") == ["100 sure", "100% sure"]
    assert listed(client, owner, ids=[ids["else"], ids["100 sure"]]) == ["else", "100 sure"]
    assert listed(client, owner, ids=f"{ids['else']},{ids['100 sure'].upper()}") == ["else", "100 sure"]
    assert listed(client, owner, ids="nonsense") == []
    assert listed(client, owner, tag_ids=UNKNOWN_ID) == []


@pytest.mark.parametrize("query", [{"page": 0}, {"limit": 101}, {"include_all": "maybe"}])
def test_list_refuses_a_bad_query_and_names_it(
    client: FlaskClient, owner: Owner, query: dict[str, object]
) -> None:
    answer = client.get(DATASETS, query_string=query, headers=owner.headers)

    assert (answer.status_code, answer.get_json()["details"]["field"]) == (400, next(iter(query)))


def test_list_takes_as_many_statements_for_many_as_for_few(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    for number in range(20):
        dataset = made(client, owner, name=f"D{number}", permission="partial_members", partial_member_list=[])
        add_document(runtime, owner, dataset["id"])

    with count_statements(runtime.session_factory.kw["bind"]) as statements:
        answer = client.get(DATASETS, headers=owner.headers)

    own = [
        text
        for text in statements
        if not any(name in text for name in ("jobs", "worker_beats", "account_sessions"))
    ]
    assert len(answer.get_json()["data"]) == 20
    assert len(own) <= 6, own  # of which one says who asks


def test_list_counts_documents_and_apps(client: FlaskClient, owner: Owner, runtime: Runtime) -> None:
    dataset = made(client, owner)
    done = {"indexing_status": "completed", "word_count": 10}
    for values in (done, {**done, "enabled": False}, {**done, "archived": True}, {}):
        add_document(runtime, owner, dataset["id"], **values)
    use(runtime, owner, dataset["id"])

    found = client.get(DATASETS, headers=owner.headers).get_json()["data"][0]

    assert (found["document_count"], found["total_documents"], found["total_available_documents"]) == (
        4,
        4,
        1,
    )
    assert (found["word_count"], found["app_count"]) == (30, 1)


def test_permissions_say_who_sees_a_dataset(client: FlaskClient, owner: Owner, runtime: Runtime) -> None:
    maker, named, other = (make_member(runtime, owner, Role.EDITOR) for _ in range(3))
    mine = made(client, maker, name="mine")
    made(client, maker, name="all", permission="all_team_members")
    some = made(
        client,
        maker,
        name="some",
        permission="partial_members",
        partial_member_list=[{"user_id": named.account_id}],
    )

    assert some["partial_member_list"] == [named.account_id]
    assert listed(client, maker) == ["some", "all", "mine"]
    assert listed(client, named) == ["some", "all"]
    assert listed(client, other) == ["all"]
    assert listed(client, other, include_all="true") == ["all"]
    assert listed(client, owner) == ["all"]
    assert listed(client, owner, include_all="true") == ["some", "all", "mine"]
    assert listed(client, owner, is_created_by_me="true") == []
    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("GET", "/use-check")):
        answer = client.open(f"{DATASETS}/{mine['id']}{path}", method=method, json={}, headers=other.headers)
        assert answer.status_code == 403, method


def test_normal_members_look_but_do_not_change(client: FlaskClient, owner: Owner, runtime: Runtime) -> None:
    normal = make_member(runtime, owner, Role.NORMAL)
    dataset = made(client, owner, permission="all_team_members")
    url = f"{DATASETS}/{dataset['id']}"

    assert client.get(url, headers=normal.headers).status_code == 200
    assert create(client, normal, name="New").status_code == 403
    assert client.patch(url, json={"name": "New"}, headers=normal.headers).status_code == 403
    assert client.delete(url, headers=normal.headers).status_code == 403


def test_dataset_operator_makes_datasets_and_sees_only_those_it_is_named_by(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    operator = make_member(runtime, owner, Role.DATASET_OPERATOR)
    made(client, owner, name="all", permission="all_team_members")
    members = [{"user_id": operator.account_id}]
    named = made(client, owner, name="named", permission="partial_members", partial_member_list=members)
    own = made(client, operator, name="own")
    url = f"{DATASETS}/{named['id']}"

    assert listed(client, operator) == ["own", "named"]
    renamed = client.patch(url, json={"name": "x", "permission": "partial_members"}, headers=operator.headers)
    assert renamed.status_code == 200
    shared = client.patch(url, json={"permission": "all_team_members"}, headers=operator.headers)
    assert shared.status_code == 403
    assert client.delete(f"{DATASETS}/{own['id']}", headers=operator.headers).status_code == 204


def test_update_changes_only_what_it_names(client: FlaskClient, owner: Owner, runtime: Runtime) -> None:
    member = make_member(runtime, owner, Role.EDITOR)
    before = made(client, owner, description="kept", icon_info={"icon_type": "emoji", "icon": "🦆"})
    url = f"{DATASETS}/{before['id']}"

    answer = client.patch(
        url,
        json={
            "name": "New",
            "permission": "partial_members",
            "partial_member_list": [{"user_id": member.account_id}],
            "indexing_technique": None,
        },
        headers=owner.headers,
    )

    got = answer.get_json()
    changes = {
        "name": "New",
        "permission": "partial_members",
        "partial_member_list": [member.account_id],
        "updated_at": got["updated_at"],
    }
    assert answer.status_code == 200
    assert got == {**before, **changes}
    assert client.patch(url, json={}, headers=owner.headers).get_json()["partial_member_list"] == [
        member.account_id
    ]
    closed = client.patch(url, json={"permission": "only_me"}, headers=owner.headers).get_json()
    assert closed["partial_member_list"] is None


def test_update_may_not_take_anothers_name(client: FlaskClient, owner: Owner) -> None:
    made(client, owner, name="First")
    second = made(client, owner, name="Second")

    answer = client.patch(f"{DATASETS}/{second['id']}", json={"name": "First"}, headers=owner.headers)

    assert (answer.status_code, answer.get_json()["code"]) == (409, "dataset_name_duplicate")


def test_update_of_the_technique_counts_at_once_while_there_are_no_documents(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    dataset = made(client, owner)
    url = f"{DATASETS}/{dataset['id']}"

    technique = {"indexing_technique": "high_quality"}
    empty = client.patch(url, json=technique, headers=owner.headers).get_json()
    add_document(runtime, owner, dataset["id"])
    filled = client.patch(url, json={"indexing_technique": "economy"}, headers=owner.headers).get_json()

    assert (empty["indexing_technique"], empty["embedding_model"] is not None) == ("high_quality", True)
    assert filled["indexing_technique"] == "high_quality"


def test_delete_waits_for_apps_to_let_go(client: FlaskClient, owner: Owner, runtime: Runtime) -> None:
    used, free = made(client, owner, name="used"), made(client, owner, name="free")
    use(runtime, owner, used["id"])

    checks = [
        client.get(f"{DATASETS}/{each['id']}/use-check", headers=owner.headers).get_json()
        for each in (used, free)
    ]
    refused = client.delete(f"{DATASETS}/{used['id']}", headers=owner.headers)
    first, again = (client.delete(f"{DATASETS}/{free['id']}", headers=owner.headers) for _ in range(2))

    assert checks == [{"is_using": True}, {"is_using": False}]
    assert (refused.status_code, refused.get_json()["code"]) == (409, "dataset_in_use")
    assert (first.status_code, first.data, again.status_code) == (204, b"", 404)
    assert listed(client, owner) == ["used"]


@pytest.mark.parametrize(
    ("method", "path"), [("GET", ""), ("PATCH", ""), ("DELETE", ""), ("GET", "/use-check")]
)
def test_dataset_of_another_workspace_looks_like_none(
    client: FlaskClient, owner: Owner, runtime: Runtime, method: str, path: str
) -> None:
    stranger = make_owner(runtime)
    dataset = made(client, owner, permission="all_team_members")

    answers = [
        client.open(f"{DATASETS}/{each}{path}", method=method, json={"name": "x"}, headers=stranger.headers)
        for each in (dataset["id"], UNKNOWN_ID, "nonsense")
    ]

    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.data for answer in answers}) == 1
    assert listed(client, owner) == ["Birds"]


@BOTH
def test_repeated_create_with_the_same_key_is_done_once(client: FlaskClient, owner: Owner) -> None:
    headers = {**owner.headers, "Idempotency-Key": new_id()}

    answers = [client.post(DATASETS, json={"name": "Once"}, headers=headers) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].get_json() == answers[1].get_json()
