"""Speech through the public API: recordings written down, texts and answers read aloud."""

import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient

from api.runtime import Runtime
from api.services import speech
from tests.controllers.app_calls import add_speech
from tests.controllers.service_api.test_workflows import CHAT, FlowApp
from tests.factories import ChatApp, Owner, make_app, make_chat_app, make_key, make_owner
from tests.fakes import Script
from tests.servers import Reply, ScriptedServer, Step
from tests.uploads import MP3, MP4, PNG, WAV

ON: dict[str, Any] = {
    "speech_to_text": {"enabled": True},
    "text_to_speech": {"enabled": True, "voice": "onyx"},
}
TEXT = Reply.of_json({"text": "Hello there."})
SOUND = Reply(body=b"ID3" + b"x" * 50_000)
NOBODY = "11111111-1111-4111-8111-111111111111"


@pytest.fixture
def app(runtime: Runtime, owner: Owner) -> ChatApp:
    return make_chat_app(runtime, owner, model=Script().choice, **ON)


@pytest.fixture
def server(client: FlaskClient, owner: Owner) -> Iterator[ScriptedServer]:
    """A server with models that hear and speak, which the workspace has added."""
    with ScriptedServer(Reply()) as made:
        add_speech(client, owner, made)
        made.seen.clear()
        yield made


def hear(
    client: FlaskClient,
    app: ChatApp | FlowApp,
    content: bytes = MP3,
    name: str = "a.mp3",
    mime: str = "application/octet-stream",
    mount: str = "/api",
) -> Any:
    form = {"file": (io.BytesIO(content), name, mime), "user": "ada"}
    return client.post(f"{mount}/audio-to-text", data=form, headers=app.headers)


def speak(client: FlaskClient, app: ChatApp | FlowApp, mount: str = "/api", **body: object) -> Any:
    return client.post(f"{mount}/text-to-audio", json={"user": "ada", **body}, headers=app.headers)


def text_file() -> dict[str, Any]:
    return {"file": (io.BytesIO(b"hello"), "a.txt"), "user": "ada"}


