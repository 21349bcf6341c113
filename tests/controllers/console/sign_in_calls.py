"""The calls a client makes to sign in, stay signed in and sign out."""

from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.factories import PASSWORD, Owner

LOGIN = "/console/api/login"
REFRESH = "/console/api/refresh-token"
LOGOUT = "/console/api/logout"
PROFILE = "/console/api/account/profile"


def log_in(client: FlaskClient, person: Owner, **changes: Any) -> TestResponse:
    """Sign in; ``changes`` are fields of the body."""
    return client.post(LOGIN, json={"email": person.email, "password": PASSWORD, **changes})


def refresh(client: FlaskClient, token: str) -> TestResponse:
    """Exchange a refresh token sent in the body."""
    return client.post(REFRESH, json={"refresh_token": token})


def profile_status(client: FlaskClient, access_token: str) -> int:
    """Return the status of a call with an access token."""
    return client.get(PROFILE, headers={"Authorization": f"Bearer {access_token}"}).status_code


def tokens_of(answer: TestResponse) -> tuple[str, str]:
    """Return access and refresh token of a successful answer."""
    assert answer.status_code == 200, answer.get_json()
    return answer.get_json()["data"]["access_token"], answer.get_json()["data"]["refresh_token"]


def cookies_of(answer: TestResponse) -> dict[str, str]:
    """Return each cookie an answer sets: name → everything after it."""
    return dict(line.split("=", 1) for line in answer.headers.getlist("Set-Cookie"))
