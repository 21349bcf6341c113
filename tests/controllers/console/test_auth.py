"""Signing in, over HTTP: passwords, access tokens, cookies and CSRF."""

import base64
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import delete

from api.models.account import Account, TenantMember
from api.runtime import Runtime
from api.services import session_tokens
from tests.conftest import make_house, make_settings, stop_house
from tests.controllers.console.conftest import password_hash
from tests.controllers.console.sign_in_calls import (
    LOGIN,
    LOGOUT,
    PROFILE,
    REFRESH,
    cookies_of,
    log_in,
    profile_status,
    tokens_of,
)
from tests.factories import PASSWORD, Owner, make_owner

# -- login ---------------------------------------------------------------------------------------


def test_login_answers_with_tokens_that_last_as_long_as_it_says(bare: FlaskClient, person: Owner) -> None:
    answer = log_in(bare, person)

    access_token, refresh_token = tokens_of(answer)
    claims = jwt.decode(access_token, options={"verify_signature": False})
    assert answer.get_json()["result"] == "success"
    assert set(answer.get_json()["data"]) == {"access_token", "refresh_token", "expires_in"}
    assert abs(claims["exp"] - time.time() - answer.get_json()["data"]["expires_in"]) < 60
    assert claims["user_id"] == person.account_id
    assert len(refresh_token) == 128
    assert answer.headers["Cache-Control"] == "no-store"
    assert profile_status(bare, access_token) == 200


def test_login_sets_the_three_cookies(bare: FlaskClient, person: Owner) -> None:
    cookies = cookies_of(log_in(bare, person))

    assert set(cookies) == {"access_token", "refresh_token", "csrf_token"}
    for name, max_age in (("access_token", 3600), ("refresh_token", 2_592_000), ("csrf_token", 3600)):
        attributes = cookies[name].split("; ")[1:]
        assert f"Max-Age={max_age}" in attributes
        assert {"Path=/", "SameSite=Lax"} <= set(attributes)
        assert "Secure" not in attributes
        assert ("HttpOnly" in attributes) == (name != "csrf_token")


def test_login_over_https_binds_the_cookies_to_the_host(bare: FlaskClient, person: Owner) -> None:
    answer = bare.post(
        LOGIN,
        json={"email": person.email, "password": PASSWORD},
        base_url="https://console.example.com",
    )

    cookies = cookies_of(answer)
    assert set(cookies) == {"__Host-access_token", "__Host-refresh_token", "__Host-csrf_token"}
    assert all("Secure" in value.split("; ") and "Domain=" not in value for value in cookies.values())


@pytest.fixture
def branded(tmp_path: Path) -> Iterator[Flask]:
    """A program behind https that shares its cookies with a whole domain."""
    app = make_house(
        make_settings(tmp_path, public_url="https://api.example.com", cookie_domain="example.com")
    )
    yield app
    stop_house(app)


def test_login_cookie_domain_is_set_without_the_host_prefix(branded: Flask) -> None:
    person = make_owner(branded.extensions["runtime"], password_hash=password_hash())

    cookies = cookies_of(log_in(branded.test_client(use_cookies=False), person))

    assert set(cookies) == {"access_token", "refresh_token", "csrf_token"}
    assert all({"Secure", "Domain=example.com"} <= set(value.split("; ")) for value in cookies.values())


@pytest.mark.parametrize(
    "changes",
    [
        {"password": base64.b64encode(PASSWORD.encode()).decode()},
        {"remember_me": True},
        {"remember_me": None},
        {"invite_token": None},
        {"unknown": {"field": 1}},
    ],
)
def test_login_forms_real_clients_send_are_accepted(
    bare: FlaskClient, person: Owner, changes: dict[str, Any]
) -> None:
    assert log_in(bare, person, **changes).status_code == 200


def test_login_email_in_another_case_is_the_same(bare: FlaskClient, person: Owner) -> None:
    assert log_in(bare, person, email=f" {person.email.upper()} ").status_code == 200


def test_login_wrong_password_and_unknown_email_get_one_answer(bare: FlaskClient, person: Owner) -> None:
    wrong = log_in(bare, person, password="wrong horse 1")
    unknown = log_in(bare, person, email=f"nobody-{person.email}")

    assert wrong.status_code == unknown.status_code == 401
    assert wrong.get_json() == unknown.get_json()
    assert wrong.get_json()["code"] == "authentication_failed"
    assert wrong.get_json()["message"] == "Invalid email or password."
    assert cookies_of(wrong) == {}


def test_login_account_without_password_is_refused(bare: FlaskClient, owner: Owner) -> None:
    assert log_in(bare, owner).status_code == 401


def test_login_eleventh_failure_is_locked_with_retry_after(
    bare: FlaskClient, person: Owner, owner: Owner
) -> None:
    statuses = [log_in(bare, person, password="wrong horse 1").status_code for _ in range(10)]
    locked = log_in(bare, person)

    assert statuses == [401] * 10
    assert (locked.status_code, locked.get_json()["code"]) == (429, "email_code_login_limit")
    assert 0 < int(locked.headers["Retry-After"]) <= 900
    assert profile_status(bare, owner.token) == 200


