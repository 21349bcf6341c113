"""Answers read aloud while they come, through the public API."""

import base64
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from api.backends.channel.redis import Backend
from api.core.apps.speech import PART_CHARS
from api.errors import CompletionFailed
from api.models.conversation import Message
from api.models.usage import UsageDay
from api.runtime import Runtime
from tests.controllers.app_calls import add_speech
from tests.controllers.service_api.test_chat import ASKED, MOUNTS, history, open_stream, send
from tests.controllers.service_api.test_chatflows import writer
from tests.controllers.service_api.test_human_input import asks
from tests.controllers.service_api.test_moderation import OUTPUTS, keywords
from tests.controllers.service_api.test_workflows import CHAT, FlowApp
from tests.factories import ChatApp, Owner, make_chat_app, make_owner
from tests.fakes import Piece, Script
from tests.flows import drawn, edges
from tests.servers import Reply, ScriptedServer, Seen, Step
from tests.sse import parse_events, read_events, text_of
from tests.waiting import wait_until

ON: dict[str, Any] = {"enabled": True, "voice": "onyx", "autoPlay": "enabled"}
SAID = "Hello there. How are you? I am fine."


def spoken(seen: Seen) -> Reply:
    """Return the sound of a text: the text itself, between marks, in two pieces."""
    text = seen.json["input"].encode()
    return Reply(steps=[b"<" + text, 0.01, b">"])


@contextmanager
def speaking(client: FlaskClient, owner: Owner) -> Iterator[ScriptedServer]:
    """Give a workspace a server that speaks."""
    with ScriptedServer(Reply()) as made:
        add_speech(client, owner, made, "tts")
        made.seen.clear()
        made.then(spoken)
        yield made


@pytest.fixture
def server(client: FlaskClient, owner: Owner) -> Iterator[ScriptedServer]:
    """A server that speaks, which the workspace has added."""
    with speaking(client, owner) as made:
        yield made


def make_speaking(
    runtime: Runtime, owner: Owner, *pieces: Piece, mode: str = "chat", **config: Any
) -> ChatApp:
    script = Script(pieces=list(pieces or (SAID[:15], SAID[15:])))
    return make_chat_app(runtime, owner, mode=mode, model=script.choice, **{"text_to_speech": ON, **config})


@pytest.fixture
def app(runtime: Runtime, owner: Owner) -> ChatApp:
    return make_speaking(runtime, owner)


def names_of(events: list[dict[str, Any]]) -> list[str]:
    """Return the names of events, those that follow each other of a kind once."""
    names = [event["event"] for event in events]
    return [name for place, name in enumerate(names) if place == 0 or name != names[place - 1]]


def sound_of(events: list[dict[str, Any]]) -> str:
    """Return what a listener hears; raises AssertionError unless the sound ends once, with the stream."""
    names = [event["event"] for event in events]
    assert names.count("tts_message_end") == 1
    assert (names[-1], events[-1]["audio"]) == ("tts_message_end", "")
    return heard_in(events)


def heard_in(events: list[dict[str, Any]]) -> str:
    pieces = [event["audio"] for event in events if event["event"] == "tts_message"]
    assert all(pieces)
    return b"".join(map(base64.b64decode, pieces)).decode()


def read_until(chunks: Iterator[bytes], *, heard: str = "", event: str = "") -> str:
    """Return a stream's text up to a sound, or to an event of a name."""
    text = ""
    while heard not in heard_in(parse_events(text)) or event not in text:
        text += next(chunks).decode()
    return text


# -- apps ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mount", MOUNTS)
def test_answer_is_heard_after_it_is_read(
    client: FlaskClient, app: ChatApp, server: ScriptedServer, mount: str
) -> None:
    events = read_events(send(client, app, mount))

    assert text_of(events) == SAID
    assert sound_of(events).replace("><", " ") == f"<{SAID}>"
    end = events[-1]
    envelope = {name: end[name] for name in ("conversation_id", "message_id", "created_at", "task_id")}
    for event in events:
        assert envelope.items() <= event.items()
    assert end == {"event": "tts_message_end", **envelope, "audio": ""}
    assert {seen.json["voice"] for seen in server.seen} == {"onyx"}