def fault_of(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.get_json()["code"]


# -- recordings ----------------------------------------------------------------------------------


@pytest.mark.parametrize("mount", ["/api", "/v1"])
def test_recording_is_written_down(
    client: FlaskClient, app: ChatApp, server: ScriptedServer, mount: str
) -> None:
    server.then(TEXT)

    answer = hear(client, app, mount=mount)

    assert (answer.status_code, answer.get_json()) == (200, {"text": "Hello there."})
    (seen,) = server.seen
    assert seen.target == "/v1/audio/transcriptions"
    assert MP3 in seen.body
    assert b"my-speech2text" in seen.body


@pytest.mark.parametrize(
    ("recording", "sent"),
    [
        ((MP3, "a.MPGA", "text/plain"), b"audio.mpga"),
        ((MP4, "voice.m4a", "audio/x-m4a"), b"audio.m4a"),
        ((WAV, "blob", "audio/wav"), b"audio.wav"),
        ((b"#!AMR\n", "x", "audio/amr"), b"audio.amr"),
        ((MP3, "rec.bin", "audio/mpeg;codecs=mp3"), b"audio.mp3"),
    ],
)
def test_kind_of_a_recording_is_told_by_its_name_or_else_its_type(
    client: FlaskClient,
    app: ChatApp,
    server: ScriptedServer,
    recording: tuple[bytes, str, str],
    sent: bytes,
) -> None:
    server.then(TEXT)

    assert hear(client, app, *recording).status_code == 200
    assert sent in server.seen[0].body


@pytest.mark.parametrize(
    ("content", "name", "mime"),
    [
        (MP3, "a.ogg", "audio/ogg"),
        (PNG, "a.png", "image/png"),
        (PNG, "a.mp3", "audio/mpeg"),
        (b"", "a.wav", ""),
    ],
)
def test_other_files_are_no_recordings(
    client: FlaskClient, app: ChatApp, server: ScriptedServer, content: bytes, name: str, mime: str
) -> None:
    assert fault_of(hear(client, app, content, name, mime)) == (415, "unsupported_audio_type")
    assert not server.seen


def test_recording_over_the_limit_is_too_large(
    client: FlaskClient, app: ChatApp, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speech, "MAX_AUDIO_BYTES", 1000)
    server.then(TEXT)

    assert fault_of(hear(client, app, MP3.ljust(1001))) == (413, "audio_too_large")
    assert hear(client, app, MP3.ljust(1000)).status_code == 200


def test_form_without_a_recording_or_with_two_is_refused(client: FlaskClient, app: ChatApp) -> None:
    none = client.post(
        "/v1/audio-to-text", data={"user": "a"}, content_type="multipart/form-data", headers=app.headers
    )
    files = [(io.BytesIO(MP3), "a.mp3"), (io.BytesIO(MP3), "b.mp3")]
    two = client.post("/v1/audio-to-text", data={"file": files}, headers=app.headers)
    no_form = client.post("/v1/audio-to-text", json={}, headers=app.headers)

    assert fault_of(none) == (400, "no_audio_uploaded")
    assert fault_of(two) == (400, "too_many_files")
    assert fault_of(no_form) == (415, "unsupported_media_type")


def test_model_that_fails_is_told_of(client: FlaskClient, app: ChatApp, server: ScriptedServer) -> None:
    server.then(Reply.of_json({"error": {"message": "too noisy"}}, 400))

    answer = hear(client, app)

    assert fault_of(answer) == (400, "completion_request_error")
    assert answer.get_json()["message"] == "too noisy"


# -- sound ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mount", ["/api", "/v1"])
@pytest.mark.parametrize(
    ("voice", "used"), [({}, "onyx"), ({"voice": "nova"}, "nova"), ({"voice": ""}, "onyx")]
)
def test_text_is_read_aloud_in_the_voice_asked_for_or_the_apps(
    client: FlaskClient,
    app: ChatApp,
    server: ScriptedServer,
    mount: str,
    voice: dict[str, str],
    used: str,
) -> None:
    server.then(SOUND)

    answer = speak(client, app, mount, text="Good day.", streaming=False, **voice)

    assert (answer.status_code, answer.content_type) == (200, "audio/mpeg")
    assert answer.data == SOUND.body
    (seen,) = server.seen
    assert seen.target == "/v1/audio/speech"
    assert (seen.json["model"], seen.json["input"], seen.json["voice"]) == ("my-tts", "Good day.", used)


def test_sound_goes_out_while_it_is_made(client: FlaskClient, app: ChatApp, server: ScriptedServer) -> None:
    server.then(Reply(steps=[b"ID3-one", Step.HANG]))

    answer = client.post(
        "/api/text-to-audio", json={"text": "Hi.", "user": "ada"}, headers=app.headers, buffered=False
    )

    assert next(iter(answer.iter_encoded())) == b"ID3-one"
    answer.close()
    assert server.wait_for_hangup(30)


def test_answer_of_a_message_counts_more_than_text(
    client: FlaskClient, app: ChatApp, server: ScriptedServer
) -> None:
    sent = {"query": "Hi", "user": "ada", "auto_generate_name": False}
    said: Any = client.post("/api/chat-messages", json=sent, headers=app.headers).get_json()
    server.then(SOUND)

    assert speak(client, app, text="No", message_id=said["id"]).status_code == 200
    assert server.seen[-1].json["input"] == "Hello world"
    stranger = speak(client, app, message_id=said["id"], user="bob")
    assert (stranger.status_code, stranger.get_json()["message"]) == (404, "Message Not Exists.")
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 400, "text"),
        ({"text": " \n", "message_id": ""}, 400, "text"),
        ({"text": "x" * 40_001}, 400, "text"),
        ({"message_id": "no-id"}, 400, "message_id"),
        ({"text": 5}, 400, "text"),
        ({"message_id": NOBODY}, 404, None),
    ],
)
def test_nothing_or_too_much_to_say_is_refused(
    client: FlaskClient, app: ChatApp, body: dict[str, Any], status: int, field: str | None
) -> None:
    answer = speak(client, app, **body)

    assert (answer.status_code, answer.get_json().get("params")) == (status, field)


