"""The Python SDK against the program: everything it calls is there, and means what it says."""

from collections.abc import Callable
from functools import partial

import pytest
from flask import Flask
from flask.testing import FlaskClient

from api.errors import CompletionFailed
from api.runtime import Runtime
from dify_client import (
    AuthenticationError,
    BadRequestError,
    ConflictError,
    ModelError,
    NotFoundError,
)
from tests.factories import ChatApp, Owner, make_app, make_chat_app, make_dataset_key, make_key
from tests.fakes import Script
from tests.flows import drawn, edges
from tests.knowledge import TEXT, wait_until_indexed
from tests.sdks.twins import TWINS, Program, Twin

URL = "http://slipway.test/api"
WORDS = ["One ", "two ", "three ", "four."]
SAID = "".join(WORDS)
ECHO = {
    "nodes": [
        drawn("s", "start", variables=[{"variable": "name", "label": "Name", "type": "text-input"}]),
        drawn("e", "end", outputs=[{"variable": "said", "value_selector": ["s", "name"]}]),
    ],
    "edges": edges("s > e"),
}


@pytest.fixture(params=TWINS)
def twin(request: pytest.FixtureRequest, house: Flask) -> Callable[..., Twin]:
    """Makes clients of the program by their keys."""
    kind = TWINS[request.param]

    def make(key: str, *cuts: int, **tuning: object) -> Twin:
        return kind(key, URL, partial(Program, house, *cuts), **tuning)

    return make


@pytest.fixture
def counted(runtime: Runtime, owner: Owner) -> ChatApp:
    return make_chat_app(runtime, owner, model=Script([*WORDS]).choice)


def refuse() -> None:
    raise CompletionFailed("The model is out.")


def test_conversation_is_held_listed_rated_and_removed(twin: Callable[..., Twin], counted: ChatApp) -> None:
    sdk = twin(counted.key)

    whole = sdk.ask(lambda c: c.chat.create(query="Hi", user="ada", auto_generate_name=False))
    talk = {"user": "ada", "conversation_id": whole["conversation_id"]}
    chunks = sdk.read(lambda c: c.chat.create_stream(query="Again", **talk))
    again = sdk.read(lambda c: c.chat.events(chunks[0].task_id, user="ada", after=2))
    stopped = sdk.ask(lambda c: c.chat.stop(chunks[0].task_id, user="ada"))
    rated = sdk.ask(lambda c: c.messages.feedback(chunks[0].message_id, rating="like", user="ada"))
    history = sdk.ask(lambda c: c.conversations.messages(talk["conversation_id"], user="ada", limit=1))
    same = sdk.ask(lambda c: c.messages.list(**talk, first_id=history["data"][0]["id"]))
    sdk.ask(lambda c: c.conversations.rename(talk["conversation_id"], user="ada", name="Numbers"))
    listed = sdk.ask(lambda c: c.conversations.list(user="ada", limit=5))
    variables = sdk.ask(lambda c: c.conversations.variables(talk["conversation_id"], user="ada"))
    removed = sdk.ask(lambda c: c.conversations.delete(talk["conversation_id"], user="ada"))

    assert whole["answer"] == "".join(chunk.answer for chunk in chunks) == SAID
    assert [chunk.event for chunk in chunks] == ["message"] * 4 + ["message_end"]
    assert [chunk.number for chunk in chunks] == [1, 2, 3, 4, 5]
    assert again == chunks[2:]
    assert chunks[-1].metadata["usage"]["total_tokens"] == 12
    assert stopped == rated == {"result": "success"}
    assert (history["data"][0]["feedback"], history["has_more"]) == ({"rating": "like"}, True)
    assert [message["query"] for message in same["data"]] == ["Hi"]
    assert [item["name"] for item in listed["data"]] == ["Numbers"]
    assert (variables["data"], removed) == ([], {})
    assert sdk.ask(lambda c: c.conversations.list(user="ada"))["data"] == []


