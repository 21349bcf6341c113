"""Signing in with a code sent by mail, over HTTP."""

import base64

from flask.testing import FlaskClient
from sqlalchemy import update
from werkzeug.test import TestResponse

from api.models.account import Account, Tenant
from api.runtime import Runtime
from tests.conftest import ONCE
from tests.controllers.console.sign_in_calls import PROFILE, profile_status, tokens_of
from tests.controllers.console.test_members import CONSOLE, code_of
from tests.controllers.console.test_password_resets import forget, read_code
from tests.factories import Owner
from tests.letterbox import Letterbox

LOGIN = "email-code-login"


def sign_in(client: FlaskClient, email: str, token: str, code: str) -> TestResponse:
    sent = {"email": email, "token": token, "code": code, "language": "en-US"}
    return client.post(f"{CONSOLE}/{LOGIN}/validity", json=sent)


def test_code_signs_in_once(bare: FlaskClient, person: Owner, letterbox: Letterbox) -> None:
    token = forget(bare, f" {person.email.upper()}", LOGIN)
    code = read_code(letterbox, person.email)

    assert code_of(sign_in(bare, person.email, token, "123")) == (400, "email_code_error")
    answer = sign_in(bare, person.email, token, base64.b64encode(code.encode()).decode())

    access_token, _ = tokens_of(answer)
    assert profile_status(bare, access_token) == 200
    assert len(answer.headers.getlist("Set-Cookie")) == 3
    profile = bare.get(PROFILE, headers=person.headers).get_json()
    assert (profile["last_login_at"] is not None, profile["last_login_ip"]) == (
        True,
        bare.environ_base["REMOTE_ADDR"],
    )
    assert code_of(sign_in(bare, person.email, token, code)) == (400, "invalid_or_expired_token")


def test_code_for_an_address_nobody_has_opens_nothing(
    bare: FlaskClient, person: Owner, letterbox: Letterbox
) -> None:
    stranger = f"nobody-{person.email}"
    token = forget(bare, stranger, LOGIN)

    assert code_of(sign_in(bare, stranger, token, "123456")) == (400, "email_code_error")
    forget(bare, person.email, LOGIN)
    read_code(letterbox, person.email)
    assert [mail for mail in letterbox.mails if mail.to == stranger] == []


@ONCE
def test_code_opens_no_session_of_who_is_banned_or_has_no_workspace(
    bare: FlaskClient, runtime: Runtime, person: Owner, owner: Owner, letterbox: Letterbox
) -> None:
    tokens = {email: forget(bare, email, LOGIN) for email in (person.email, owner.email)}
    codes = {email: read_code(letterbox, email) for email in tokens}
    with runtime.transaction() as session:
        session.execute(update(Account).where(Account.id == person.account_id).values(status="banned"))
        session.execute(update(Tenant).where(Tenant.id == owner.tenant_id).values(status="suspended"))

    banned, homeless = (sign_in(bare, email, tokens[email], codes[email]) for email in tokens)

    assert code_of(banned) == (400, "account_banned")
    assert (homeless.status_code, homeless.get_json()["result"]) == (200, "fail")


@ONCE
def test_code_without_mail_is_refused(bare: FlaskClient, person: Owner) -> None:
    answer = bare.post(f"{CONSOLE}/{LOGIN}", json={"email": person.email})

    assert code_of(answer) == (400, "email_not_setup")
