"""Members of a workspace over HTTP: invited, let in, given roles, removed; and its owner, who changes."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import delete, event, select, update
from werkzeug.test import TestResponse

from api.controllers.schemas.member import MEMBER
from api.core.ports import Queue
from api.models.account import Account, Invitation, Tenant, TenantMember
from api.models.base import utc_now
from api.principal import Role
from api.runtime import Runtime
from api.services import account_deletion, passwords
from tests.conftest import BOTH
from tests.controllers.console.sign_in_calls import log_in, profile_status
from tests.factories import PASSWORD, Owner, make_member, make_owner
from tests.letterbox import Letterbox
from tests.waiting import is_waited_for, wait_until

CONSOLE = "/console/api"
MEMBERS = f"{CONSOLE}/workspaces/current/members"
UNKNOWN_ID = "c0ffee00-0000-4000-8000-000000000000"
ABOUT_ME = {"name": "Bo", "interface_language": "zh-Hans", "timezone": "Asia/Shanghai"}


def invite(client: FlaskClient, by: Owner, *emails: str, role: str = "editor", **more: Any) -> TestResponse:
    body = {"emails": emails, "role": role, **more}
    return client.post(f"{MEMBERS}/invite-email", json=body, headers=by.headers)


def token_of(answer: TestResponse) -> str:
    """Return the token of the first link."""
    url = answer.get_json()["invitation_results"][0]["url"]
    return str(parse_qs(urlsplit(url).query)["token"][0])


def activate(client: FlaskClient, token: str, **more: Any) -> TestResponse:
    return client.post(f"{CONSOLE}/activate", json={"token": token, **ABOUT_ME, **more})


def new_email(person: Owner, name: str = "bo") -> str:
    """Return an address nobody has yet."""
    return f"{name}-{person.email}"


def listed(client: FlaskClient, by: Owner) -> dict[str, Any]:
    """Return the members by e-mail."""
    accounts = client.get(MEMBERS, headers=by.headers).get_json()["accounts"]
    assert all(set(account) == set(MEMBER) for account in accounts)
    return {account["email"]: account for account in accounts}


def code_of(error: TestResponse) -> tuple[int, str]:
    return error.status_code, error.get_json()["code"]


def test_invitation_by_link_makes_an_editor_once(bare: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    email = new_email(owner, "Bo")
    answer = invite(bare, owner, f" {email} ", email.lower(), "nonsense", "a,b@example.com")
    token = token_of(answer)

    assert answer.status_code == 201
    assert [item["status"] for item in answer.get_json()["invitation_results"]] == [
        "success",
        "failed",
        "failed",
    ]
    assert listed(bare, owner)[email.lower()]["status"] == "pending"
    check = f"{CONSOLE}/activate/check"
    offer = bare.get(check, query_string={"token": token, "email": email}).get_json()
    assert offer == {
        "is_valid": True,
        "data": {
            "workspace_name": "Test Workspace",
            "workspace_id": owner.tenant_id,
            "email": email.lower(),
        },
    }
    for wrong in ({"token": token[:-1] + "x"}, {"token": token, "email": owner.email}, {"token": "é" * 96}):
        assert bare.get(check, query_string=wrong).get_json() == {"is_valid": False, "data": None}
    with runtime.reading() as session:
        row = session.scalars(select(Invitation).where(Invitation.tenant_id == owner.tenant_id)).one()
        assert token not in repr(vars(row))

    weak, strange = activate(bare, token, password="short"), activate(bare, token, timezone="Mars/Base")
    assert [code_of(weak), code_of(strange)] == [(400, "invalid_param")] * 2
    joined = activate(bare, token, password=PASSWORD)

    assert joined.status_code == 200
    assert log_in(bare, replace(owner, email=email)).get_json()["result"] == "success"
    headers = {"Authorization": f"Bearer {joined.get_json()['data']['access_token']}"}
    workspace = bare.get(f"{CONSOLE}/workspaces/current", headers=headers).get_json()
    assert (workspace["id"], workspace["role"]) == (owner.tenant_id, "editor")
    profile = bare.get(f"{CONSOLE}/account/profile", headers=headers).get_json()
    assert (profile["interface_language"], profile["timezone"]) == ("zh-Hans", "Asia/Shanghai")
    assert listed(bare, owner)[email.lower()]["status"] == "active"
    assert code_of(activate(bare, token, password=PASSWORD)) == (403, "already_activate")


@BOTH
def test_address_that_is_invited_by_many_at_once_has_one_invitation(
    house: Flask, bare: FlaskClient, owner: Owner
) -> None:
    email = new_email(owner)

    with ThreadPoolExecutor(8) as pool:
        clients = [house.test_client(use_cookies=False) for _ in range(8)]
        answers = list(pool.map(lambda one: invite(one, owner, email), clients))

    assert {answer.status_code for answer in answers} == {201}
    tokens = [token_of(answer) for answer in answers]
    check = f"{CONSOLE}/activate/check"
    good = [bare.get(check, query_string={"token": token}).get_json()["is_valid"] for token in tokens]
    assert (good.count(True), listed(bare, owner)[email]["status"]) == (1, "pending")


@BOTH
def test_invitation_is_taken_up_by_one_of_many(house: Flask, bare: FlaskClient, owner: Owner) -> None:
    token = token_of(invite(bare, owner, new_email(owner)))

    with ThreadPoolExecutor(8) as pool:
        clients = [house.test_client(use_cookies=False) for _ in range(8)]
        statuses = [answer.status_code for answer in pool.map(lambda one: activate(one, token), clients)]

    assert sorted(statuses) == [200] + [403] * 7
    assert len(listed(bare, owner)) == 2


def test_invitation_of_a_workspace_that_is_being_closed_waits_and_is_over(
    bare: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    token = token_of(invite(bare, owner, new_email(owner)))
    here = Tenant.id == owner.tenant_id

    with ThreadPoolExecutor(1) as pool, runtime.transaction() as session:
        session.execute(select(Tenant.id).where(here).with_for_update())  # as a deletion of its owner does
        session.execute(update(Tenant).where(here).values(status="suspended"))
        joined = pool.submit(activate, bare, token)
        wait_until(lambda: is_waited_for(runtime))

    assert code_of(joined.result()) == (403, "already_activate")
    with runtime.reading() as session:
        members = session.scalars(select(TenantMember.id).where(TenantMember.tenant_id == owner.tenant_id))
        assert len(members.all()) == 1


def test_invitation_of_somebody_with_an_account_leaves_it_as_it_is(
    bare: FlaskClient, runtime: Runtime, owner: Owner, person: Owner
) -> None:
    first = token_of(invite(bare, owner, person.email))
    token = token_of(invite(bare, owner, person.email, role="normal"))

    assert code_of(activate(bare, first)) == (403, "already_activate")
    answer = activate(bare, token, password="another password 9")

    assert answer.get_json() == {"result": "success"}
    assert log_in(bare, person).get_json()["result"] == "success"
    seen = bare.get(f"{CONSOLE}/workspaces", headers=person.headers).get_json()["workspaces"]
    assert [(item["id"], item["current"]) for item in seen] == [
        (person.tenant_id, True),
        (owner.tenant_id, False),
    ]
    again = invite(bare, owner, person.email).get_json()["invitation_results"][0]
    assert (again["status"], again["url"]) == ("failed", None)
    late = token_of(invite(bare, make_owner(runtime), person.email))
    assert log_in(bare, person, invite_token=late).get_json()["result"] == "success"
    assert len(bare.get(f"{CONSOLE}/workspaces", headers=person.headers).get_json()["workspaces"]) == 3


def test_invitation_ends_by_time_by_being_taken_back_and_with_its_workspace(
    bare: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    emails = [new_email(owner, name) for name in ("a", "b", "c")]
    tokens = [token_of(invite(bare, owner, email)) for email in emails]
    with runtime.transaction() as session:
        session.execute(
            update(Invitation)
            .where(Invitation.email == emails[0])
            .values(expires_at=utc_now() - timedelta(seconds=1))
        )
    pending = listed(bare, owner)[emails[1]]["id"]
    assert bare.delete(f"{MEMBERS}/{pending}", headers=owner.headers).status_code == 200

    assert code_of(activate(bare, tokens[0])) == (403, "already_activate")
    assert code_of(activate(bare, tokens[1])) == (403, "already_activate")
    with runtime.transaction() as session:
        session.get_one(Tenant, owner.tenant_id).status = "suspended"
    assert code_of(activate(bare, tokens[2])) == (403, "already_activate")


def test_invitation_asks_for_a_role_that_can_be_given(
    bare: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    admin = make_member(runtime, owner, Role.ADMIN)

    assert code_of(invite(bare, owner, "x@example.com", role="owner")) == (400, "invalid-role")
    assert code_of(invite(bare, owner, "x@example.com", role="king")) == (400, "invalid_param")
    assert code_of(invite(bare, owner, role="editor")) == (400, "invalid_param")
    assert invite(bare, admin, new_email(owner), role="admin").status_code == 201
    odd = ("a:b@x.de", "a@[x", "a[b@x.de", "x\x01@y.z", "a@b..c", "a@b\r\nBcc: c@d", "=?utf-8?q?a=2Cb?=@x.de")
    answered = invite(bare, owner, *odd).get_json()["invitation_results"]
    assert [result["status"] for result in answered] == ["failed"] * len(odd)
    fine = (f"ö.o'neil+tag={new_email(owner)}", f"x_y-z.{new_email(owner)}")
    answered = invite(bare, owner, *fine).get_json()["invitation_results"]
    assert [result["status"] for result in answered] == ["success"] * len(fine)


def test_invitation_by_mail_shows_its_link_to_nobody_else(
    bare: FlaskClient, owner: Owner, letterbox: Letterbox
) -> None:
    email = new_email(owner)

    answer = invite(bare, owner, email, language="zh-Hans")

    assert answer.get_json()["invitation_results"] == [
        {"status": "success", "email": email, "url": None, "message": None}
    ]
    mail = letterbox.read(email)
    link = next(line for line in mail.text.splitlines() if "/activate?" in line)
    assert "邀请" in mail.subject
    assert activate(bare, parse_qs(urlsplit(link).query)["token"][0], password=PASSWORD).status_code == 200


def test_invitation_by_mail_goes_out_though_its_inviter_has_left(
    bare: FlaskClient, runtime: Runtime, owner: Owner, letterbox: Letterbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin, email = make_member(runtime, owner, Role.ADMIN), new_email(owner)
    waiting: list[str] = []
    with monkeypatch.context() as no_worker:
        no_worker.setattr(runtime.queue, "enqueue", lambda job_id, **_options: waiting.append(job_id))
        invite(bare, admin, email)
    account_deletion.delete_by_operator(runtime, admin.email)

    runtime.queue.enqueue(waiting[-1], queue=Queue.DEFAULT.value)

    mail = letterbox.read(email)
    assert mail.subject == "A former member invites you to Test Workspace"
    link = next(line for line in mail.text.splitlines() if "/activate?" in line)
    assert activate(bare, parse_qs(urlsplit(link).query)["token"][0], password=PASSWORD).status_code == 200


def test_members_change_those_below_themselves_alone(
    bare: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    admin, other, editor = (
        make_member(runtime, owner, role) for role in (Role.ADMIN, Role.ADMIN, Role.EDITOR)
    )

    def change(by: Owner, whom: str, role: str) -> TestResponse:
        return bare.put(f"{MEMBERS}/{whom}/update-role", json={"role": role}, headers=by.headers)

    def remove(by: Owner, whom: str) -> TestResponse:
        return bare.delete(f"{MEMBERS}/{whom}", headers=by.headers)

    for whom in (owner.account_id, other.account_id):
        assert code_of(change(admin, whom, "normal")) == (403, "access_denied")
        assert code_of(remove(admin, whom)) == (403, "access_denied")
    for by in (admin, owner):
        assert code_of(change(by, by.account_id, "normal")) == (400, "cannot-operate-self")
        assert code_of(remove(by, by.account_id)) == (400, "cannot-operate-self")
        assert code_of(change(by, editor.account_id, "owner")) == (400, "invalid-role")
    stranger = make_owner(runtime)
    for missing in (stranger.account_id, UNKNOWN_ID, "x"):
        assert code_of(change(owner, missing, "normal")) == (404, "member-not-found")
        assert code_of(remove(owner, missing)) == (404, "member-not-found")

    assert change(admin, editor.account_id, "normal").get_json() == {"result": "success"}
    assert code_of(bare.post(f"{CONSOLE}/apps", json={}, headers=editor.headers)) == (403, "access_denied")
    assert change(owner, other.account_id, "dataset_operator").status_code == 200
    operators = bare.get(f"{CONSOLE}/workspaces/current/dataset-operators", headers=owner.headers)
    assert [account["id"] for account in operators.get_json()["accounts"]] == [other.account_id]
    assert remove(admin, editor.account_id).get_json() == {"result": "success", "tenant_id": owner.tenant_id}
    assert profile_status(bare, editor.token) == 401
    assert set(listed(bare, owner)) == {owner.email, admin.email, other.email}


@BOTH
def test_owner_hands_the_workspace_over_by_password_once(
    house: Flask, bare: FlaskClient, runtime: Runtime, person: Owner
) -> None:
    heirs = [make_member(runtime, person, Role.NORMAL) for _ in range(2)]

    def transfer(whom: str, **body: Any) -> TestResponse:
        client = house.test_client(use_cookies=False)
        return client.post(f"{MEMBERS}/{whom}/owner-transfer", json=body, headers=person.headers)

    assert code_of(transfer(heirs[0].account_id)) == (400, "current_password_incorrect")
    assert code_of(transfer(heirs[0].account_id, token="x")) == (400, "invalid_or_expired_token")
    assert code_of(transfer(UNKNOWN_ID, password=PASSWORD)) == (404, "member-not-found")
    assert code_of(transfer(person.account_id, password=PASSWORD)) == (400, "cannot-operate-self")
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda heir: transfer(heir.account_id, password=PASSWORD), heirs))

    assert sorted(answer.status_code for answer in answers) == [200, 403]
    roles = [account["role"] for account in listed(bare, person).values()]
    assert sorted(roles) == ["admin", "normal", "owner"]
    assert listed(bare, person)[person.email]["role"] == "admin"


@contextmanager
def meanwhile(runtime: Runtime, statement: Any) -> Iterator[None]:
    """Have another's statement done and committed right after a member is looked at."""
    left = [statement]

    def act(_connection: object, _cursor: object, sent: str, *_rest: object) -> None:
        if "FROM tenant_members" in sent and left:
            with runtime.transaction() as session:
                session.execute(left.pop())

    event.listen(runtime.engine, "after_cursor_execute", act)
    yield
    event.remove(runtime.engine, "after_cursor_execute", act)
    assert not left