def test_sentence_is_heard_while_the_next_is_written(
    client: FlaskClient, runtime: Runtime, owner: Owner, server: ScriptedServer
) -> None:
    heard = threading.Event()
    app = make_speaking(runtime, owner, "Hello", " there. How", lambda: heard.wait(30), " are you?")
    _, chunks = open_stream(client, app)

    text = read_until(chunks, heard="<Hello there.>")
    assert "are you" not in text
    heard.set()
    events = parse_events(text + b"".join(chunks).decode())

    names = names_of(events)
    assert names[:3] == ["message", "tts_message", "message"]
    assert [name for name in names[3:] if name != "tts_message"] == ["message_end", "tts_message_end"]
    assert sound_of(events) == "<Hello there.><How are you?>"
    assert [seen.json["input"] for seen in server.seen] == ["Hello there.", "How are you?"]


def test_tokens_do_not_wait_for_a_slow_voice(
    client: FlaskClient, runtime: Runtime, owner: Owner, server: ScriptedServer
) -> None:
    is_asked, go_on = threading.Event(), threading.Event()

    def slow(seen: Seen) -> Reply:
        is_asked.set()
        assert go_on.wait(30)
        return spoken(seen)

    server.then(slow)
    rest = [" More. "] * 50
    app = make_speaking(runtime, owner, "One. Two", lambda: is_asked.wait(30), *rest)
    _, chunks = open_stream(client, app)

    text = read_until(chunks, event="message_end")
    wait_until(lambda: stored(runtime, parse_events(text)).status == "normal")
    go_on.set()
    events = parse_events(text + b"".join(chunks).decode())

    assert [name for name in names_of(events) if name != "tts_message"] == [
        "message",
        "message_end",
        "tts_message_end",
    ]
    said = [seen.json["input"] for seen in server.seen]
    assert said[0] == "One."
    assert len(said) == 2  # what came meanwhile is spoken together
    assert len(said[1]) < PART_CHARS


def stored(runtime: Runtime, events: list[dict[str, Any]]) -> Message:
    with runtime.reading() as session:
        return session.scalars(select(Message).where(Message.id == events[0]["message_id"])).one()


@pytest.mark.parametrize("mount", MOUNTS)
def test_completion_and_agent_are_heard_too(
    client: FlaskClient, runtime: Runtime, owner: Owner, server: ScriptedServer, mount: str
) -> None:
    completion = make_speaking(runtime, owner, mode="completion", pre_prompt="Go on.")
    agent = make_speaking(runtime, owner, mode="agent-chat", agent_mode={"enabled": True, "tools": []})

    sent = {"inputs": {}, "query": "x", "user": "ada", "response_mode": "streaming"}
    filled = read_events(client.post(f"{mount}/completion-messages", json=sent, headers=completion.headers))
    thought = read_events(send(client, agent, mount))

    assert "conversation_id" not in filled[-1]
    assert sound_of(filled).replace("><", " ") == f"<{SAID}>"
    assert "agent_message" in names_of(thought)
    assert sound_of(thought).replace("><", " ") == f"<{SAID}>"


@pytest.mark.parametrize("mount", MOUNTS)
def test_chatflow_and_workflow_are_heard_too(
    client: FlaskClient, runtime: Runtime, owner: Owner, server: ScriptedServer, mount: str
) -> None:
    chatflow = FlowApp(client, runtime, owner, "advanced-chat", CHAT, features={"text_to_speech": ON})
    said = {"variable": "said", "value_selector": ["s", "sys.user_id"]}
    graph = {"nodes": [drawn("s", "start"), drawn("e", "end", outputs=[said])], "edges": edges("s > e")}
    workflow = FlowApp(client, runtime, owner, "workflow", graph, features={"text_to_speech": ON})

    chat = read_events(chatflow.post(f"{mount}/chat-messages", query="hello", response_mode="streaming"))
    flow = read_events(workflow.post(f"{mount}/workflows/run", inputs={}, response_mode="streaming"))

    assert sound_of(chat) == f"<{text_of(chat)}>"
    order = [name for name in names_of(chat) if name != "tts_message"]
    assert order[-3:] == ["workflow_finished", "message_end", "tts_message_end"]
    assert chat[-1]["message_id"] == chat[-2]["message_id"]
    texts = [event["data"]["text"] for event in flow if event["event"] == "text_chunk"]
    assert sound_of(flow) == f"<{''.join(texts)}>"
    assert flow[-1] == {
        "event": "tts_message_end",
        "workflow_run_id": flow[0]["workflow_run_id"],
        "task_id": flow[0]["task_id"],
        "audio": "",
    }


