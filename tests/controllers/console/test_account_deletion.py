"""An account deleted for good, over HTTP and by the operator."""

import io
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from flask.testing import FlaskClient
from sqlalchemy import delete as delete_rows
from sqlalchemy import select
from werkzeug.test import TestResponse

from api.errors import NotFound
from api.models.account import Account, Invitation, LoginSession, TenantMember
from api.models.file import UploadFile
from api.principal import Role
from api.runtime import Runtime
from api.services import account_deletion, setup, workspace_control
from api.services.account_deletion import LastAccount
from tests.conftest import ONCE
from tests.controllers.console.sign_in_calls import log_in, profile_status
from tests.controllers.console.test_members import CONSOLE, MEMBERS, code_of, invite, listed
from tests.controllers.console.test_password_resets import read_code
from tests.factories import Owner, make_app, make_chat_app, make_member, make_owner
from tests.letterbox import Letterbox
from tests.uploads import PNG
from tests.waiting import is_waited_for, wait_until

DELETE = f"{CONSOLE}/account/delete"


def ask(client: FlaskClient, person: Owner) -> TestResponse:
    return client.get(f"{DELETE}/verify", headers=person.headers)


def delete(client: FlaskClient, person: Owner, token: str, code: str) -> TestResponse:
    return client.post(DELETE, json={"token": token, "code": code}, headers=person.headers)


def leave(client: FlaskClient, person: Owner, letterbox: Letterbox) -> TestResponse:
    """Ask for a code and delete the account with it."""
    return delete(client, person, ask(client, person).get_json()["data"], read_code(letterbox, person.email))


def home_of(client: FlaskClient, person: Owner) -> str:
    """Return the id of the workspace somebody is in."""
    return str(client.get(f"{CONSOLE}/workspaces/current", headers=person.headers).get_json()["id"])


def left_of(runtime: Runtime, person: Owner) -> list[int]:
    """Return how many rows there are of an account, its places, sessions, and invitations to it."""
    with runtime.reading() as session:
        return [
            len(session.scalars(select(table.id).where(column == value)).all())
            for table, column, value in (
                (Account, Account.id, person.account_id),
                (TenantMember, TenantMember.account_id, person.account_id),
                (LoginSession, LoginSession.account_id, person.account_id),
                (Invitation, Invitation.email, person.email),
            )
        ]


def test_account_deleted_leaves_its_work_and_nothing_of_itself(
    bare: FlaskClient, runtime: Runtime, owner: Owner, letterbox: Letterbox
) -> None:
    editor = make_member(runtime, owner, Role.EDITOR)
    app_id = make_app(runtime, editor, name="Left behind")
    image = bare.post(
        f"{CONSOLE}/files/upload", data={"file": (io.BytesIO(PNG), "me.png")}, headers=editor.headers
    ).get_json()["id"]
    bare.post(f"{CONSOLE}/account/avatar", json={"avatar": image}, headers=editor.headers)
    token, code = ask(bare, editor).get_json()["data"], read_code(letterbox, editor.email)
    invite(bare, make_owner(runtime), editor.email)

    assert code_of(delete(bare, editor, token, "no")) == (400, "email_code_error")
    assert code_of(delete(bare, owner, token, code)) == (400, "invalid_or_expired_token")
    assert left_of(runtime, editor) == [1, 1, 1, 1]
    assert delete(bare, editor, token, code).get_json() == {"result": "success"}

    assert left_of(runtime, editor) == [0, 0, 0, 0]
    assert profile_status(bare, editor.token) == 401
    assert editor.email not in listed(bare, owner)
    app = bare.get(f"{CONSOLE}/apps/{app_id}", headers=owner.headers).get_json()
    assert (app["name"], app["author_name"]) == ("Left behind", None)
    assert bare.get(f"{CONSOLE}/apps", headers=owner.headers).get_json()["total"] == 1
    with runtime.reading() as session:
        assert session.get_one(UploadFile, image).attached_at is None  # so it is purged
    assert invite(bare, owner, editor.email).get_json()["invitation_results"][0]["status"] == "success"


@pytest.mark.usefixtures("owner")  # or the person were the last account
def test_owner_of_others_workspace_hands_it_over_first(
    bare: FlaskClient, runtime: Runtime, person: Owner, letterbox: Letterbox
) -> None:
    token, code = ask(bare, person).get_json()["data"], read_code(letterbox, person.email)
    heir = make_member(runtime, person, Role.ADMIN)

    refused = delete(bare, person, token, code)
    assert code_of(refused) == code_of(ask(bare, person)) == (409, "account_owns_workspace")
    assert "Test Workspace" in refused.get_json()["message"]
    assert log_in(bare, person).status_code == 200
    bare.post(
        f"{MEMBERS}/{heir.account_id}/owner-transfer",
        json={"password": "correct horse 1"},
        headers=person.headers,
    )
    letterbox.mails.clear()
    assert leave(bare, person, letterbox).status_code == 200
    assert listed(bare, heir)[heir.email]["role"] == "owner"