def test_login_banned_is_told_only_to_who_knows_the_password(
    bare: FlaskClient, runtime: Runtime, person: Owner
) -> None:
    with runtime.transaction() as session:
        session.get_one(Account, person.account_id).status = "banned"

    right, wrong = log_in(bare, person), log_in(bare, person, password="wrong horse 1")

    assert (right.status_code, right.get_json()["code"]) == (400, "account_banned")
    assert (wrong.status_code, wrong.get_json()["code"]) == (401, "authentication_failed")


def test_login_without_workspace_is_told_so_without_tokens(
    bare: FlaskClient, runtime: Runtime, person: Owner
) -> None:
    with runtime.transaction() as session:
        session.execute(delete(TenantMember).where(TenantMember.account_id == person.account_id))

    answer = log_in(bare, person)

    assert answer.status_code == 200
    assert answer.get_json()["result"] == "fail"
    assert answer.get_json()["data"].startswith("workspace not found")
    assert cookies_of(answer) == {}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"password": PASSWORD}, "email"),
        ({"email": "a@example.com"}, "password"),
        ({"email": "nobody", "password": PASSWORD}, "email"),
        ({"email": 5, "password": PASSWORD}, "email"),
        ({"email": None, "password": PASSWORD}, "email"),
        ({"email": "a@example.com", "password": ""}, "password"),
        ({"email": "a@example.com", "password": {"a": 1}}, "password"),
        ({"email": "a@example.com", "password": PASSWORD, "remember_me": "yes"}, "remember_me"),
        ({"email": "a@example.com", "password": PASSWORD, "remember_me": 1}, "remember_me"),
    ],
)
def test_login_bad_field_is_named(bare: FlaskClient, body: dict[str, Any], field: str) -> None:
    answer = bare.post(LOGIN, json=body)

    assert (answer.status_code, answer.get_json()["code"]) == (400, "invalid_param")
    assert answer.get_json()["details"]["field"] == field


@pytest.mark.parametrize("path", [LOGIN, REFRESH, LOGOUT])
@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"[1]", "application/json", 400),
        (b'"text"', "application/json", 400),
        (b"null", "application/json", 400),
        (b'{"email": "\xff"}', "application/json", 400),
        (b'{"email": "\\ud800"}', "application/json", 400),
        (b"email=a", "application/x-www-form-urlencoded", 415),
    ],
)
def test_auth_body_that_is_no_json_object_is_refused(
    bare: FlaskClient, path: str, body: bytes, content_type: str, status: int
) -> None:
    assert bare.post(path, data=body, content_type=content_type).status_code == status


# -- access tokens -------------------------------------------------------------------------------


def test_access_token_forged_or_over_is_refused(bare: FlaskClient, runtime: Runtime, person: Owner) -> None:
    access_token, refresh_token = tokens_of(log_in(bare, person))
    claims = jwt.decode(access_token, options={"verify_signature": False})
    forgeries = {
        "flipped": access_token[:-2] + ("A" if access_token[-2] != "A" else "B") + access_token[-1],
        "alg none": jwt.encode(claims, "", algorithm="none"),
        "published secret": jwt.encode(claims, "sk-9f73s3ljTXVcMT3Blb3ljTqtsKiGHXVcMT3BlbkFJLK7U", "HS256"),
        "expired": jwt.encode(
            {**claims, "exp": int(time.time()) - 1}, runtime.vault.derive("access-token"), "HS256"
        ),
        "refresh token": refresh_token,
        "api key": "app-0123456789abcdefghijklmn",
        "garbage": "garbage",
    }

    answers = {
        name: bare.get(PROFILE, headers={"Authorization": f"Bearer {token}"})
        for name, token in forgeries.items()
    }

    assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(forgeries, 401)
    assert {answer.get_json()["code"] for answer in answers.values()} == {"unauthorized"}


# -- cookies and CSRF ----------------------------------------------------------------------------


def test_cookie_call_with_the_csrf_header_is_let_in(client: FlaskClient, person: Owner) -> None:
    csrf = cookies_of(log_in(client, person))["csrf_token"].split(";")[0]

    answer = client.get(PROFILE, headers={"X-CSRF-Token": csrf})

    assert (answer.status_code, answer.get_json()["id"]) == (200, person.account_id)


def test_cookie_call_with_a_wrong_csrf_header_is_refused(
    house: Flask, client: FlaskClient, person: Owner, owner: Owner, runtime: Runtime
) -> None:
    log_in(client, person)
    foreign = session_tokens.issue_tokens(
        runtime.vault, account_id=owner.account_id, session_id="", refresh_token="", ttl_s=60
    ).csrf_token

    missing = client.get(PROFILE)
    differing = client.get(PROFILE, headers={"X-CSRF-Token": foreign})
    client.set_cookie("csrf_token", foreign)
    of_another_account = client.get(PROFILE, headers={"X-CSRF-Token": foreign})

    for answer in (missing, differing, of_another_account):
        assert (answer.status_code, answer.get_json()["code"]) == (401, "unauthorized")
        assert answer.get_json()["message"] == "CSRF token is missing or invalid."


def test_bearer_call_needs_no_csrf_header(client: FlaskClient, person: Owner) -> None:
    access_token, _ = tokens_of(log_in(client, person))

    assert profile_status(client, access_token) == 200