@pytest.mark.parametrize(
    "switch",
    [
        {"enabled": True, "voice": "onyx"},
        {"enabled": True, "autoPlay": "disabled"},
        {"enabled": False, "autoPlay": "enabled"},
    ],
)
def test_nothing_is_spoken_unless_the_app_wants_it(
    client: FlaskClient, runtime: Runtime, owner: Owner, server: ScriptedServer, switch: dict[str, Any]
) -> None:
    app = make_speaking(runtime, owner, text_to_speech=switch)

    events = read_events(send(client, app))

    assert names_of(events) == ["message", "message_end"]
    assert not server.seen


def test_nothing_is_spoken_where_nobody_listens(
    client: FlaskClient, runtime: Runtime, owner: Owner, app: ChatApp, server: ScriptedServer
) -> None:
    chatflow = FlowApp(client, runtime, owner, "advanced-chat", CHAT, features={"text_to_speech": ON})

    answer: Any = send(client, app, response_mode="blocking").get_json()
    said = chatflow.post("/v1/chat-messages", query="hello").json

    assert (answer["event"], answer["answer"]) == ("message", SAID)
    assert said["answer"] == "You said hello (1)."
    wait_until(lambda: not runtime.live_runs)
    assert not server.seen


def test_canned_answers_are_heard(
    client: FlaskClient, runtime: Runtime, owner: Owner, server: ScriptedServer
) -> None:
    refusing = keywords("bomb", inputs_config={"enabled": True, "preset_response": "Not that."})
    app = make_speaking(runtime, owner, sensitive_word_avoidance=refusing)

    assert sound_of(read_events(send(client, app, query="A bomb?"))) == "<Not that.>"


# -- what goes wrong -----------------------------------------------------------------------------


def fails(seen: Seen) -> Reply:
    return Reply.of_json({"error": {"message": "hoarse"}}, 400)


def breaks(seen: Seen) -> Reply:
    return Reply(steps=[b"<" + seen.json["input"].encode(), Step.DROP])


@pytest.mark.parametrize(("script", "heard"), [(fails, ("",)), (breaks, ("<Hello there.", f"<{SAID}"))])
def test_voice_that_fails_fails_alone(
    client: FlaskClient,
    app: ChatApp,
    server: ScriptedServer,
    caplog: pytest.LogCaptureFixture,
    script: Any,
    heard: tuple[str, ...],
) -> None:
    caplog.set_level(logging.WARNING)
    server.then(script)

    events = read_events(send(client, app))

    assert text_of(events) == SAID
    assert sound_of(events) in heard
    assert "answer not read aloud: completion_request_error" in caplog.messages
    assert len(server.seen) == 1
    said = history(client, app, events[0]["conversation_id"])["data"][0]
    assert (said["answer"], said["status"]) == (SAID, "normal")


