"""The first start, over HTTP."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.conftest import make_house, make_settings, stop_house

SETUP = "/console/api/setup"
INIT = "/console/api/init"
OWNER = {"email": "Owner@Example.com", "name": "Zoë 🦊", "password": "correct horse 1"}


@pytest.fixture(scope="module")
def unowned_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    """A client of a program without an owner, shared by the tests that make none."""
    app = make_house(make_settings(tmp_path_factory.mktemp("unowned")), has_owner=False)
    yield app.test_client()
    stop_house(app)


def test_setup_fresh_is_not_started(unowned_client: FlaskClient) -> None:
    answer = unowned_client.get(SETUP)

    assert answer.status_code == 200
    assert answer.get_json() == {"step": "not_started", "setup_at": None}


def test_setup_makes_an_owner_who_can_sign_in(fresh_client: FlaskClient) -> None:
    made = fresh_client.post(SETUP, json=OWNER)

    assert (made.status_code, made.get_json()) == (201, {"result": "success"})
    assert made.headers.getlist("Set-Cookie") == []
    signed_in = fresh_client.post(
        "/console/api/login", json={"email": "owner@example.com", "password": OWNER["password"]}
    )
    headers = {"Authorization": f"Bearer {signed_in.get_json()['data']['access_token']}"}
    profile = fresh_client.get("/console/api/account/profile", headers=headers).get_json()
    workspace = fresh_client.get("/console/api/workspaces/current", headers=headers).get_json()
    assert (profile["email"], profile["name"]) == ("owner@example.com", "Zoë 🦊")
    assert (workspace["name"], workspace["role"]) == ("Zoë 🦊's Workspace", "owner")


def test_setup_done_tells_when(fresh_client: FlaskClient) -> None:
    fresh_client.post(SETUP, json=OWNER)

    answer = fresh_client.get(SETUP).get_json()

    assert answer["step"] == "finished"
    age = datetime.now(UTC) - datetime.fromisoformat(answer["setup_at"])
    assert 0 <= age.total_seconds() < 60


def test_setup_twice_is_refused(fresh_client: FlaskClient) -> None:
    fresh_client.post(SETUP, json=OWNER)

    again = fresh_client.post(SETUP, json={**OWNER, "email": "other@example.com"})

    assert (again.status_code, again.get_json()["code"]) == (403, "already_setup")


def test_setup_in_a_race_makes_one_owner(fresh_client: FlaskClient) -> None:
    app = fresh_client.application

    def set_up(number: int) -> int:
        body = {**OWNER, "email": f"owner-{number}@example.com"}
        return app.test_client().post(SETUP, json=body).status_code

    with ThreadPoolExecutor(10) as pool:
        statuses = sorted(pool.map(set_up, range(10)))

    assert statuses == [201] + [403] * 9


@pytest.mark.parametrize(
    ("changes", "field", "fault"),
    [
        ({"email": None}, "email", "invalid_type"),
        ({"email": "nobody"}, "email", "invalid_format"),
        ({"email": ["a@b.c"]}, "email", "invalid_type"),
        ({"name": "   "}, "name", "too_short"),
        ({"name": "n" * 31}, "name", "too_long"),
        ({"name": "a\x00b"}, None, None),
        ({"password": 12345678}, "password", "invalid_type"),
        ({"password": "short1"}, "password", "too_short"),
        ({"password": "onlyletters"}, "password", "invalid_format"),
        ({"password": "1234567890"}, "password", "invalid_format"),
        ({"language": "xx-XX"}, "language", "invalid_choice"),
    ],
)
def test_setup_bad_field_is_named_and_makes_no_owner(
    unowned_client: FlaskClient, changes: dict[str, Any], field: str | None, fault: str | None
) -> None:
    answer = unowned_client.post(SETUP, json={**OWNER, **changes})

    assert (answer.status_code, answer.get_json()["code"]) == (400, "invalid_param")
    if field is not None:
        assert answer.get_json()["details"] == {"field": field, "type": fault}
    assert unowned_client.get(SETUP).get_json()["step"] == "not_started"


def test_setup_field_missing_is_named(unowned_client: FlaskClient) -> None:
    answer = unowned_client.post(SETUP, json={"email": "a@example.com", "name": "A"})

    assert (answer.status_code, answer.get_json()["details"]) == (
        400,
        {"field": "password", "type": "required"},
    )


def test_setup_what_the_server_owns_is_not_taken_over(fresh_client: FlaskClient) -> None:
    forged = {"id": "11111111-1111-4111-8111-111111111111", "status": "banned", "setup_at": "2001-01-01"}
    fresh_client.post(SETUP, json={**OWNER, **forged})

    signed_in = fresh_client.post(
        "/console/api/login", json={"email": OWNER["email"], "password": OWNER["password"]}
    )
    headers = {"Authorization": f"Bearer {signed_in.get_json()['data']['access_token']}"}
    profile = fresh_client.get("/console/api/account/profile", headers=headers).get_json()
    assert profile["id"] != forged["id"]
    assert not fresh_client.get(SETUP).get_json()["setup_at"].startswith("2001")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/console/api/account/profile", None),
        ("GET", "/console/api/workspaces/current", None),
        ("POST", "/console/api/login", {"email": "a@example.com", "password": "correct horse 1"}),
    ],
)
def test_console_before_setup_says_not_setup(
    unowned_client: FlaskClient, method: str, path: str, body: dict[str, str] | None
) -> None:
    answer = unowned_client.open(path, method=method, json=body)

    assert (answer.status_code, answer.get_json()["code"]) == (401, "not_setup")


@pytest.mark.parametrize("path", ["system-features", "setup", "init", "ping"])
def test_console_before_setup_answers_what_its_first_page_asks(
    unowned_client: FlaskClient, path: str
) -> None:
    assert unowned_client.get(f"/console/api/{path}").status_code == 200


def test_init_asks_for_no_password(unowned_client: FlaskClient) -> None:
    assert unowned_client.get(INIT).get_json() == {"status": "finished"}

    answer = unowned_client.post(INIT, json={"password": "anything"})

    assert (answer.status_code, answer.get_json()) == (201, {"result": "success"})


def test_init_after_setup_is_refused(fresh_client: FlaskClient) -> None:
    fresh_client.post(SETUP, json=OWNER)

    answer = fresh_client.post(INIT, json={"password": "anything"})

    assert (answer.status_code, answer.get_json()["code"]) == (403, "already_setup")


def test_init_password_too_long_is_refused(unowned_client: FlaskClient) -> None:
    assert unowned_client.post(INIT, json={"password": "p" * 31}).status_code == 400
