"""Staying signed in and signing out, over HTTP."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update

from api.models.account import Account, LoginSession
from api.models.base import utc_now
from api.runtime import Runtime
from api.services import session_tokens
from tests.conftest import BOTH, make_house, make_settings, stop_house
from tests.controllers.console.sign_in_calls import (
    LOGOUT,
    REFRESH,
    cookies_of,
    log_in,
    profile_status,
    refresh,
    tokens_of,
)
from tests.factories import Owner, make_owner


def change_sessions(runtime: Runtime, owner: Owner, **values: object) -> None:
    with runtime.transaction() as session:
        session.execute(
            update(LoginSession).where(LoginSession.account_id == owner.account_id).values(**values)
        )


def outlast_grace(runtime: Runtime, owner: Owner) -> None:
    """Let the grace after a refresh pass."""
    change_sessions(runtime, owner, rotated_at=utc_now() - timedelta(seconds=11))


# -- refresh -------------------------------------------------------------------------------------


def test_refresh_rotates_and_goes_on(bare: FlaskClient, person: Owner) -> None:
    _, first = tokens_of(log_in(bare, person))

    answer = refresh(bare, first)

    access_token, second = tokens_of(answer)
    assert second != first
    assert set(cookies_of(answer)) == {"access_token", "refresh_token", "csrf_token"}
    assert profile_status(bare, access_token) == 200
    assert refresh(bare, second).status_code == 200


@BOTH
def test_refresh_used_token_within_the_grace_repeats_its_successor(bare: FlaskClient, person: Owner) -> None:
    _, first = tokens_of(log_in(bare, person))

    successors = {tokens_of(refresh(bare, first))[1] for _ in range(3)}

    assert len(successors) == 1


@BOTH
def test_refresh_parallel_gives_one_successor(house: Flask, bare: FlaskClient, person: Owner) -> None:
    _, first = tokens_of(log_in(bare, person))

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: refresh(house.test_client(use_cookies=False), first), range(10)))

    successors = {tokens_of(answer)[1] for answer in answers}
    assert len(successors) == 1
    assert refresh(bare, successors.pop()).status_code == 200


@BOTH
def test_refresh_used_token_after_the_grace_ends_the_session(
    bare: FlaskClient, runtime: Runtime, person: Owner
) -> None:
    _, first = tokens_of(log_in(bare, person))
    access_token, second = tokens_of(refresh(bare, first))
    outlast_grace(runtime, person)

    reused = refresh(bare, first)

    assert (reused.status_code, reused.get_json()["code"]) == (401, "unauthorized")
    assert refresh(bare, second).status_code == 401
    assert profile_status(bare, access_token) == 401


def test_refresh_token_of_two_rotations_ago_ends_the_session(bare: FlaskClient, person: Owner) -> None:
    _, first = tokens_of(log_in(bare, person))
    _, second = tokens_of(refresh(bare, first))
    access_token, third = tokens_of(refresh(bare, second))

    assert refresh(bare, first).status_code == 401

    assert refresh(bare, third).status_code == 401
    assert profile_status(bare, access_token) == 401


def test_refresh_reuse_leaves_other_sessions_alone(
    bare: FlaskClient, runtime: Runtime, person: Owner
) -> None:
    _, first = tokens_of(log_in(bare, person))
    refresh(bare, first)
    outlast_grace(runtime, person)
    _, other = tokens_of(log_in(bare, person))

    assert refresh(bare, first).status_code == 401

    assert refresh(bare, other).status_code == 200


def test_refresh_takes_the_cookie_without_csrf_and_with_an_expired_access_token(
    client: FlaskClient, person: Owner
) -> None:
    log_in(client, person)
    client.set_cookie("access_token", "expired")

    answer = client.post(REFRESH)

    access_token, _ = tokens_of(answer)
    assert profile_status(client, access_token) == 200


@pytest.mark.parametrize("body", [{}, {"refresh_token": None}, {"refresh_token": ""}])
def test_refresh_empty_body_falls_back_to_the_cookie(
    client: FlaskClient, person: Owner, body: dict[str, Any]
) -> None:
    log_in(client, person)

    assert client.post(REFRESH, json=body).status_code == 200


def test_refresh_without_a_good_token_is_refused(bare: FlaskClient, person: Owner) -> None:
    access_token, refresh_token = tokens_of(log_in(bare, person))
    flipped = ("0" if refresh_token[0] != "0" else "1") + refresh_token[1:]

    answers = [bare.post(REFRESH), *(refresh(bare, bad) for bad in ("", "garbage", access_token, flipped))]

    assert [answer.status_code for answer in answers] == [401] * 5
    assert refresh(bare, refresh_token).status_code == 200, "a guess does no harm"


@pytest.mark.parametrize("token", [5, True, ["a"], {"a": 1}])
def test_refresh_token_of_another_type_is_a_bad_request(bare: FlaskClient, token: object) -> None:
    answer = bare.post(REFRESH, json={"refresh_token": token})

    assert (answer.status_code, answer.get_json()["details"]["field"]) == (400, "refresh_token")


def test_refresh_session_run_out_is_refused(bare: FlaskClient, runtime: Runtime, person: Owner) -> None:
    _, token = tokens_of(log_in(bare, person))
    change_sessions(runtime, person, expires_at=utc_now() - timedelta(seconds=1))

    assert refresh(bare, token).status_code == 401


@pytest.mark.parametrize("which", ["current", "used"])
def test_refresh_banned_account_is_refused(
    bare: FlaskClient, runtime: Runtime, person: Owner, which: str
) -> None:
    _, used = tokens_of(log_in(bare, person))
    _, current = tokens_of(refresh(bare, used))
    with runtime.transaction() as session:
        session.get_one(Account, person.account_id).status = "banned"

    assert refresh(bare, used if which == "used" else current).status_code == 401


def test_refresh_token_is_not_stored(bare: FlaskClient, runtime: Runtime, person: Owner) -> None:
    _, first = tokens_of(log_in(bare, person))
    _, second = tokens_of(refresh(bare, first))

    with runtime.transaction() as session:
        rows = session.query(LoginSession).filter_by(account_id=person.account_id).all()
    stored = {value for row in rows for value in (row.refresh_hash, row.previous_hash)}
    assert session_tokens.hash_refresh_token(second) in stored
    assert not stored & {first, second}


# -- logout --------------------------------------------------------------------------------------


def test_logout_ends_this_session_at_once_and_no_other(bare: FlaskClient, person: Owner) -> None:
    access_token, refresh_token = tokens_of(log_in(bare, person))
    other_access, other_refresh = tokens_of(log_in(bare, person))

    answer = bare.post(LOGOUT, headers={"Authorization": f"Bearer {access_token}"})

    assert (answer.status_code, answer.get_json()) == (200, {"result": "success"})
    assert profile_status(bare, access_token) == 401
    assert refresh(bare, refresh_token).status_code == 401
    assert profile_status(bare, other_access) == 200
    assert refresh(bare, other_refresh).status_code == 200


def test_logout_all_ends_every_session_of_the_account(bare: FlaskClient, person: Owner, owner: Owner) -> None:
    first_access, first_refresh = tokens_of(log_in(bare, person))
    second_access, second_refresh = tokens_of(log_in(bare, person))

    bare.post(LOGOUT, json={"all": True}, headers={"Authorization": f"Bearer {first_access}"})

    assert [profile_status(bare, token) for token in (first_access, second_access)] == [401, 401]
    assert [refresh(bare, token).status_code for token in (first_refresh, second_refresh)] == [401, 401]
    assert profile_status(bare, owner.token) == 200


def test_logout_all_with_an_ended_session_ends_nothing(bare: FlaskClient, person: Owner) -> None:
    stolen, _ = tokens_of(log_in(bare, person))
    headers = {"Authorization": f"Bearer {stolen}"}
    bare.post(LOGOUT, headers=headers)
    other, _ = tokens_of(log_in(bare, person))

    bare.post(LOGOUT, json={"all": True}, headers=headers)

    assert profile_status(bare, other) == 200


def test_logout_by_cookies_ends_the_session_and_takes_them_back(client: FlaskClient, person: Owner) -> None:
    access_token, _ = tokens_of(log_in(client, person))

    answer = client.post(LOGOUT)

    cookies = cookies_of(answer)
    assert answer.status_code == 200
    assert set(cookies) == {"access_token", "refresh_token", "csrf_token"}
    assert all(value.startswith(";") and "Max-Age=0" in value for value in cookies.values())
    assert profile_status(client, access_token) == 401


def test_logout_with_an_expired_access_token_still_ends_the_session(
    bare: FlaskClient, runtime: Runtime, person: Owner
) -> None:
    access_token, refresh_token = tokens_of(log_in(bare, person))
    claims = jwt.decode(access_token, options={"verify_signature": False})
    expired = jwt.encode(
        {**claims, "exp": int(time.time()) - 60}, runtime.vault.derive("access-token"), "HS256"
    )

    bare.post(LOGOUT, headers={"Authorization": f"Bearer {expired}"})

    assert refresh(bare, refresh_token).status_code == 401


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer garbage"}, {"Cookie": "refresh_token=x"}])
def test_logout_of_nobody_succeeds(bare: FlaskClient, headers: dict[str, str]) -> None:
    answer = bare.post(LOGOUT, headers=headers)

    assert (answer.status_code, answer.get_json()) == (200, {"result": "success"})


def test_session_survives_a_restart(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, secret_key=None)
    first = make_house(settings)
    owner = make_owner(first.extensions["runtime"])
    stop_house(first)

    again = make_house(settings)
    answer = again.test_client().get("/console/api/account/profile", headers=owner.headers)
    stop_house(again)

    assert answer.get_json()["email"] == owner.email
