"""What an app tells of itself, completion apps, and who may ask."""

from io import BytesIO

import pytest
from flask.testing import FlaskClient

from api.runtime import Runtime
from api.services import uploads
from api.services.uploads import IncomingFile
from tests.factories import ChatApp, Owner, make_app, make_chat_app, make_key, make_owner
from tests.fakes import Script
from tests.sse import read_events, text_of
from tests.uploads import PNG


@pytest.mark.parametrize("mount", ["/api", "/v1"])
def test_info_parameters_meta_and_site_answer_on_both_mounts(
    client: FlaskClient, chat_app: ChatApp, mount: str
) -> None:
    for path in ("/info", "/parameters", "/meta", "/site"):
        answer = client.get(f"{mount}{path}", headers=chat_app.headers)
        assert answer.status_code == 200, answer.text
    assert client.get(f"{mount}/").get_json()["api_version"] == "v1"


def test_info_names_app_and_author(client: FlaskClient, chat_app: ChatApp) -> None:
    info = client.get("/api/info", headers=chat_app.headers).get_json()

    assert info["mode"] == "chat"
    assert info["author_name"] == "Test Owner"
    assert info["tags"] == []


def test_info_tells_the_words_the_app_is_sorted_by(
    client: FlaskClient, owner: Owner, chat_app: ChatApp
) -> None:
    for name in ("sea", "ice"):
        made = client.post(
            "/console/api/tags", json={"name": name, "type": "app"}, headers=owner.headers
        ).get_json()
        bound = {"tag_ids": [made["id"]], "target_id": chat_app.id, "type": "app"}
        client.post("/console/api/tag-bindings/create", json=bound, headers=owner.headers)

    assert client.get("/v1/info", headers=chat_app.headers).get_json()["tags"] == ["ice", "sea"]


def test_site_gives_the_address_of_an_uploaded_icon(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    sent = IncomingFile(name="i.png", content=BytesIO(PNG), size_bytes=len(PNG), sha256="0" * 64)
    icon = {"icon_type": "image", "icon": uploads.create_upload(runtime, owner.principal, sent).id}
    body = {"name": "Pictured", "mode": "chat", **icon}
    made = client.post("/console/api/apps", json=body, headers=owner.headers).get_json()
    headers = {"Authorization": f"Bearer {make_key(runtime, owner, made['id'])}"}

    site = client.get("/v1/site", headers=headers).get_json()

    assert (site["icon_type"], site["icon"]) == ("image", icon["icon"])
    with client.get(site["icon_url"]) as shown:
        assert shown.data == PNG


def test_parameters_show_the_form_as_it_was_made_and_the_real_limits(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    form = [{"select": {"variable": "city", "label": "City", "required": True, "options": ["a", "b"]}}]
    app = make_chat_app(
        runtime, owner, user_input_form=form, opening_statement="Hi", suggested_questions=["q"]
    )

    parameters = client.get("/api/parameters", headers=app.headers).get_json()

    ((kind, item),) = parameters["user_input_form"][0].items()
    assert (kind, item["variable"], item["options"]) == ("select", "city", ["a", "b"])
    assert parameters["opening_statement"] == "Hi"
    assert parameters["suggested_questions"] == ["q"]
    assert parameters["system_parameters"]["image_file_size_limit"] == 15
    assert parameters["system_parameters"]["file_size_limit"] == 100


@pytest.mark.parametrize("mode", ["workflow", "advanced-chat"])
def test_app_with_nothing_published_is_unavailable(
    client: FlaskClient, runtime: Runtime, owner: Owner, mode: str
) -> None:
    app_id = make_app(runtime, owner, mode=mode)
    headers = {"Authorization": f"Bearer {make_key(runtime, owner, app_id)}"}

    answer = client.get("/api/parameters", headers=headers)

    assert (answer.status_code, answer.get_json()["code"]) == (400, "app_unavailable")


@pytest.mark.parametrize("mount", ["/api", "/v1"])
def test_completion_fills_its_template(
    client: FlaskClient, runtime: Runtime, owner: Owner, mount: str
) -> None:
    script = Script()
    app = make_chat_app(runtime, owner, mode="completion", model=script.choice, pre_prompt="Say {{query}}!")
    body = {"query": "hello", "inputs": {}, "user": "ada"}

    whole = client.post(f"{mount}/completion-messages", json=body, headers=app.headers).get_json()
    streamed = read_events(
        client.post(
            f"{mount}/completion-messages", json={**body, "response_mode": "streaming"}, headers=app.headers
        )
    )

    assert script.requests[0].messages[0].text == "Say hello!"
    assert (whole["answer"], whole["mode"]) == ("Hello world", "completion")
    assert "conversation_id" not in whole
    assert text_of(streamed) == "Hello world"
    assert all("conversation_id" not in event for event in streamed)


def test_completion_route_refuses_a_chat_app(client: FlaskClient, chat_app: ChatApp) -> None:
    answer = client.post("/api/completion-messages", json={"user": "ada"}, headers=chat_app.headers)

    assert (answer.status_code, answer.get_json()["code"]) == (400, "app_unavailable")


def test_workspace_key_needs_to_know_which_app(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    first = make_chat_app(runtime, owner, model=Script().choice)
    key = make_key(runtime, owner, None)
    body = {"query": "Hi", "user": "ada"}
    headers = {"Authorization": f"Bearer {key}"}

    make_app(runtime, owner, mode="agent-chat")
    alone = client.post("/api/chat-messages", json=body, headers=headers)
    second = make_chat_app(runtime, owner, model=Script(pieces=["second"]).choice)
    unclear = client.post("/api/chat-messages", json=body, headers=headers)
    by_header = client.post("/api/chat-messages", json=body, headers={**headers, "X-App-Id": second.id})
    by_body = client.post("/api/chat-messages", json={**body, "app_id": first.id}, headers=headers)

    assert alone.get_json()["answer"] == "Hello world"
    assert (unclear.status_code, unclear.get_json()["params"]) == (400, "app_id")
    assert by_header.get_json()["answer"] == "second"
    assert by_body.get_json()["answer"] == "Hello world"


def test_workspace_key_does_not_open_another_workspace(
    client: FlaskClient, runtime: Runtime, owner: Owner, chat_app: ChatApp
) -> None:
    stranger = make_owner(runtime)
    headers = {"Authorization": f"Bearer {make_key(runtime, stranger, None)}", "X-App-Id": chat_app.id}

    answer = client.get("/api/info", headers=headers)

    assert answer.status_code == 404
