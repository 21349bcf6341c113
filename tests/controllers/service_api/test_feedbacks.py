"""All feedback of an app, and the end users it came from; closed between apps and workspaces."""

from datetime import datetime
from typing import Any

import pytest
from flask.testing import FlaskClient

from api.runtime import Runtime
from tests.conftest import BOTH
from tests.factories import ChatApp, Owner, make_chat_app, make_owner
from tests.fakes import Script

pytestmark = BOTH

NOBODY = "11111111-1111-4111-8111-111111111111"


@pytest.fixture
def app(runtime: Runtime, owner: Owner) -> ChatApp:
    return make_chat_app(runtime, owner, model=Script().choice)


def rate(client: FlaskClient, app: ChatApp, user: str, rating: str = "like", **body: object) -> Any:
    """Send a message, rate its answer, and return that."""
    sent = {"query": "Hi", "user": user, "auto_generate_name": False}
    said: Any = client.post("/api/chat-messages", json=sent, headers=app.headers).get_json()
    rated = client.post(
        f"/api/messages/{said['id']}/feedbacks",
        json={"user": user, "rating": rating, **body},
        headers=app.headers,
    )
    assert rated.status_code == 200, rated.text
    return said


def load(client: FlaskClient, app: ChatApp, query: str = "", mount: str = "/api") -> Any:
    answer = client.get(f"{mount}/app/feedbacks{query}", headers=app.headers)
    assert answer.status_code == 200, answer.text
    return answer.get_json()["data"]


@pytest.mark.parametrize("mount", ["/api", "/v1"])
def test_feedback_of_all_end_users_is_listed_latest_first(
    client: FlaskClient, app: ChatApp, mount: str
) -> None:
    first = rate(client, app, "ada", content="Nice")
    second = rate(client, app, "bob", "dislike")

    bob, ada = load(client, app, mount=mount)

    assert (bob["message_id"], bob["rating"], bob["content"]) == (second["id"], "dislike", None)
    assert (ada["message_id"], ada["rating"], ada["content"]) == (first["id"], "like", "Nice")
    assert (ada["app_id"], ada["conversation_id"]) == (app.id, first["conversation_id"])
    assert (ada["from_source"], ada["from_account_id"]) == ("user", None)
    assert ada["from_end_user_id"] != bob["from_end_user_id"]
    assert datetime.fromisoformat(ada["created_at"]) < datetime.fromisoformat(bob["created_at"])


def test_feedback_comes_in_pages(client: FlaskClient, app: ChatApp) -> None:
    made = [rate(client, app, "ada")["id"] for _ in range(3)]

    pages = [load(client, app, f"?page={page}&limit=2") for page in (1, 2, 3)]

    assert [[item["message_id"] for item in page] for page in pages] == [made[:0:-1], made[:1], []]


@pytest.mark.parametrize("query", ["limit=0", "limit=102", "page=0", "page=x"])
def test_page_out_of_range_is_refused(client: FlaskClient, app: ChatApp, query: str) -> None:
    answer = client.get(f"/api/app/feedbacks?{query}", headers=app.headers)

    assert (answer.status_code, answer.get_json()["code"]) == (400, "invalid_param")


def test_feedback_of_other_apps_is_not_listed(
    client: FlaskClient, runtime: Runtime, owner: Owner, app: ChatApp
) -> None:
    rate(client, make_chat_app(runtime, owner, model=Script().choice), "ada")
    rate(client, make_chat_app(runtime, make_owner(runtime), model=Script().choice), "ada")

    assert load(client, app) == []


@pytest.mark.parametrize("mount", ["/api", "/v1"])
def test_end_user_behind_feedback_is_found(client: FlaskClient, app: ChatApp, mount: str) -> None:
    rate(client, app, "ada")
    (feedback,) = load(client, app)

    answer = client.get(f"{mount}/end-users/{feedback['from_end_user_id']}", headers=app.headers)

    user: Any = answer.get_json()
    assert answer.status_code == 200
    assert (user["id"], user["app_id"]) == (feedback["from_end_user_id"], app.id)
    assert (user["type"], user["session_id"], user["external_user_id"]) == ("service-api", "ada", "ada")
    assert (user["tenant_id"], user["is_anonymous"], user["name"]) == (app.owner.tenant_id, False, None)
    assert datetime.fromisoformat(user["created_at"]).tzinfo is not None


def test_end_user_of_another_app_or_nobody_is_not_found(
    client: FlaskClient, runtime: Runtime, owner: Owner, app: ChatApp
) -> None:
    rate(client, app, "ada")
    (feedback,) = load(client, app)
    others = [make_chat_app(runtime, maker) for maker in (owner, make_owner(runtime))]

    asked = [(other, feedback["from_end_user_id"]) for other in others]
    for key, user_id in [*asked, (app, NOBODY), (app, "no-id")]:
        answer = client.get(f"/api/end-users/{user_id}", headers=key.headers)
        assert (answer.status_code, answer.get_json()["code"]) == (404, "end_user_not_found")
