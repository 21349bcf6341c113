"""Apps that answer from datasets of other services, beside ours: cited, side by side, never in the way."""

import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import update

from api.core.model_runtime.runtime import ModelRuntime
from api.core.model_runtime.types import Score
from api.models.dataset import Dataset, ExternalKnowledgeAPI
from api.runtime import Runtime
from api.services import datasets, external_apis, external_search
from api.services.access import access_external_api
from tests.factories import ChatApp, Owner, make_chat_app, make_dataset_key
from tests.fakes import Script
from tests.online import reachable
from tests.servers import Reply, ScriptedServer, Seen, Step
from tests.services.test_indexing import idle, make_document, work

__all__ = ["idle"]

CONSOLE = "/console/api/datasets"
KEY = "kb-secret-0123456789"
QUESTION = "How many ships does the harbour master count?"
OURS = "The harbour master of Lindau counts ninety ships every evening."
THEIRS = "The harbour master of Bregenz counts forty ships."


def record(content: str = THEIRS, score: float = 0.95, **more: Any) -> dict[str, Any]:
    return {"content": content, "score": score, "title": "bregenz.md", "metadata": {"page": 3}, **more}


def found(*records: dict[str, Any]) -> Reply:
    return Reply.of_json({"records": list(records or [record()])})


class Service(ScriptedServer):
    """A service that passes its check, then answers searches; ``searches`` are those it got."""

    def __init__(self, answer: Reply | Callable[[Seen], Reply]) -> None:
        super().__init__(self._reply)
        self._search = answer

    @property
    def searches(self) -> list[Seen]:
        return [seen for seen in self.seen if seen.json["query"] != "ping"]

    def _reply(self, seen: Seen) -> Reply:
        if seen.json["query"] == "ping":
            return found()
        return self._search(seen) if callable(self._search) else self._search