def test_workspace_without_a_voice_answers_all_the_same(
    client: FlaskClient, runtime: Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    app = make_speaking(runtime, make_owner(runtime))

    events = read_events(send(client, app))

    assert (text_of(events), sound_of(events)) == (SAID, "")
    assert "answer not read aloud: provider_not_initialize" in caplog.messages


def test_slow_voice_is_not_waited_for_for_ever(
    client: FlaskClient,
    house: Flask,
    runtime: Runtime,
    app: ChatApp,
    server: ScriptedServer,
    *,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.WARNING)
    server.then(Reply(steps=[b"<", Step.HANG]))
    hasty = replace(runtime, limits=replace(runtime.limits, speech_timeout_s=0.3))
    monkeypatch.setitem(house.extensions, "runtime", hasty)

    events = read_events(send(client, app))

    assert (text_of(events), sound_of(events)) == (SAID, "<")
    assert server.wait_for_hangup(30)
    assert "answer not read aloud to its end" in caplog.messages


def test_slow_voice_holds_no_slot_and_is_stopped_after_the_answer(
    client: FlaskClient, runtime: Runtime, owner: Owner, app: ChatApp, server: ScriptedServer
) -> None:
    limit = {"max_active_requests": 1}
    client.put(f"/console/api/apps/{app.id}", json=limit, headers=owner.headers)
    server.then(Reply(steps=[b"<", Step.HANG]))
    _, chunks = open_stream(client, app)
    text = read_until(chunks, event="message_end")

    again = send(client, app, response_mode="blocking")

    assert again.status_code == 200
    task_id = parse_events(text)[0]["task_id"]
    client.post(f"/api/chat-messages/{task_id}/stop", json={"user": "ada"}, headers=app.headers)
    events = parse_events(text + b"".join(chunks).decode())
    assert sound_of(events) in ("", "<")
    assert stored(runtime, events).status == "normal"


@pytest.mark.parametrize("mount", MOUNTS)
def test_stop_ends_the_sound_with_the_answer(
    client: FlaskClient, runtime: Runtime, owner: Owner, server: ScriptedServer, mount: str
) -> None:
    gate = threading.Event()
    app = make_speaking(runtime, owner, "Hello there. How", lambda: gate.wait(30), " are you?", " More.")
    server.then(Reply(steps=[b"<", Step.HANG]))
    _, chunks = open_stream(client, app)
    text = read_until(chunks, heard="<")
    task_id = parse_events(text)[0]["task_id"]

    client.post(f"{mount}/chat-messages/{task_id}/stop", json={"user": "ada"}, headers=app.headers)
    assert server.wait_for_hangup(30)
    gate.set()
    events = parse_events(text + b"".join(chunks).decode())

    assert sound_of(events) == "<"
    assert names_of(events)[-2:] == ["message_end", "tts_message_end"]
    assert len(server.seen) == 1
    assert stored(runtime, events).status == "stopped"


def test_error_is_the_last_event(
    client: FlaskClient, runtime: Runtime, owner: Owner, server: ScriptedServer
) -> None:
    def fail() -> None:
        assert is_heard.wait(30)
        raise CompletionFailed("The model went away.")

    is_heard = threading.Event()
    server.then(Reply(steps=[b"<", Step.HANG]))
    app = make_speaking(runtime, owner, "Hello there. How", fail)
    _, chunks = open_stream(client, app)
    text = read_until(chunks, heard="<")
    is_heard.set()
    events = parse_events(text + b"".join(chunks).decode())

    assert names_of(events) == ["message", "tts_message", "error"]
    assert server.wait_for_hangup(30)


# -- moderation ----------------------------------------------------------------------------------


def test_replaced_answer_is_heard_no_further(
    client: FlaskClient, runtime: Runtime, owner: Owner, server: ScriptedServer
) -> None:
    is_heard = threading.Event()
    pieces: list[Piece] = [
        "Fine so far. " * 30,
        lambda: is_heard.wait(30),
        "The world ends. ",
        "!" * 300,
        "More. ",
    ]
    app = make_speaking(
        runtime, owner, *pieces, sensitive_word_avoidance=keywords("world", outputs_config=OUTPUTS)
    )
    _, chunks = open_stream(client, app)
    text = read_until(chunks, heard="<")
    is_heard.set()
    events = parse_events(text + b"".join(chunks).decode())

    heard = sound_of(events)
    assert heard.startswith("<Fine so far.")
    assert "world" not in heard
    names = [event["event"] for event in events]
    assert "tts_message" not in names[names.index("message_replace") :]


def test_answer_is_heard_once_it_was_looked_at(
    client: FlaskClient, runtime: Runtime, owner: Owner, server: ScriptedServer
) -> None:
    app = make_speaking(runtime, owner, sensitive_word_avoidance=keywords("world", outputs_config=OUTPUTS))

    events = read_events(send(client, app))

    names = [name for name in names_of(events) if name != "tts_message"]
    assert names == ["message", "message_end", "tts_message_end"]
    assert sound_of(events) == f"<{SAID}>"


# -- readers, pauses, the ledger -----------------------------------------------------------------


@pytest.mark.parametrize("mount", MOUNTS)
def test_other_readers_get_the_identical_events(
    client: FlaskClient, app: ChatApp, server: ScriptedServer, mount: str
) -> None:
    numbered = {**app.headers, "X-Stream-Ids": "true"}
    events = read_events(client.post(f"{mount}/chat-messages", json=ASKED, headers=numbered))
    path = f"{mount}/chat-messages/{events[0]['task_id']}/events"

    again = client.get(path, query_string={"user": "ada"}, headers=app.headers)
    half = client.get(
        path, query_string={"user": "ada"}, headers={**app.headers, "Last-Event-ID": str(len(events) - 2)}
    )

    assert [event["#"] for event in events] == list(range(1, len(events) + 1))
    assert parse_events(again.text) == events
    assert parse_events(half.text) == events[-2:]


def test_reader_in_another_process_gets_them_too(
    client: FlaskClient,
    house: Flask,
    runtime: Runtime,
    app: ChatApp,
    server: ScriptedServer,
    *,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    writing, reading = Backend(redis_url), Backend(redis_url)
    monkeypatch.setitem(house.extensions, "runtime", replace(runtime, channel=writing))
    events = read_events(send(client, app))
    monkeypatch.setitem(house.extensions, "runtime", replace(runtime, channel=reading))

    path = f"/api/chat-messages/{events[0]['task_id']}/events"
    again = parse_events(client.get(path, query_string={"user": "ada"}, headers=app.headers).text)

    assert again == [{**event, "#": number} for number, event in enumerate(events, 1)]
    for channel in (writing, reading):
        channel.stop()


def test_client_that_leaves_changes_nothing(
    client: FlaskClient, app: ChatApp, server: ScriptedServer
) -> None:
    answer, chunks = open_stream(client, app)
    first = parse_events(next(chunks).decode())[0]
    answer.close()

    path = f"/api/chat-messages/{first['task_id']}/events"
    events = parse_events(client.get(path, query_string={"user": "ada"}, headers=app.headers).text)

    assert sound_of(events).replace("><", " ") == f"<{SAID}>"


def test_sound_ends_where_a_run_pauses_and_nothing_is_lost_after(
    client: FlaskClient, runtime: Runtime, owner: Owner, server: ScriptedServer
) -> None:
    is_heard = threading.Event()
    script = Script(pieces=["Let me ask. Some", lambda: is_heard.wait(30), "body."])
    graph = {
        "nodes": [
            drawn("s", "start"),
            writer(script),
            drawn("first", "answer", answer="{{#llm.text#}}"),
            asks("h", "Tea?"),
            drawn("then", "answer", answer="They said: {{#h.note#}}"),
        ],
        "edges": edges("s > llm > first > h [yes] > then"),
    }
    app = FlowApp(client, runtime, owner, "advanced-chat", graph, features={"text_to_speech": ON})
    answer = app.post("/v1/chat-messages", query="Tea", response_mode="streaming")
    chunks = (chunk for chunk in answer.iter_encoded() if chunk)
    text = read_until(chunks, heard="<Let me ask.>")
    is_heard.set()
    told = parse_events(text + b"".join(chunks).decode())

    assert sound_of(told[:-1]).startswith("<Let me ask.>")
    assert told[-1]["event"] == "workflow_paused"
    token = next(event for event in told if event["event"] == "human_input_required")["data"]["form_token"]
    spoken_before = len(server.seen)
    assert app.post(f"/v1/form/human_input/{token}", action="yes", inputs={"note": "yes"}).status_code == 200
    path, query = (
        f"/v1/workflow/{told[0]['workflow_run_id']}/events",
        {"user": "ada", "continue_on_pause": "true"},
    )
    after = client.get(path, query_string=query, headers={**app.headers, "Last-Event-ID": str(len(told))})
    events = parse_events(after.text)
    assert text_of(events) == "They said: yes"
    assert events[0]["#"] == len(told) + 1
    assert events[-1]["event"] == "message_end"
    assert len(server.seen) == spoken_before  # nobody is known to listen by then


def test_what_is_spoken_is_in_the_ledger(
    client: FlaskClient, runtime: Runtime, owner: Owner, app: ChatApp, server: ScriptedServer
) -> None:
    read_events(send(client, app))
    wait_until(lambda: not runtime.live_runs)

    with runtime.reading() as session:
        rows = session.scalars(select(UsageDay).where(UsageDay.app_id == app.id)).all()
    calls = {row.model: row.calls for row in rows}
    assert calls["my-tts"] == len(server.seen) >= 1
    assert len({(row.key_id, row.actor_id) for row in rows}) == 1
