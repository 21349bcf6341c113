"""What the console answers about members, workspaces and accounts is what its own description says of it."""

from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient

from api.principal import Role
from api.runtime import Runtime
from tests.conftest import BOTH, ONCE
from tests.controllers.console.test_members import new_email
from tests.controllers.test_console_answers import Desk
from tests.factories import PASSWORD, Owner, make_member, make_owner
from tests.letterbox import Letterbox

TAGS = {
    *("members", "invitations", "password resets", "workspaces", "features"),
    *("account", "email changes", "account deletion"),
}
MEMBERS = "/workspaces/current/members"


@pytest.fixture
def desk(client: FlaskClient, person: Owner) -> Desk:
    return Desk(client, person)


def use_account(desk: Desk) -> None:
    """Change everything of one's account."""
    desk.call("GET", "/account/profile")
    desk.call("GET", "/account/integrates")
    for name, value in (
        ("avatar", "https://pictures.example/ada.png"),
        ("name", "Ada L."),
        ("interface-language", "zh-Hans"),
        ("interface-theme", "dark"),
        ("timezone", "UTC"),
    ):
        desk.call("POST", f"/account/{name}", sent={name.replace("-", "_"): value})
    new = {"password": PASSWORD, "new_password": PASSWORD, "repeat_new_password": PASSWORD}
    desk.call("POST", "/account/password", sent=new)
    desk.call("GET", "/account/avatar", query={"avatar": "https://pictures.example/ada.png"})


def use_workspaces(desk: Desk) -> None:
    """Look at the workspace, rename it, make another one, and come back."""
    desk.call("GET", "/features")
    desk.call("GET", "/workspaces/current/usage")
    first = desk.call("GET", "/workspaces/current")["id"]
    desk.call("POST", "/workspaces/current")
    may = desk.call("GET", "/workspaces/current/permission")
    assert may == {"workspace_id": first, "allow_member_invite": True, "allow_owner_transfer": True}
    assert desk.call("POST", "/workspaces/info", sent={"name": "First"})["tenant"]["name"] == "First"
    made = desk.call("POST", "/workspaces", sent={"name": " Second "})["tenant"]
    assert (made["name"], made["role"], desk.call("GET", "/workspaces/current")["id"]) == (
        "Second",
        "owner",
        made["id"],
    )
    back = desk.call("POST", "/workspaces/switch", sent={"tenant_id": first})["new_tenant"]
    assert back["id"] == desk.call("GET", "/workspaces/current")["id"] == first
    assert [item["current"] for item in desk.call("GET", "/workspaces")["workspaces"]] == [True, False]


def use_members(desk: Desk, runtime: Runtime, letterbox: Letterbox) -> None:
    """Invite, let in, promote, remove, and hand the workspace over."""
    editor, heir = (make_member(runtime, desk.owner, role) for role in (Role.EDITOR, Role.ADMIN))
    email = new_email(desk.owner)
    desk.call("POST", f"{MEMBERS}/invite-email", sent={"emails": [email, "x"], "role": "normal"})
    desk.call("GET", MEMBERS)
    desk.call("GET", "/workspaces/current/dataset-operators")
    token = letterbox.read(email).text.partition("token=")[2].split()[0]
    desk.call("GET", "/activate/check", query={"token": token})
    about = {"token": token, "name": "Bo", "interface_language": "en-US", "timezone": "UTC"}
    desk.call("POST", "/activate", sent={**about, "password": PASSWORD})
    desk.call("GET", "/activate/check", query={"token": token})
    desk.call(
        "PUT", f"{MEMBERS}/{{member_id}}/update-role", member_id=editor.account_id, sent={"role": "normal"}
    )
    desk.call("DELETE", f"{MEMBERS}/{{member_id}}", member_id=editor.account_id)
    token = desk.call("POST", f"{MEMBERS}/send-owner-transfer-confirm-email")["data"]
    sent = {"token": token, "code": letterbox.read(desk.owner.email).subject[-6:]}
    token = desk.call("POST", f"{MEMBERS}/owner-transfer-check", sent=sent)["token"]
    desk.call(
        "POST", f"{MEMBERS}/{{member_id}}/owner-transfer", member_id=heir.account_id, sent={"token": token}
    )