class World:
    """A workspace's client, with services within reach and their datasets."""

    def __init__(self, client: FlaskClient, owner: Owner, opened: ExitStack) -> None:
        self.client, self.owner, self._opened = client, owner, opened
        self.script = Script()

    def connect(self, answer: Reply | Callable[[Seen], Reply] | None = None) -> tuple[Service, str]:
        """Start a service and make a dataset that it keeps; return it and the dataset's id."""
        service = self._opened.enter_context(Service(answer or found()))
        self._opened.enter_context(reachable(self.client.application, service))
        return service, self.make_dataset(self.make_api(service))

    def make_api(self, service: Service) -> str:
        settings = {"endpoint": service.url, "api_key": KEY}
        made = self._post("/external-knowledge-api", {"name": "KB", "settings": settings})
        return str(made["id"])

    def make_dataset(self, api_id: str, name: str = "Far") -> str:
        body = {"name": name, "external_knowledge_api_id": api_id, "external_knowledge_id": "k1"}
        return str(self._post("/external", body)["id"])

    def make_app(self, *dataset_ids: str, mode: str = "chat", **configs: Any) -> ChatApp:
        """Make an app of the scripted model that answers from datasets, saved as the console does."""
        app = make_chat_app(self.client.application.extensions["runtime"], self.owner, mode=mode)
        named = [{"dataset": {"enabled": True, "id": one}} for one in dataset_ids]
        body = {
            "model": self.script.choice,
            "retriever_resource": {"enabled": True},
            "dataset_configs": {
                "retrieval_model": "multiple",
                "datasets": {"datasets": named},
                **configs,
            },
        }
        path = f"/console/api/apps/{app.id}/model-config"
        answer = self.client.post(path, headers=self.owner.headers, json=body)
        assert answer.status_code == 200, answer.text
        return app

    def ask(self, app: ChatApp, route: str = "chat-messages") -> Any:
        body = {"query": QUESTION, "user": "u", "auto_generate_name": False}
        answer = self.client.post(f"/v1/{route}", headers=app.headers, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        answer = self.client.post(CONSOLE + path, headers=self.owner.headers, json=body)
        assert answer.status_code == 201, answer.text
        return answer.json


@pytest.fixture
def world(client: FlaskClient, owner: Owner) -> Any:
    with ExitStack() as opened:
        yield World(client, owner, opened)


@pytest.fixture
def ours(idle: Runtime, owner: Owner) -> str:
    """A dataset of our own."""
    made = make_document(idle, owner, OURS)
    work(idle, owner)
    return made.dataset_id


def contents(told: Any) -> list[str]:
    return [resource["content"] for resource in told["metadata"]["retriever_resources"]]


@pytest.mark.parametrize(
    ("asked", "top_k"),
    [({}, 4), ({"retrieval_model": {"top_k": 7}}, 7), ({"external_retrieval_model": {"top_k": 9}}, 9)],
)
@pytest.mark.parametrize("name", ["retrieve", "hit-testing"])
def test_retrieve_answers_with_the_records_of_a_service(
    world: World, runtime: Runtime, name: str, asked: dict[str, Any], top_k: int
) -> None:
    service, dataset_id = world.connect()
    headers = {"Authorization": f"Bearer {make_dataset_key(runtime, world.owner)}"}
    body = {"query": QUESTION, **asked}

    answer = world.client.post(f"/v1/datasets/{dataset_id}/{name}", headers=headers, json=body)

    assert answer.json == {"query": {"content": QUESTION}, "records": [record()]}
    assert [seen.json["retrieval_setting"]["top_k"] for seen in service.searches] == [top_k]


def test_app_answers_from_a_dataset_of_another_service_and_cites_it(world: World) -> None:
    service, dataset_id = world.connect(found(record(metadata={"page": 3, "document_id": "b-7"})))
    app = world.make_app(dataset_id)

    told = world.ask(app)

    (cited,) = told["metadata"]["retriever_resources"]
    assert cited == {
        "position": 1,
        "dataset_id": dataset_id,
        "dataset_name": "Far",
        "document_id": "b-7",
        "document_name": "bregenz.md",
        "data_source_type": "external",
        "segment_id": "",
        "retriever_from": "api",
        "score": 0.95,
        "content": THEIRS,
        "segment_position": None,
        "word_count": None,
        "hit_count": None,
        "index_node_hash": None,
        "summary": None,
        "doc_metadata": {"page": 3, "document_id": "b-7"},
    }
    assert THEIRS in world.script.requests[0].messages[0].text
    (seen,) = service.searches
    assert seen.headers["authorization"] == f"Bearer {KEY}"
    assert seen.json == {
        "knowledge_id": "k1",
        "query": QUESTION,
        "retrieval_setting": {"top_k": 4, "score_threshold": 0.0},
    }
    path = f"/v1/messages?user=u&conversation_id={told['conversation_id']}"
    history = world.client.get(path, headers=app.headers).get_json()["data"]
    assert history[0]["retriever_resources"] == [cited]
    log = world.client.get(f"{CONSOLE}/{dataset_id}/queries", headers=world.owner.headers).get_json()
    assert [(row["content"], row["source"]) for row in log["data"]] == [(QUESTION, "app")]


def test_completion_app_answers_from_another_service(world: World) -> None:
    _, dataset_id = world.connect()
    app = world.make_app(dataset_id, mode="completion")

    assert contents(world.ask(app, "completion-messages")) == [THEIRS]


def test_passages_of_all_datasets_are_ranked_together(world: World, ours: str) -> None:
    low = record("The harbour of Rorschach is small.", 0.01)
    _, dataset_id = world.connect(found(record(), low, record("Best of all.", 7.5)))

    told = world.ask(world.make_app(dataset_id, ours, top_k=3))

    assert contents(told) == ["Best of all.", THEIRS, OURS]
    resources = told["metadata"]["retriever_resources"]
    assert [one["position"] for one in resources] == [1, 2, 3]
    assert [one["dataset_id"] for one in resources] == [dataset_id, dataset_id, ours]
    assert resources[0]["score"] == 1.0, "a service that scores otherwise is held to 0..1"


def test_threshold_of_the_app_holds_for_other_services(world: World) -> None:
    _, dataset_id = world.connect(found(record(), record("Far from it.", 0.2)))

    assert contents(world.ask(world.make_app(dataset_id, score_threshold=0.5))) == [THEIRS]


def test_rerank_model_scores_passages_of_other_services_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rerank(_self: ModelRuntime, _tenant: str, _ref: Any, _query: str, texts: Any, **_: Any) -> Any:
        return [Score(index, 0.9 if text == THEIRS else 0.1) for index, text in enumerate(texts)]

    monkeypatch.setattr(ModelRuntime, "rerank", rerank)
    _, dataset_id = world.connect(found(record(score=0.1), record("Far from it.", 0.9)))
    named = {"reranking_provider_name": "jina", "reranking_model_name": "m"}
    app = world.make_app(dataset_id, reranking_enable=True, reranking_model=named, score_threshold=0.5)

    told = world.ask(app)

    assert [(one["content"], one["score"]) for one in told["metadata"]["retriever_resources"]] == [
        (THEIRS, 0.9)
    ]


@pytest.mark.parametrize(
    "reply",
    [
        Reply.of_json({"error_code": 500, "error_msg": f"no {QUESTION} for {KEY}"}, status=500),
        Reply.of_json({"error_code": 1002, "error_msg": "bad key"}, status=403),
        Reply(body=b"<html>"),
        Reply(steps=[b"{", Step.DROP]),
        Reply(steps=[Step.HANG]),
    ],
    ids=["refuses", "key", "shape", "drops", "hangs"],
)
def test_service_that_fails_is_logged_and_done_without(
    world: World,
    ours: str,
    reply: Reply,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("WARNING")
    monkeypatch.setattr(external_search, "APP_TOTAL_S", 0.2)
    _, dataset_id = world.connect(reply)

    assert contents(world.ask(world.make_app(dataset_id, ours))) == [OURS]
    (logged,) = [line for line in caplog.records if line.name == external_search.__name__]
    assert logged.__dict__["dataset_id"] == dataset_id
    assert "external knowledge not searched" in logged.getMessage()
    assert KEY not in caplog.text
    assert QUESTION not in caplog.text


def test_services_are_asked_side_by_side(world: World) -> None:
    both = threading.Barrier(2)

    def answer(_seen: Seen) -> Reply:
        both.wait(30)
        return found()

    service, first = world.connect(answer)
    second = world.make_dataset(world.make_api(service), "Farther")

    assert contents(world.ask(world.make_app(first, second))) == [THEIRS, THEIRS]


def test_model_may_choose_the_dataset_of_another_service(world: World, ours: str) -> None:
    service, dataset_id = world.connect()
    world.script.pieces[:] = ["1"]

    assert contents(world.ask(world.make_app(ours, dataset_id, retrieval_model="single"))) == [OURS]
    assert service.searches == []
    world.script.pieces[:] = ["2"]
    assert contents(world.ask(world.make_app(ours, dataset_id, retrieval_model="single"))) == [THEIRS]


def test_best_hit_may_be_that_of_another_service(world: World, ours: str) -> None:
    _, dataset_id = world.connect()
    world.script.pieces[:] = ["no idea"]

    assert contents(world.ask(world.make_app(ours, dataset_id, retrieval_model="single"))) == [THEIRS]


@pytest.mark.parametrize("mode", [None, "manual", "disabled"])
def test_conditions_on_metadata_set_by_hand_are_passed_on(world: World, mode: str | None) -> None:
    service, dataset_id = world.connect()
    conditions = [
        {"name": "page", "comparison_operator": "=", "value": 3},
        {"name": "lake", "comparison_operator": "in", "value": ["Constance", "Zürich"]},
        {"name": "author", "comparison_operator": "is", "value": None},
    ]
    app = world.make_app(
        dataset_id,
        metadata_filtering_mode=mode,
        metadata_filtering_conditions={"logical_operator": "or", "conditions": conditions},
    )

    world.ask(app)

    passed = {
        "logical_operator": "or",
        "conditions": [
            {"name": ["page"], "comparison_operator": "=", "value": 3},
            {"name": ["lake"], "comparison_operator": "in", "value": ["Constance", "Zürich"]},
        ],
    }
    assert service.searches[0].json.get("metadata_condition") == (None if mode == "disabled" else passed)


def test_text_no_database_takes_is_cleaned(world: World) -> None:
    dirty = record("A\0B", metadata={"a\0": ["b\0", {"c": "\0"}]}, title="t\0")
    _, dataset_id = world.connect(found(dirty))

    (cited,) = world.ask(world.make_app(dataset_id))["metadata"]["retriever_resources"]

    assert (cited["content"], cited["document_name"]) == ("AB", "t")
    assert cited["doc_metadata"] == {"a": ["b", {"c": ""}]}


def test_citation_repeats_no_more_metadata_than_it_should(world: World) -> None:
    _, dataset_id = world.connect(found(record(metadata={"all": "x" * 5000})))

    (cited,) = world.ask(world.make_app(dataset_id))["metadata"]["retriever_resources"]

    assert (cited["content"], cited["doc_metadata"]) == (THEIRS, None)


def test_run_stopped_while_a_service_is_asked_ends_as_stopped(world: World, runtime: Runtime) -> None:
    def stop(_seen: Seen) -> Reply:
        (task_id,) = runtime.live_runs
        runtime.channel.signal(task_id)
        return Reply(steps=[Step.HANG])

    _, dataset_id = world.connect(stop)

    told = world.ask(world.make_app(dataset_id))

    assert (told["answer"], contents(told)) == ("", [])


def test_dataset_and_api_deleted_while_they_are_searched_hurt_nobody(world: World) -> None:
    gone: list[int] = []

    def delete(_seen: Seen) -> Reply:
        for path in (f"/{dataset_id}", f"/external-knowledge-api/{api_id}"):
            client = world.client.application.test_client()
            gone.append(client.delete(CONSOLE + path, headers=world.owner.headers).status_code)
        return found()

    service, _ = world.connect(delete)
    api_id = world.make_api(service)
    dataset_id = world.make_dataset(api_id, "Going")
    url = f"{CONSOLE}/{dataset_id}/external-hit-testing"

    answers = [
        world.client.post(url, json={"query": "where?"}, headers=world.owner.headers) for _ in range(2)
    ]

    assert gone == [204, 204]
    assert [answer.status_code for answer in answers] == [200, 404]


def test_key_that_can_no_longer_be_read_is_told_and_done_without(
    world: World, ours: str, runtime: Runtime
) -> None:
    service, dataset_id = world.connect()
    app = world.make_app(dataset_id, ours)
    with runtime.transaction() as session:
        session.execute(
            update(ExternalKnowledgeAPI)
            .where(ExternalKnowledgeAPI.tenant_id == world.owner.tenant_id)
            .values(sealed_key=b"not sealed")
        )

    url = f"{CONSOLE}/{dataset_id}/external-hit-testing"
    tested = world.client.post(url, json={"query": "where?"}, headers=world.owner.headers)

    assert (tested.status_code, tested.json["code"]) == (400, "external_knowledge_failed")  # type: ignore[index]  # an error was answered
    assert "enter it again" in tested.text
    assert contents(world.ask(app)) == [OURS]
    assert service.searches == []


def test_dataset_of_an_api_that_is_being_deleted_is_not_found(
    world: World, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, _ = world.connect()
    api_id = world.make_api(service)

    def access_then_lose(session: Any, principal: Any, asked: str) -> ExternalKnowledgeAPI:
        row = access_external_api(session, principal, asked)
        with runtime.transaction() as other:
            external_apis.delete_external_api(other, principal, asked)
        return row

    monkeypatch.setattr(datasets, "access_external_api", access_then_lose)
    body = {"name": "Late", "external_knowledge_api_id": api_id, "external_knowledge_id": "k"}
    answer = world.client.post(f"{CONSOLE}/external", json=body, headers=world.owner.headers)

    assert (answer.status_code, answer.json["code"]) == (404, "not_found")  # type: ignore[index]  # an error was answered


def test_api_that_is_being_used_is_not_deleted(
    world: World, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, _ = world.connect()
    api_id = world.make_api(service)

    def access_then_use(session: Any, principal: Any, asked: str) -> ExternalKnowledgeAPI:
        row = access_external_api(session, principal, asked)
        with runtime.transaction() as other:
            other.add(
                Dataset(
                    tenant_id=principal.tenant_id, name="Late", provider="external", external_api_id=asked
                )
            )
        return row

    monkeypatch.setattr(external_apis, "access_external_api", access_then_use)
    path = f"{CONSOLE}/external-knowledge-api/{api_id}"
    answer = world.client.delete(path, headers=world.owner.headers)

    assert (answer.status_code, answer.json["code"]) == (409, "conflict")  # type: ignore[index]  # an error was answered


def test_external_dataset_is_no_dataset_of_ours(world: World) -> None:
    _, dataset_id = world.connect()

    answer = world.client.post(
        f"{CONSOLE}/{dataset_id}/retrieve", headers=world.owner.headers, json={"query": "ships"}
    )

    assert (answer.status_code, answer.json["code"]) == (400, "invalid_param")  # type: ignore[index]  # an error was answered
