"""Messages answered by annotations, through the public API; the test is the worker."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from api.core.rag.chunk import VectorEntry
from api.errors import Unavailable
from api.models.annotation import Annotation, AnnotationSetting
from api.models.conversation import Message
from api.models.workflow import WorkflowRun
from api.runtime import Runtime
from api.services import annotation_replies, remembered
from tests.annotations import Desk, to_vector
from tests.controllers.service_api.test_chatflows import make_chatflow, writer
from tests.factories import ChatApp, Owner, make_chat_app, make_owner
from tests.fakes import Script
from tests.knowledge import put_to_sleep
from tests.sse import read_events, text_of

QUESTION, ANSWER = "When does the pool open?", "At noon, every day."


@pytest.fixture
def runtime(house: Flask) -> Iterator[Runtime]:
    """The runtime, its jobs asleep."""
    awake = put_to_sleep(house)
    yield house.extensions["runtime"]
    house.extensions["runtime"] = awake


@pytest.fixture
def script() -> Script:
    return Script()


class Bath(Desk):
    """An app that is asked when the pool opens, and has an annotation for that."""

    def __init__(self, client: FlaskClient, runtime: Runtime, app: ChatApp, **options: Any) -> None:
        super().__init__(client, runtime, app)
        self.id = self.add(QUESTION, ANSWER)
        self.turn_on(**options)

    def ask(self, query: str = QUESTION, mode: str = "streaming", **more: Any) -> Any:
        sent = {"query": query, "user": "ann", "inputs": {}, "response_mode": mode, **more}
        answer = self.client.post("/v1/chat-messages", json=sent, headers=self.app.headers)
        return read_events(answer) if mode == "streaming" else answer.get_json()

    def hits(self) -> Any:
        return self.read("GET", f"annotations/{self.id}/hit-histories")


@pytest.fixture
def bath(client: FlaskClient, runtime: Runtime, owner: Owner, script: Script) -> Bath:
    return Bath(client, runtime, make_chat_app(runtime, owner, model=script.choice))


def test_question_of_an_annotation_gets_its_answer_and_no_model_is_asked(bath: Bath, script: Script) -> None:
    events = bath.ask("So WHEN does the pool open?", auto_generate_name=False)

    assert [event["event"] for event in events] == ["message", "message_end"]
    assert text_of(events) == ANSWER
    account = {"id": bath.app.owner.account_id, "name": "Test Owner"}
    told = events[-1]["metadata"]
    assert told["annotation_reply"] == {"id": bath.id, "account": account}
    assert (told["usage"]["total_tokens"], told["retriever_resources"]) == (0, [])
    assert script.requests == []
    with bath.runtime.reading() as session:
        message = session.get_one(Message, events[-1]["message_id"])
        assert (message.status, message.answer, message.answer_tokens) == ("normal", ANSWER, 0)
    hit = bath.read("GET", f"messages/{message.id}")["annotation_hit_history"]
    assert (hit["annotation_id"], hit["annotation_create_account"]) == (
        bath.id,
        {**account, "email": bath.app.owner.email},
    )


def test_hits_are_counted_and_told(bath: Bath) -> None:
    bath.ask("Pool open when?")
    blocking = bath.ask(mode="blocking")
    assert (blocking["answer"], blocking["metadata"]["annotation_reply"]["id"]) == (ANSWER, bath.id)

    told = bath.hits()
    assert [item["question"] for item in told["data"]] == [QUESTION, "Pool open when?"]
    assert told["data"][0] == {
        "id": told["data"][0]["id"],
        "source": "api",
        "score": pytest.approx(1.0),
        "question": QUESTION,
        "match": QUESTION,
        "response": ANSWER,
        "created_at": told["data"][0]["created_at"],
    }
    assert told["total"] == 2
    assert bath.read("GET", "annotations")["data"][0]["hit_count"] == 2


def test_test_in_the_console_is_answered_and_told_as_such(bath: Bath, script: Script) -> None:
    config = {"model_config": {"model": script.choice}}
    body = {"query": QUESTION, "inputs": {}, "response_mode": "streaming", **config}
    events = read_events(bath.call("POST", "chat-messages", json=body))
    assert text_of(events) == ANSWER
    assert bath.hits()["data"][0]["source"] == "console"


def test_question_below_the_threshold_goes_to_the_model(bath: Bath, script: Script) -> None:
    events = bath.ask("When does the train leave?")  # one word of three: a cosine of 1/3
    assert text_of(events) == "Hello world"
    assert events[-1]["metadata"]["annotation_reply"] is None
    assert len(script.requests) == 1
    assert bath.hits()["total"] == 0

    setting = bath.read("GET", "annotation-setting")
    bath.read("POST", f"annotation-settings/{setting['id']}", json={"score_threshold": 0.3})
    remembered.forget(bath.runtime)
    assert text_of(bath.ask("When does the train leave?")) == ANSWER


def test_nearest_of_several_answers(bath: Bath) -> None:
    bath.add("When does the train leave today?", "At nine.")
    bath.add("When does the train leave?", "At ten.")
    bath.work()
    assert text_of(bath.ask("So when does the train leave?")) == "At ten."


def test_changed_question_answers_no_more_and_the_new_one_does(bath: Bath) -> None:
    body = {"question": "When does the train leave?", "answer": "At ten."}
    bath.read("POST", f"annotations/{bath.id}", json=body)
    assert text_of(bath.ask()) == "Hello world"
    bath.work()
    assert text_of(bath.ask()) == "Hello world"
    assert text_of(bath.ask("When does the train leave?")) == "At ten."


def test_changed_answer_is_given_at_once(bath: Bath) -> None:
    bath.read("POST", f"annotations/{bath.id}", json={"question": QUESTION, "answer": "At one."})
    assert text_of(bath.ask()) == "At one."


def test_deleted_annotation_answers_nobody_though_a_store_still_has_it(bath: Bath) -> None:
    with bath.runtime.reading() as session:
        entry = session.get_one(Annotation, bath.id).entry_id
        query = select(AnnotationSetting.collection_id).where(AnnotationSetting.app_id == bath.app.id)
        collection = session.scalars(query).one()
    assert bath.call("DELETE", f"annotations/{bath.id}").status_code == 204
    assert text_of(bath.ask()) == "Hello world"
    left = VectorEntry(id=entry, segment_id=bath.id, document_id=bath.id, vector=to_vector(QUESTION, "any"))
    bath.runtime.vectors.upsert(collection, [left])
    assert text_of(bath.ask()) == "Hello world"


def test_replies_that_are_switched_off_end_at_once(bath: Bath) -> None:
    assert text_of(bath.ask()) == ANSWER  # the caller is remembered with replies that are on
    bath.switch("disable")
    assert text_of(bath.ask()) == "Hello world"


def test_fault_of_the_embedding_model_costs_the_match_alone(bath: Bath) -> None:
    with bath.runtime.transaction() as session:
        query = select(AnnotationSetting).where(AnnotationSetting.app_id == bath.app.id)
        session.scalars(query).one().embedding_model = "broken"
    remembered.forget(bath.runtime)
    assert text_of(bath.ask()) == "Hello world"


@pytest.mark.parametrize("fault", [RuntimeError("a driver's own"), Unavailable("The store is away.")])
@pytest.mark.parametrize("step", ["search", "reading"])
def test_fault_of_whatever_matches_costs_the_match_alone(
    bath: Bath, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fault: Exception, step: str
) -> None:
    caplog.set_level(logging.WARNING)

    def fail(*_: object, **__: object) -> None:
        raise fault

    if step == "search":
        monkeypatch.setattr(bath.runtime.vectors, "search", fail)  # no store of ours raises what any may
    else:
        monkeypatch.setattr(annotation_replies, "_pick", fail)  # the database may go at any moment

    events = bath.ask(auto_generate_name=False)

    assert (text_of(events), events[-1]["metadata"]["annotation_reply"]) == ("Hello world", None)
    assert "annotations not searched" in caplog.text


def test_parameters_and_the_configuration_tell_whether_replies_are_on(bath: Bath) -> None:
    setting = bath.read("GET", "annotation-setting")
    told: Any = bath.client.get("/v1/parameters", headers=bath.app.headers).get_json()
    shown: Any = bath.client.get(bath.path, headers=bath.app.owner.headers).get_json()
    assert told["annotation_reply"] == shown["model_config"]["annotation_reply"] == setting
    bath.switch("disable")
    shown = bath.client.get(bath.path, headers=bath.app.owner.headers).get_json()
    assert shown["model_config"]["annotation_reply"] == {"enabled": False}


def test_completion_is_never_answered_by_an_annotation(
    client: FlaskClient, runtime: Runtime, owner: Owner, script: Script
) -> None:
    app = make_chat_app(
        runtime, owner, mode="completion", model=script.choice, pre_prompt=QUESTION, user_input_form=[]
    )
    Bath(client, runtime, app)
    sent = {"inputs": {}, "query": QUESTION, "user": "ann"}
    answer: Any = client.post("/v1/completion-messages", json=sent, headers=app.headers).get_json()
    assert answer["answer"] == "Hello world"


def test_chatflow_is_answered_without_a_run(
    client: FlaskClient, runtime: Runtime, owner: Owner, script: Script
) -> None:
    flow = make_chatflow(client, runtime, owner, writer(script), ways="s > llm > a")
    bath = Bath(client, runtime, ChatApp(id=flow.id, key=flow.headers["Authorization"][7:], owner=owner))

    def runs() -> int:
        with runtime.reading() as session:
            here = select(func.count()).where(WorkflowRun.app_id == flow.id)
            return session.scalar(here) or 0

    events = bath.ask()
    assert [event["event"] for event in events] == ["message", "message_end"]
    assert text_of(events) == ANSWER
    assert events[-1]["metadata"]["annotation_reply"]["id"] == bath.id
    assert (runs(), script.requests) == (0, [])
    with runtime.reading() as session:
        message = session.get_one(Message, events[-1]["message_id"])
        assert (message.status, message.answer, message.workflow_run_id) == ("normal", ANSWER, None)
    assert bath.ask(mode="blocking")["answer"] == ANSWER

    events = bath.ask("Train?", conversation_id=events[0]["conversation_id"])
    assert text_of(events) == "So: Hello world!"
    assert runs() == 1


def test_other_apps_get_no_answer(bath: Bath, client: FlaskClient, runtime: Runtime, script: Script) -> None:
    sent = {"query": QUESTION, "user": "ann"}
    for owner in (bath.app.owner, make_owner(runtime)):
        other = make_chat_app(runtime, owner, model=script.choice)
        answer: Any = client.post("/v1/chat-messages", json=sent, headers=other.headers).get_json()
        assert answer["answer"] == "Hello world"