# -- apps and workspaces -------------------------------------------------------------------------


def test_app_with_the_features_off_refuses(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    app = make_chat_app(runtime, owner)

    assert fault_of(hear(client, app)) == (400, "speech_to_text_disabled")
    spoken = speak(client, app, text="Hi")
    assert (fault_of(spoken), spoken.get_json()["message"]) == ((400, "invalid_param"), "TTS is not enabled")


def test_workflow_apps_have_the_features_of_their_published_version(
    client: FlaskClient, runtime: Runtime, owner: Owner, server: ScriptedServer
) -> None:
    app = FlowApp(client, runtime, owner, "advanced-chat", CHAT, features=ON)
    server.then(TEXT, SOUND)

    assert hear(client, app).status_code == 200
    assert speak(client, app, text="Hi").status_code == 200
    assert server.seen[-1].json["voice"] == "onyx"


def test_app_with_nothing_published_is_unavailable(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    app_id = make_app(runtime, owner, mode="workflow")
    app = ChatApp(id=app_id, key=make_key(runtime, owner, app_id), owner=owner)

    assert fault_of(hear(client, app)) == (400, "app_unavailable")
    assert fault_of(speak(client, app, text="Hi")) == (400, "app_unavailable")


def test_workspace_without_a_provider_or_without_such_a_model_says_which(
    client: FlaskClient, runtime: Runtime
) -> None:
    owner = make_owner(runtime)
    app = make_chat_app(runtime, owner, **ON)

    assert fault_of(hear(client, app)) == (400, "provider_not_initialize")
    assert fault_of(speak(client, app, text="Hi")) == (400, "provider_not_initialize")
    with ScriptedServer(Reply()) as other:
        add_speech(client, owner, other, "llm")
    assert fault_of(hear(client, app)) == (400, "provider_not_support_speech_to_text")
    assert fault_of(speak(client, app, text="Hi")) == (400, "provider_not_initialize")


def test_speech_counts_as_a_run_until_it_is_over(
    client: FlaskClient, owner: Owner, app: ChatApp, server: ScriptedServer
) -> None:
    limit = {"max_active_requests": 1}
    client.put(f"/console/api/apps/{app.id}", json=limit, headers=owner.headers)
    server.then(Reply(steps=[b"ID3-one", Step.HANG]), Reply.of_json({"error": {"message": "no"}}, 400), TEXT)

    speaking = client.post(
        "/api/text-to-audio", json={"text": "Hi.", "user": "ada"}, headers=app.headers, buffered=False
    )
    refused = (hear(client, app), speak(client, app, text="Hi"))
    speaking.close()

    assert [fault_of(answer) for answer in refused] == [(429, "rate_limit_exceeded")] * 2
    assert [hear(client, app).status_code for _ in range(2)] == [400, 200]


def test_key_that_was_narrowed_speaks_only_where_that_was_named(
    client: FlaskClient, runtime: Runtime, owner: Owner, app: ChatApp, server: ScriptedServer
) -> None:
    def opens(*permissions: str) -> list[bool]:
        narrow = replace(app, key=make_key(runtime, owner, app.id, *permissions))
        server.then(TEXT, SOUND)
        answers = [hear(client, narrow, mount="/v1"), speak(client, narrow, text="Hi")]
        answers.append(client.post("/v1/files/upload", data=text_file(), headers=narrow.headers))
        refused = [answer for answer in answers if answer.status_code >= 400]
        assert {answer.status_code for answer in refused} <= {403}, answers
        return [answer not in refused for answer in answers]

    assert opens("chat", "completion", "workflow") == [True, True, True]
    assert opens("chat", "audio") == [True, True, True]
    assert opens("chat") == [False, False, True]
    assert opens("audio") == [True, True, False]
    assert opens("file") == [False, False, True]
    assert opens("dataset") == [False, False, False]