@pytest.mark.usefixtures("owner")  # or the person were the last account
def test_workspace_of_nobody_else_is_closed(
    bare: FlaskClient, runtime: Runtime, person: Owner, letterbox: Letterbox
) -> None:
    app = make_chat_app(runtime, person)

    leave(bare, person, letterbox)

    answer = bare.get("/v1/parameters", headers=app.headers)
    assert code_of(answer)[0] == 403
    assert log_in(bare, person).status_code == 401


@pytest.mark.usefixtures("owner")  # or the person were the last account
def test_workspace_that_lost_its_owner_is_given_another(
    bare: FlaskClient, runtime: Runtime, person: Owner, letterbox: Letterbox
) -> None:
    app_id = make_app(runtime, person)
    heir, second = make_owner(runtime), make_owner(runtime)
    leave(bare, person, letterbox)
    first_home = heir.tenant_id

    for successor in (heir, second, second):
        with runtime.transaction() as session:
            workspace_control.set_owner(session, person.tenant_id.upper(), successor.email)
    with runtime.transaction() as session:
        workspace_control.resume(session, person.tenant_id)

    assert home_of(bare, heir) == first_home
    for member, role in ((heir, "admin"), (second, "owner")):
        bare.post(
            f"{CONSOLE}/workspaces/switch", json={"tenant_id": person.tenant_id}, headers=member.headers
        )
        current = bare.get(f"{CONSOLE}/workspaces/current", headers=member.headers).get_json()
        assert (current["id"], current["role"]) == (person.tenant_id, role)
    assert bare.get(f"{CONSOLE}/apps/{app_id}", headers=second.headers).status_code == 200


@ONCE
@pytest.mark.usefixtures("owner")  # or the person were the last account
def test_account_without_mail_is_the_operators_to_delete(
    bare: FlaskClient, runtime: Runtime, person: Owner
) -> None:
    assert code_of(ask(bare, person)) == (400, "email_not_setup")
    with pytest.raises(NotFound):
        account_deletion.delete_by_operator(runtime, "nobody@example.com")
    account_deletion.delete_by_operator(runtime, person.email.upper())

    assert left_of(runtime, person) == [0, 0, 0, 0]


@pytest.mark.usefixtures("owner")
def test_account_somebody_else_deletes_meanwhile_is_not_there(runtime: Runtime, person: Owner) -> None:
    with ThreadPoolExecutor(1) as pool, runtime.transaction() as session:
        setup.hold(session)
        deleted = pool.submit(account_deletion.delete_by_operator, runtime, person.email)
        wait_until(lambda: is_waited_for(runtime))
        session.execute(delete_rows(Account).where(Account.id == person.account_id))

    with pytest.raises(NotFound):
        deleted.result()


def test_last_account_of_an_installation_stays(fresh_client: FlaskClient) -> None:
    runtime: Runtime = fresh_client.application.extensions["runtime"]
    owners = [make_owner(runtime) for _ in range(3)]

    def delete_one(person: Owner) -> bool:
        try:
            account_deletion.delete_by_operator(runtime, person.email)
        except LastAccount:
            return False
        return True

    with ThreadPoolExecutor(3) as pool:
        gone = list(pool.map(delete_one, owners))

    assert sorted(gone) == [False, True, True]
    assert left_of(runtime, owners[gone.index(False)]) == [1, 1, 1, 0]


@ONCE
def test_reason_for_leaving_is_the_operators_to_read(
    bare: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "api.services.account_deletion")
    sent = {"email": "ada@example.com", "feedback": "Too\nexpensive"}

    answer = bare.post(f"{DELETE}/feedback", json=sent)

    assert answer.get_json() == {"result": "success"}
    told = [message for message in caplog.messages if "deleted their account" in message]
    assert told == ["Someone who deleted their account says: 'Too\\nexpensive'"]


@ONCE
def test_reasons_for_leaving_are_counted_by_address(
    bare: FlaskClient, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = replace(runtime, limits=replace(runtime.limits, visitor_rpm=2))
    monkeypatch.setitem(bare.application.extensions, "runtime", few)
    sent = {"email": "ada@example.com", "feedback": "Too expensive"}
    address = f"198.51.100.{uuid.uuid4()}"

    told = [
        bare.post(f"{DELETE}/feedback", json=sent, environ_overrides={"REMOTE_ADDR": address})
        for _ in range(3)
    ]

    assert [answer.status_code for answer in told] == [200, 200, 429]
