"""Another e-mail address for an account, over HTTP and by the operator."""

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from api.errors import AppError
from api.runtime import Runtime
from api.services import email_changes, sessions
from tests.conftest import ONCE
from tests.controllers.console.sign_in_calls import log_in, profile_status
from tests.controllers.console.test_members import CONSOLE, code_of, new_email
from tests.controllers.console.test_password_resets import read_code
from tests.factories import Owner
from tests.letterbox import Letterbox

CHANGE = f"{CONSOLE}/account/change-email"


def post(client: FlaskClient, person: Owner, path: str, **sent: object) -> TestResponse:
    return client.post(f"{CHANGE}{path}", json=sent, headers=person.headers)


def send(client: FlaskClient, person: Owner, email: str, token: str | None = None) -> TestResponse:
    """Have a code sent: to the present address, or with a token to a new one."""
    phase = "old_email" if token is None else "new_email"
    return post(client, person, "", email=email, phase=phase, token=token, language="en-US")


def check(client: FlaskClient, person: Owner, email: str, token: str, letterbox: Letterbox) -> str:
    """Confirm the code that was sent; return the token of the next step."""
    answer = post(client, person, "/validity", email=email, token=token, code=read_code(letterbox, email))
    assert (answer.status_code, answer.get_json()["is_valid"]) == (200, True)
    return str(answer.get_json()["token"])


def data(answer: TestResponse) -> str:
    assert answer.status_code == 200, answer.text
    return str(answer.get_json()["data"])


def confirmed(client: FlaskClient, person: Owner, letterbox: Letterbox) -> str:
    """Return the token that says the present address was confirmed."""
    return check(client, person, person.email, data(send(client, person, person.email)), letterbox)


def test_email_is_changed_once_both_addresses_are_confirmed(
    bare: FlaskClient, runtime: Runtime, person: Owner, letterbox: Letterbox
) -> None:
    new = new_email(person)
    with runtime.transaction() as session:
        elsewhere = sessions.open_session(runtime, session, person.account_id, None).access_token
    first = confirmed(bare, person, letterbox)
    again = data(send(bare, person, f"not-yet-{new}", first))
    token = data(send(bare, person, new.upper(), again))  # as the web console does where one asks once more
    assert code_of(post(bare, person, "/validity", email=new, token=token, code="no")) == (
        400,
        "email_code_error",
    )
    last = check(bare, person, new, token, letterbox)

    assert code_of(post(bare, person, "/reset", new_email=f"x{new}", token=last)) == (
        400,
        "invalid_or_expired_token",
    )
    assert code_of(post(bare, person, "/reset", new_email=new, token=first)) == (
        400,
        "invalid_or_expired_token",
    )
    answer = post(bare, person, "/reset", new_email=new.upper(), token=last)

    assert (answer.status_code, answer.get_json()["email"]) == (200, new)
    assert code_of(post(bare, person, "/reset", new_email=new, token=last))[1] == "invalid_or_expired_token"
    assert code_of(send(bare, person, f"y{new}", first)) == (400, "invalid_or_expired_token")
    assert (profile_status(bare, person.token), profile_status(bare, elsewhere)) == (200, 401)
    assert log_in(bare, person).status_code == 401
    assert log_in(bare, person, email=new).status_code == 200


def test_address_of_another_account_is_not_taken(
    bare: FlaskClient, runtime: Runtime, person: Owner, owner: Owner, letterbox: Letterbox
) -> None:
    first, new = confirmed(bare, person, letterbox), new_email(person)
    for email, code in ((owner.email.upper(), "email_already_in_use"), ("a,b@example.com", "invalid_email")):
        assert code_of(post(bare, person, "/check-email-unique", email=email)) == (400, code)
        assert code_of(send(bare, person, email, first)) == (400, code)
    assert post(bare, person, "/check-email-unique", email=new).get_json() == {"result": "success"}
    last = check(bare, person, new, data(send(bare, person, new, first)), letterbox)
    email_changes.change_by_operator(runtime, owner.email, new)  # somebody else was quicker

    assert code_of(post(bare, person, "/reset", new_email=new, token=last)) == (400, "email_already_in_use")
    assert log_in(bare, person).status_code == 200


@ONCE
def test_email_change_takes_ones_own_codes(
    bare: FlaskClient, person: Owner, owner: Owner, letterbox: Letterbox
) -> None:
    new = new_email(person)
    assert code_of(send(bare, person, owner.email)) == (400, "invalid_email")
    assert code_of(send(bare, person, new, "nonsense")) == (400, "invalid_or_expired_token")
    unconfirmed = data(send(bare, person, person.email))
    assert code_of(send(bare, person, new, unconfirmed)) == (400, "invalid_or_expired_token")
    first = check(bare, person, person.email, unconfirmed, letterbox)
    assert code_of(send(bare, owner, new, first)) == (400, "invalid_or_expired_token")
    last = check(bare, person, new, data(send(bare, person, new, first)), letterbox)

    answer = post(bare, owner, "/reset", new_email=new, token=last)

    assert code_of(answer) == (400, "invalid_or_expired_token")
    assert bare.post(f"{CHANGE}/check-email-unique", json={"email": new}).status_code == 401


@ONCE
def test_codes_for_an_email_change_are_few(bare: FlaskClient, person: Owner, letterbox: Letterbox) -> None:
    for _ in range(5):
        data(send(bare, person, person.email))

    answer = send(bare, person, person.email)

    assert code_of(answer) == (429, "email_change_rate_limit_exceeded")
    assert int(answer.headers["Retry-After"]) > 0


@ONCE
def test_email_without_mail_is_the_operators_to_change(
    bare: FlaskClient, runtime: Runtime, person: Owner, owner: Owner
) -> None:
    new = new_email(person)

    assert code_of(send(bare, person, person.email)) == (400, "email_not_setup")
    features = bare.get(f"{CONSOLE}/system-features").get_json()
    assert (features["enable_change_email"], features["enable_email_code_login"]) == (False, False)
    for email, to in (("nobody@example.com", new), (person.email, owner.email), (person.email, "nonsense")):
        with pytest.raises(AppError):
            email_changes.change_by_operator(runtime, email, to)
    email_changes.change_by_operator(runtime, person.email.upper(), new)
    assert profile_status(bare, person.token) == 401
    assert log_in(bare, person, email=new).status_code == 200
