"""An app that answers from a dataset: cited passages in its answer, none of what is dead or foreign."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, update

from api.core.model_runtime.providers.builtin import BuiltinProvider
from api.core.model_runtime.types import ChatChunk, ChatRequest
from api.core.ports import Cancel
from api.models.dataset import AppDataset, MetadataField
from api.models.document import DatasetQuery, Document
from api.principal import Role
from api.runtime import Runtime
from tests.factories import BUILTIN, ChatApp, Owner, make_chat_app, make_member, make_owner
from tests.fakes import Script
from tests.services.test_indexing import idle, make_document, work

__all__ = ["idle"]

TEXT = "The harbour master of Lindau counts ninety ships every evening.\n\nBread is baked at four."


def make_knowing_app(
    runtime: Runtime, owner: Owner, dataset_id: str, model: Any = BUILTIN, **configs: Any
) -> ChatApp:
    datasets = {"datasets": [{"dataset": {"enabled": True, "id": dataset_id}}]}
    knowing = {"retrieval_model": "multiple", "datasets": datasets, **configs}
    return make_chat_app(runtime, owner, model=model, dataset_configs=knowing)


def ask(client: FlaskClient, app: ChatApp, query: str) -> dict[str, Any]:
    body = {"query": query, "user": "u", "inputs": {}, "auto_generate_name": False}
    answer = client.post("/api/chat-messages", headers=app.headers, json=body)
    assert answer.status_code == 200, answer.get_json()
    told: dict[str, Any] = answer.get_json()
    return told


def test_chat_answers_from_its_dataset_and_cites_it(client: FlaskClient, idle: Runtime, owner: Owner) -> None:
    made = make_document(idle, owner, TEXT)
    work(idle, owner)
    app = make_knowing_app(idle, owner, made.dataset_id, top_k=1)

    told = ask(client, app, "How many ships does the harbour master of Lindau count?")

    assert "ninety ships" in told["answer"]
    (cited,) = told["metadata"]["retriever_resources"]
    assert (cited["document_id"], cited["document_name"], cited["position"]) == (made.id, "harbours.txt", 1)
    assert "ninety ships" in cited["content"]
    assert 0 < cited["score"] <= 1
    history = client.get(
        f"/api/messages?user=u&conversation_id={told['conversation_id']}", headers=app.headers
    ).get_json()
    assert history["data"][0]["retriever_resources"] == [cited]
    with idle.reading() as session:
        logged = session.scalars(select(DatasetQuery).where(DatasetQuery.dataset_id == made.dataset_id)).one()
        assert (logged.source, logged.source_app_id) == ("app", app.id)
        assert session.get_one(Document, made.id).hit_count == 1


def test_chat_does_not_cite_a_disabled_document(client: FlaskClient, idle: Runtime, owner: Owner) -> None:
    made = make_document(idle, owner, TEXT)
    work(idle, owner)
    app = make_knowing_app(idle, owner, made.dataset_id)
    with idle.transaction() as session:
        session.execute(update(Document).where(Document.id == made.id).values(enabled=False))

    assert (
        ask(client, app, "How many ships does the harbour master count?")["metadata"]["retriever_resources"]
        == []
    )


def test_config_names_only_datasets_its_editor_may_use(
    client: FlaskClient, idle: Runtime, owner: Owner
) -> None:
    own = make_document(idle, owner, TEXT)
    foreign = make_document(idle, make_owner(idle), TEXT)
    app = make_chat_app(idle, owner)
    editor = make_member(idle, owner, Role.EDITOR)

    def save(member: Owner, dataset_id: str) -> int:
        datasets = {"datasets": [{"dataset": {"enabled": True, "id": dataset_id}}]}
        body = {"model": BUILTIN, "dataset_configs": {"datasets": datasets}}
        path = f"/console/api/apps/{app.id}/model-config"
        return client.post(path, headers=member.headers, json=body).status_code

    assert save(owner, foreign.dataset_id) == 400
    assert save(editor, own.dataset_id) == 400  # only_me, and not the editor's
    assert save(owner, own.dataset_id) == 200
    with idle.reading() as session:
        assert session.scalars(select(AppDataset.dataset_id).where(AppDataset.app_id == app.id)).all() == [
            own.dataset_id
        ]


@pytest.mark.parametrize(
    ("mode", "value", "is_found"),
    [
        ("manual", "harbours", True),
        ("manual", "mountains", False),
        (None, "mountains", False),
        ("disabled", "mountains", True),
    ],
)
def test_chat_searches_only_documents_that_meet_its_metadata_filter(
    client: FlaskClient, idle: Runtime, owner: Owner, mode: str | None, value: str, is_found: bool
) -> None:
    made = make_document(idle, owner, TEXT)
    work(idle, owner)
    with idle.transaction() as session:
        field = MetadataField(
            tenant_id=owner.tenant_id, dataset_id=made.dataset_id, type="string", name="topic"
        )
        session.add(field)
        session.flush()
        session.get_one(Document, made.id).doc_metadata = {field.id: "harbours"}
    condition = {"name": "topic", "comparison_operator": "is", "value": value}
    app = make_knowing_app(
        idle,
        owner,
        made.dataset_id,
        metadata_filtering_mode=mode,
        metadata_filtering_conditions={"logical_operator": "and", "conditions": [condition]},
    )

    cited = ask(client, app, "How many ships does the harbour master count?")["metadata"]
    assert bool(cited["retriever_resources"]) is is_found


@pytest.mark.parametrize(("value", "is_found"), [("harbours.txt", True), ("mountains.txt", False)])
def test_chat_lets_a_model_filter_by_metadata(
    client: FlaskClient,
    idle: Runtime,
    owner: Owner,
    monkeypatch: pytest.MonkeyPatch,
    value: str,
    is_found: bool,
) -> None:
    made = make_document(idle, owner, TEXT)
    work(idle, owner)
    app = make_knowing_app(idle, owner, made.dataset_id, metadata_filtering_mode="automatic")
    condition = {"name": "document_name", "comparison_operator": "is", "value": value}
    wanted = orjson.dumps({"logical_operator": "and", "conditions": [condition]}).decode()
    answers = BuiltinProvider.chat

    def chat(self: BuiltinProvider, request: ChatRequest, cancel: Cancel) -> Iterator[ChatChunk]:
        if "document_name" in request.messages[-1].text:  # the built-in model cannot make a filter itself
            return iter([ChatChunk(text=wanted, finish_reason="stop")])
        return answers(self, request, cancel)

    monkeypatch.setattr(BuiltinProvider, "chat", chat)
    cited = ask(client, app, "How many ships does the harbour master count?")["metadata"]
    assert bool(cited["retriever_resources"]) is is_found


@pytest.mark.parametrize("is_own", [True, False])
def test_tokens_of_a_filter_made_by_the_apps_model_count(
    client: FlaskClient, idle: Runtime, owner: Owner, *, is_own: bool
) -> None:
    made = make_document(idle, owner, TEXT)
    work(idle, owner)
    script, other = Script(), Script()
    named = {} if is_own else {"provider": "scripted", "name": other.model, "mode": "chat"}
    app = make_knowing_app(
        idle,
        owner,
        made.dataset_id,
        model=script.choice,
        metadata_filtering_mode="automatic",
        metadata_model_config=named,
    )

    usage = ask(client, app, "How many ships does the harbour master count?")["metadata"]["usage"]

    assert len(script.requests) + len(other.requests) == 2
    assert usage["prompt_tokens"] == (2 * 7 if is_own else 7)
    assert usage["completion_tokens"] == (2 * 5 if is_own else 5)