def test_uploads_completions_and_what_an_app_tells(
    twin: Callable[..., Twin], runtime: Runtime, owner: Owner
) -> None:
    app = make_chat_app(runtime, owner, mode="completion", model=Script([*WORDS]).choice)
    sdk = twin(app.key)

    kept = sdk.ask(lambda c: c.files.upload(TEXT, name="harbour.txt", user="ada"))
    content = sdk.ask(lambda c: c.files.preview(kept["id"], user="ada"))
    whole = sdk.ask(lambda c: c.completion.create(user="ada", query="Count"))
    chunks = sdk.read(lambda c: c.completion.create_stream(user="ada", query="Count", inputs={}))
    again = sdk.read(lambda c: c.completion.events(chunks[0].task_id, user="ada"))
    stopped = sdk.ask(lambda c: c.completion.stop(chunks[0].task_id, user="ada"))
    told = sdk.ask(lambda c: c.app.info())

    assert (kept["name"], content) == ("harbour.txt", TEXT)
    assert whole["answer"] == "".join(chunk.answer for chunk in chunks) == SAID
    assert again == chunks
    assert stopped == {"result": "success"}
    assert told["mode"] == "completion"
    assert "user_input_form" in sdk.ask(lambda c: c.app.parameters())
    assert "tool_icons" in sdk.ask(lambda c: c.app.meta())
    assert "title" in sdk.ask(lambda c: c.app.site())


def test_knowledge_is_kept_found_and_removed(
    twin: Callable[..., Twin], runtime: Runtime, owner: Owner
) -> None:
    sdk = twin(make_dataset_key(runtime, owner))
    how = {"indexing_technique": "economy"}

    made = sdk.ask(lambda c: c.datasets.create(name="Harbour", **how))["id"]
    by_file = sdk.ask(lambda c: c.datasets.documents.create_by_file(made, TEXT, file_name="harbour.txt"))
    by_text = sdk.ask(lambda c: c.datasets.documents.create_by_text(made, name="Bees", text="Bees hum."))
    for added in (by_file, by_text):
        wait_until_indexed(runtime, added["document"]["id"])
    far = sdk.ask(lambda c: c.datasets.documents.indexing_status(made, by_file["batch"]))
    found = sdk.ask(lambda c: c.datasets.retrieve(made, query="seven ships"))
    document = by_text["document"]["id"]
    new = sdk.ask(lambda c: c.datasets.segments.create(made, document, segments=[{"content": "Wasps."}]))
    segment = new["data"][0]["id"]
    sdk.ask(lambda c: c.datasets.segments.update(made, document, segment, content="Wasps sting."))
    shown = sdk.ask(lambda c: c.datasets.segments.get(made, document, segment))
    sdk.ask(lambda c: c.datasets.segments.delete(made, document, segment))
    segments = sdk.ask(lambda c: c.datasets.segments.list(made, document, limit=5))
    sdk.ask(lambda c: c.datasets.documents.set_status(made, "disable", document_ids=[document]))
    one = sdk.ask(lambda c: c.datasets.documents.get(made, document))
    sdk.ask(lambda c: c.datasets.documents.update_by_text(made, document, name="Bees", text="Bees rest."))
    sdk.ask(
        lambda c: c.datasets.documents.update_by_file(
            made, by_file["document"]["id"], b"Nine ships.", file_name="harbour.txt"
        )
    )
    sdk.ask(lambda c: c.datasets.documents.delete(made, by_file["document"]["id"]))
    documents = sdk.ask(lambda c: c.datasets.documents.list(made, keyword="Bees"))
    sdk.ask(lambda c: c.datasets.update(made, description="Ships and bees"))
    changed = sdk.ask(lambda c: c.datasets.get(made))
    with pytest.raises(ConflictError) as taken:
        sdk.ask(lambda c: c.datasets.create(name="Harbour"))
    sdk.ask(lambda c: c.datasets.delete(made))

    assert far["data"][0]["indexing_status"] == "completed"
    assert "seven ships" in found["records"][0]["segment"]["content"]
    assert shown["data"]["content"] == "Wasps sting."
    assert [item["content"] for item in segments["data"]] == ["Bees hum."]
    assert one["enabled"] is False
    assert [item["name"] for item in documents["data"]] == ["Bees"]
    assert changed["description"] == "Ships and bees"
    assert taken.value.code == "dataset_name_duplicate"
    assert sdk.ask(lambda c: c.datasets.list(keyword="Harbour"))["data"] == []


