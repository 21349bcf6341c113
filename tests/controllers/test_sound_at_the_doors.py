"""Answers read aloud at the doors of guests and of the console."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from api.runtime import Runtime
from tests.controllers.console.flow_calls import DraftApp
from tests.controllers.guest_calls import open_page
from tests.controllers.service_api.test_read_aloud import ON, SAID, make_speaking, sound_of, speaking
from tests.controllers.service_api.test_workflows import CHAT, FlowApp
from tests.factories import ChatApp, Owner, make_app
from tests.fakes import Script
from tests.flows import drawn, edges
from tests.servers import ScriptedServer
from tests.sse import parse_events, read_events, text_of
from tests.waiting import wait_until


@pytest.fixture
def server(client: FlaskClient, owner: Owner) -> Iterator[ScriptedServer]:
    """A server that speaks, which the workspace has added."""
    with speaking(client, owner) as made:
        yield made


def test_guest_hears_an_answer_and_hears_it_again(
    client: FlaskClient, runtime: Runtime, owner: Owner, server: ScriptedServer
) -> None:
    guest = open_page(client, owner, make_speaking(runtime, owner).id)

    events = read_events(guest.post("/chat-messages", query="Hi", inputs={}, response_mode="streaming"))
    again = guest.get(f"/chat-messages/{events[0]['task_id']}/events")

    assert sound_of(events).replace("><", " ") == f"<{SAID}>"
    assert sound_of(parse_events(again.text)) == sound_of(events)
    assert "usage" not in str(events)


@pytest.mark.parametrize("mode", ["chat", "completion", "workflow"])
def test_client_without_ears_has_nothing_spoken(
    client: FlaskClient, runtime: Runtime, owner: Owner, server: ScriptedServer, mode: str
) -> None:
    app: ChatApp | FlowApp
    if mode == "workflow":
        said = {"variable": "said", "value_selector": ["s", "sys.user_id"]}
        graph = {"nodes": [drawn("s", "start"), drawn("e", "end", outputs=[said])], "edges": edges("s > e")}
        app = FlowApp(client, runtime, owner, mode, graph, features={"text_to_speech": ON})
    else:
        app = make_speaking(runtime, owner, mode=mode, pre_prompt="Go on.")
    guest = open_page(client, owner, app.id)
    path = "/workflows/run" if mode == "workflow" else f"/{mode}-messages"
    asked = {"inputs": {}, "response_mode": "streaming", "read_aloud": False}

    events = read_events(guest.post(path, **asked, **({} if mode == "workflow" else {"query": "Hi"})))
    bad = guest.post(path, **{**asked, "query": "Hi", "read_aloud": "no"})

    wait_until(lambda: not runtime.live_runs)
    assert events[-1]["event"] in ("message_end", "workflow_finished")
    assert not server.seen
    assert (bad.status_code, bad.get_json()["code"]) == (400, "invalid_param")


def test_answer_that_is_asked_for_once_more_is_heard(
    client: FlaskClient, runtime: Runtime, owner: Owner, server: ScriptedServer
) -> None:
    app = make_speaking(
        runtime, owner, mode="completion", pre_prompt="Go on.", more_like_this={"enabled": True}
    )
    guest = open_page(client, owner, app.id)
    message_id = guest.post("/completion-messages", query="x", inputs={}).get_json()["message_id"]
    assert not server.seen
    path = f"/messages/{message_id}/more-like-this"

    silent = guest.get(path, response_mode="blocking").get_json()
    assert not server.seen
    events = read_events(guest.get(path, response_mode="streaming"))

    assert silent["answer"] == SAID
    assert sound_of(events).replace("><", " ") == f"<{SAID}>"


def test_console_hears_what_it_tries(
    client: FlaskClient, runtime: Runtime, owner: Owner, server: ScriptedServer
) -> None:
    app_id = make_app(runtime, owner, mode="chat")

    def events_of(**config: Any) -> list[dict[str, Any]]:
        body = {
            "inputs": {},
            "query": "Hi",
            "response_mode": "streaming",
            "model_config": {"model": Script([SAID]).choice, **config},
        }
        path = f"/console/api/apps/{app_id}/chat-messages"
        return read_events(client.post(path, json=body, headers=owner.headers))

    assert [event["event"] for event in events_of()] == ["message", "message_end"]
    assert not server.seen
    assert sound_of(events_of(text_to_speech=ON)).replace("><", " ") == f"<{SAID}>"


def test_console_hears_a_draft(
    client: FlaskClient, runtime: Runtime, owner: Owner, server: ScriptedServer
) -> None:
    draft = DraftApp(client, runtime, owner, CHAT, mode="advanced-chat", features={"text_to_speech": ON})

    events = draft.run(query="hello")

    assert sound_of(events) == f"<{text_of(events)}>"
    assert "".join(seen.json["input"] for seen in server.seen) == text_of(events)
