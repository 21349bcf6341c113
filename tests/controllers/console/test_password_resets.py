"""A forgotten password, over HTTP."""

import threading
from concurrent.futures import ThreadPoolExecutor

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import delete
from werkzeug.test import TestResponse

from api.models.account import Account
from api.runtime import Runtime
from api.services import password_resets, setup
from tests.controllers.console.sign_in_calls import log_in, profile_status
from tests.controllers.console.test_members import CONSOLE, code_of
from tests.factories import Owner
from tests.letterbox import Letterbox
from tests.waiting import is_waited_for, wait_until

NEW = "battery staple 2"


def forget(client: FlaskClient, email: str, path: str = "forgot-password") -> str:
    """Have a code sent, and return the token it goes with."""
    answer = client.post(f"{CONSOLE}/{path}", json={"email": email})
    assert (answer.status_code, set(answer.get_json())) == (200, {"result", "data"})
    return str(answer.get_json()["data"])


def check(client: FlaskClient, email: str, token: str, code: str) -> TestResponse:
    body = {"email": email, "token": token, "code": code}
    return client.post(f"{CONSOLE}/forgot-password/validity", json=body)


def reset(client: FlaskClient, token: str, new: str = NEW, repeated: str = NEW) -> TestResponse:
    body = {"token": token, "new_password": new, "password_confirm": repeated}
    return client.post(f"{CONSOLE}/forgot-password/resets", json=body)


def read_code(letterbox: Letterbox, email: str) -> str:
    return letterbox.read(email).subject.rpartition(" ")[2]


def test_password_forgotten_is_set_anew_once_and_ends_all_sessions(
    bare: FlaskClient, person: Owner, letterbox: Letterbox
) -> None:
    token = forget(bare, f" {person.email.upper()}", "reset-password")
    code = read_code(letterbox, person.email)

    assert code_of(check(bare, person.email, token, "no")) == (400, "email_code_error")
    assert code_of(check(bare, "else@example.com", token, code)) == (400, "invalid_or_expired_token")
    assert code_of(reset(bare, token)) == (400, "invalid_or_expired_token")
    checked = check(bare, person.email, token, code).get_json()
    assert (checked["is_valid"], checked["email"]) == (True, person.email)
    assert code_of(check(bare, person.email, token, code)) == (400, "invalid_or_expired_token")
    assert code_of(reset(bare, checked["token"], repeated="other 3")) == (400, "password_mismatch")
    assert code_of(reset(bare, checked["token"], "weak", "weak")) == (400, "invalid_param")
    assert reset(bare, checked["token"]).get_json() == {"result": "success"}
    assert code_of(reset(bare, checked["token"])) == (400, "invalid_or_expired_token")

    assert profile_status(bare, person.token) == 401
    assert log_in(bare, person).status_code == 401
    assert log_in(bare, person, password=NEW).get_json()["result"] == "success"


def test_address_nobody_has_is_answered_as_one_somebody_has(
    bare: FlaskClient, person: Owner, letterbox: Letterbox
) -> None:
    stranger = f"nobody-{person.email}"
    answers = []
    for email in (person.email, stranger):
        token = forget(bare, email)
        wrong = [check(bare, email, token, "no") for _ in range(6)]
        answers.append([(answer.status_code, answer.data) for answer in wrong])

    assert answers[0] == answers[1]
    assert [status for status, _ in answers[0]] == [400] * 6
    assert b"email_code_error" in answers[0][4][1]
    assert b"invalid_or_expired_token" in answers[0][5][1]
    read_code(letterbox, person.email)
    assert [mail.to for mail in letterbox.mails if mail.to == stranger] == []


def test_codes_for_one_address_are_few_though_many_are_asked_for_at_once(
    house: Flask, bare: FlaskClient, person: Owner, letterbox: Letterbox
) -> None:
    start = threading.Barrier(8)

    def ask(_number: int) -> TestResponse:
        client = house.test_client(use_cookies=False)
        client.environ_base["REMOTE_ADDR"] = bare.environ_base["REMOTE_ADDR"]
        start.wait()
        return client.post(f"{CONSOLE}/forgot-password", json={"email": person.email})

    with ThreadPoolExecutor(8) as pool:
        answers = sorted(pool.map(ask, range(8)), key=lambda answer: answer.status_code)

    assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 3
    assert code_of(answers[-1]) == (429, "password_reset_rate_limit_exceeded")
    assert int(answers[-1].headers["Retry-After"]) > 0


def test_code_asked_for_while_its_account_is_deleted_is_nobodys(
    bare: FlaskClient, runtime: Runtime, person: Owner, letterbox: Letterbox
) -> None:
    with ThreadPoolExecutor(1) as pool, runtime.transaction() as session:
        setup.hold(session)
        token = pool.submit(forget, bare, person.email)
        wait_until(lambda: is_waited_for(runtime))
        session.execute(delete(Account).where(Account.id == person.account_id))

    assert code_of(check(bare, person.email, token.result(), "no")) == (400, "email_code_error")


def test_password_forgotten_without_mail_is_the_operators(
    bare: FlaskClient, runtime: Runtime, person: Owner
) -> None:
    answer = bare.post(f"{CONSOLE}/forgot-password", json={"email": person.email})

    assert code_of(answer) == (400, "email_not_setup")
    assert bare.get(f"{CONSOLE}/system-features").get_json()["is_email_setup"] is False
    chosen = password_resets.reset_by_operator(runtime, person.email)
    assert profile_status(bare, person.token) == 401
    assert log_in(bare, person, password=chosen).get_json()["result"] == "success"