def test_workflow_runs_whole_streamed_and_by_a_key_of_the_workspace(
    twin: Callable[..., Twin], client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    app_id = make_app(runtime, owner, mode="workflow")
    path = f"/console/api/apps/{app_id}/workflows"
    client.post(f"{path}/draft", json={"graph": ECHO}, headers=owner.headers)
    version = client.post(f"{path}/publish", headers=owner.headers).get_json()["workflow_id"]
    make_app(runtime, owner, mode="workflow")
    sdk = twin(make_key(runtime, owner, None), app_id=app_id)
    asked = {"inputs": {"name": "Ada"}, "user": "ada"}

    result = sdk.ask(lambda c: c.workflows.run(**asked, response_mode="blocking", workflow_id=version))
    chunks = sdk.read(lambda c: c.workflows.run_stream(**asked))
    run_id = chunks[0].workflow_run_id
    again = sdk.read(lambda c: c.workflows.events(run_id, user="ada", continue_on_pause=True))
    one = sdk.ask(lambda c: c.workflows.get(run_id))
    stopped = sdk.ask(lambda c: c.workflows.stop(chunks[0].task_id, user="ada"))
    logged = sdk.ask(lambda c: c.workflows.logs(limit=5, status="succeeded"))

    assert result["data"]["outputs"] == {"said": "Ada"}
    assert [chunks[0].event, chunks[-1].event] == ["workflow_started", "workflow_finished"]
    assert chunks[-1].data["outputs"] == {"said": "Ada"}
    assert "".join(chunk.answer for chunk in chunks) == "Ada"
    assert again == chunks
    assert one["status"] == "succeeded"
    assert stopped == {"result": "success"}
    assert len(logged["data"]) == 2


@pytest.mark.parametrize("cuts", [(300, 700), (0, 0, 900), (10_000,)])
def test_broken_stream_is_read_on_and_the_run_happened_once(
    twin: Callable[..., Twin], counted: ChatApp, cuts: tuple[int, ...]
) -> None:
    sdk = twin(counted.key, *cuts)

    chunks = sdk.read(lambda c: c.chat.create_stream(query="Hi", user="ada", auto_generate_name=False))

    history = twin(counted.key).ask(lambda c: c.conversations.messages(chunks[0].conversation_id, user="ada"))
    assert [chunk.number for chunk in chunks] == [1, 2, 3, 4, 5]
    assert "".join(chunk.answer for chunk in chunks) == SAID
    assert [message["answer"] for message in history["data"]] == [SAID]
    assert len(twin(counted.key).ask(lambda c: c.conversations.list(user="ada"))["data"]) == 1


def test_refusals_have_the_class_of_their_status_and_their_code(
    twin: Callable[..., Twin], runtime: Runtime, owner: Owner, counted: ChatApp
) -> None:
    sdk = twin(counted.key)
    failing = make_chat_app(runtime, owner, model=Script(["Half", refuse]).choice)

    with pytest.raises(AuthenticationError) as stranger:
        twin("app-unknown").ask(lambda c: c.app.info())
    with pytest.raises(NotFoundError):
        sdk.read(lambda c: c.chat.create_stream(query="Hi", user="ada", conversation_id=counted.id))
    with pytest.raises(BadRequestError) as wrong:
        sdk.ask(lambda c: c.chat.create(query="", user="ada"))
    with pytest.raises(ModelError) as whole:
        twin(failing.key).ask(lambda c: c.chat.create(query="Hi", user="ada"))
    with pytest.raises(ModelError, match="The model is out") as streamed:
        twin(failing.key).read(lambda c: c.chat.create_stream(query="Hi", user="ada"))

    assert (stranger.value.status, stranger.value.code) == (401, "unauthorized")
    assert stranger.value.request_id
    assert wrong.value.details == {"field": "query", "type": "required"}
    assert whole.value.code == streamed.value.code == "completion_request_error"