def forget_password(desk: Desk, letterbox: Letterbox) -> None:
    """Set a new password by a code."""
    email = desk.owner.email
    for path in ("/reset-password", "/forgot-password"):
        letterbox.mails.clear()
        token = desk.call("POST", path, sent={"email": email})["data"]
        code = letterbox.read(email).subject[-6:]
    sent = {"email": email, "token": token, "code": code}
    token = desk.call("POST", "/forgot-password/validity", sent=sent)["token"]
    new = {"token": token, "new_password": "battery staple 2", "password_confirm": "battery staple 2"}
    desk.call("POST", "/forgot-password/resets", sent=new)


def change_email(desk: Desk, letterbox: Letterbox) -> None:
    """Move the account to another address."""
    old, new, token = desk.owner.email, f"new-{desk.owner.email}", None
    desk.call("POST", "/account/change-email/check-email-unique", sent={"email": new})
    for phase, email in (("old_email", old), ("new_email", new)):
        sent = {"email": email, "phase": phase, "token": token}
        token = desk.call("POST", "/account/change-email", sent=sent)["data"]
        sent = {"email": email, "token": token, "code": letterbox.read(email).subject[-6:]}
        token = desk.call("POST", "/account/change-email/validity", sent=sent)["token"]
    desk.call("POST", "/account/change-email/reset", sent={"new_email": new, "token": token})


def delete_account(desk: Desk, letterbox: Letterbox) -> None:
    """Delete the account, and say why."""
    letterbox.mails.clear()
    token = desk.call("GET", "/account/delete/verify")["data"]
    code = letterbox.read(desk.owner.email).subject[-6:]
    desk.call("POST", "/account/delete", sent={"token": token, "code": code})
    desk.call("POST", "/account/delete/feedback", sent={"email": desk.owner.email, "feedback": "Too good."})


def list_all_workspaces(desk: Desk, house: Flask, runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """List all workspaces as the operator's programs do, who send a key of the settings."""
    key, owner = "a-key-of-the-operator", desk.owner
    limits = replace(runtime.limits, admin_api_key=key)
    with monkeypatch.context() as changed:
        changed.setitem(house.extensions, "runtime", replace(runtime, limits=limits))
        desk.owner = replace(owner, token=key)
        desk.call("GET", "/all-workspaces")
    desk.owner = owner


@ONCE
def test_every_answer_about_members_is_as_documented(
    house: Flask, desk: Desk, runtime: Runtime, letterbox: Letterbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    list_all_workspaces(desk, house, runtime, monkeypatch)
    use_account(desk)
    use_workspaces(desk)
    use_members(desk, runtime, letterbox)
    forget_password(desk, letterbox)
    for step in (change_email, delete_account):
        desk.owner = make_owner(runtime)
        step(desk, letterbox)

    assert desk.called == desk.routes(TAGS) - {"POST /account/init"}  # which is always refused


@BOTH
def test_workspace_not_joined_or_suspended_is_not_entered(
    client: FlaskClient, runtime: Runtime, owner: Owner, person: Owner
) -> None:
    member = make_member(runtime, owner, Role.ADMIN)
    for tenant_id in (person.tenant_id, "c0ffee00-0000-4000-8000-000000000000", "x"):
        answer = client.post(
            "/console/api/workspaces/switch", json={"tenant_id": tenant_id}, headers=member.headers
        )
        assert (answer.status_code, answer.get_json()["code"]) == (400, "invalid_param")
    for avatar in ("no-file", "javascript:alert(1)"):
        answer = client.post("/console/api/account/avatar", json={"avatar": avatar}, headers=member.headers)
        assert (answer.status_code, answer.get_json()["details"]["field"]) == (400, "avatar")
    assert (
        client.post("/console/api/account/avatar", json={"avatar": ""}, headers=member.headers).status_code
        == 200
    )