def test_workspace_has_one_owner_whatever_is_changed_meanwhile(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    admin, heir = (make_member(runtime, owner, role) for role in (Role.ADMIN, Role.EDITOR))
    place = f"{MEMBERS}/{heir.account_id}"
    row = TenantMember.account_id == heir.account_id
    with runtime.transaction() as session:
        hashed = passwords.hash_password(runtime, PASSWORD)
        session.execute(update(Account).where(Account.id == owner.account_id).values(password_hash=hashed))
    become_owner, demoted = (
        update(TenantMember).where(row).values(role=role) for role in ("owner", "normal")
    )

    with meanwhile(runtime, become_owner):
        changed = client.put(f"{place}/update-role", json={"role": "normal"}, headers=admin.headers)
    with runtime.transaction() as session:
        session.execute(update(TenantMember).where(row).values(role="editor"))
    with meanwhile(runtime, become_owner):
        removed = client.delete(place, headers=admin.headers)
    with runtime.transaction() as session:
        session.execute(update(TenantMember).where(row).values(role="editor"))
    for statement in (demoted, delete(TenantMember).where(row)):
        with meanwhile(runtime, statement):
            handed = client.post(
                f"{place}/owner-transfer", json={"password": PASSWORD}, headers=owner.headers
            )
        assert code_of(handed) == (409, "conflict")

    assert code_of(changed) == code_of(removed) == (409, "conflict")
    assert {who["email"]: who["role"] for who in listed(client, owner).values()} == {
        owner.email: "owner",
        admin.email: "admin",
    }


def test_owner_hands_the_workspace_over_by_a_code(
    bare: FlaskClient, runtime: Runtime, owner: Owner, letterbox: Letterbox
) -> None:
    heir = make_member(runtime, owner, Role.ADMIN)
    sent = bare.post(f"{MEMBERS}/send-owner-transfer-confirm-email", headers=owner.headers).get_json()
    code = letterbox.read(owner.email).subject.rpartition(" ")[2]
    body = {"code": code, "token": sent["data"]}
    checked = bare.post(f"{MEMBERS}/owner-transfer-check", json=body, headers=owner.headers).get_json()
    path = f"{MEMBERS}/{heir.account_id}/owner-transfer"

    unchecked = bare.post(path, json={"token": sent["data"]}, headers=owner.headers)
    done = bare.post(path, json={"token": checked["token"]}, headers=owner.headers)

    assert (checked["is_valid"], checked["email"]) == (True, owner.email)
    assert code_of(unchecked) == (400, "invalid_or_expired_token")
    assert done.get_json() == {"result": "success"}
    assert listed(bare, heir)[heir.email]["role"] == "owner"


def test_owner_without_mail_is_told_so(bare: FlaskClient, owner: Owner) -> None:
    answer = bare.post(f"{MEMBERS}/send-owner-transfer-confirm-email", headers=owner.headers)

    assert code_of(answer) == (400, "email_not_setup")
