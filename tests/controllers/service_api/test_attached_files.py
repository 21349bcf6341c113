"""Files of messages, all the way: uploaded, attached, seen by the model, shown in the history."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from api.core.model_runtime.types import ImagePart, TextPart
from api.runtime import Runtime
from tests import uploads
from tests.factories import ChatApp, Owner, make_chat_app
from tests.fakes import Script
from tests.uploads import fetch, uploaded

IMAGES_ON = {"image": {"enabled": True, "number_limits": 3, "detail": "low"}}


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def seeing(runtime: Runtime, owner: Owner, script: Script) -> ChatApp:
    """A chat app that takes images."""
    return make_chat_app(runtime, owner, model=script.choice, file_upload=IMAGES_ON)


def ask(client: FlaskClient, app: ChatApp, *files: dict[str, Any], user: str = "ada") -> Any:
    return client.post(
        "/api/chat-messages",
        json={"query": "What is this?", "user": user, "files": list(files)},
        headers=app.headers,
    )


def local(file_id: str) -> dict[str, Any]:
    return {"type": "image", "transfer_method": "local_file", "upload_file_id": file_id}


def test_uploaded_image_reaches_the_model(client: FlaskClient, seeing: ChatApp, script: Script) -> None:
    answer = ask(client, seeing, local(uploaded(client, seeing)["id"]))

    assert answer.status_code == 200, answer.text
    question = script.requests[0].messages[-1]
    assert question.parts == (
        ImagePart(mime_type="image/png", data=uploads.PNG, detail="low"),
        TextPart("What is this?"),
    )


def test_attached_image_is_shown_in_the_history(client: FlaskClient, seeing: ChatApp) -> None:
    file_id = uploaded(client, seeing)["id"]
    answer = ask(client, seeing, local(file_id))

    history = client.get(
        f"/api/conversations/{answer.json['conversation_id']}/messages?user=ada", headers=seeing.headers
    )

    (file,) = history.json["data"][0]["message_files"]  # type: ignore[index]  # a page was answered
    url = file.pop("url")
    assert file == {
        "id": file_id,
        "filename": "picture.png",
        "type": "image",
        "mime_type": "image/png",
        "size": len(uploads.PNG),
        "transfer_method": "local_file",
        "belongs_to": "user",
        "upload_file_id": file_id,
    }
    assert fetch(client, url).data == uploads.PNG


def test_foreign_image_is_refused_before_the_run(
    client: FlaskClient, seeing: ChatApp, script: Script
) -> None:
    file_id = uploaded(client, seeing, user="bob")["id"]

    answer = ask(client, seeing, local(file_id))

    assert (answer.status_code, answer.json["code"]) == (400, "invalid_param")
    assert answer.json["message"] == "Invalid upload file"
    assert script.requests == []


def test_image_on_a_private_address_ends_the_run_unasked(
    client: FlaskClient, seeing: ChatApp, script: Script
) -> None:
    answer = ask(
        client, seeing, {"type": "image", "transfer_method": "remote_url", "url": "http://127.0.0.1:9/a.png"}
    )

    assert (answer.status_code, answer.json["code"]) == (400, "egress_denied")
    assert script.requests == []


def test_files_sent_to_an_app_that_takes_none_are_ignored(
    client: FlaskClient, runtime: Runtime, owner: Owner, script: Script
) -> None:
    app = make_chat_app(runtime, owner, model=script.choice)

    answer = ask(client, app, local("anything"))

    assert answer.status_code == 200
    assert script.requests[0].messages[-1].parts == (TextPart("What is this?"),)
