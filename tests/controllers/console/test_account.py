"""One's own account, over HTTP."""

import io
from typing import Any

import pytest
from flask.testing import FlaskClient

from api.controllers.schemas.account import ACCOUNT
from api.principal import Role
from api.runtime import Runtime
from api.services import sessions
from tests.conftest import BOTH, ONCE
from tests.factories import PASSWORD, Owner, make_member
from tests.uploads import PNG

PROFILE = "/console/api/account/profile"
CHANGE_PASSWORD = "/console/api/account/password"
NEW = {"password": PASSWORD, "new_password": "battery staple 2", "repeat_new_password": "battery staple 2"}


def test_profile_has_the_documented_shape(client: FlaskClient, person: Owner) -> None:
    answer = client.get(PROFILE, headers=person.headers)

    assert answer.status_code == 200
    assert set(answer.get_json()) == set(ACCOUNT)
    assert (answer.get_json()["id"], answer.get_json()["email"]) == (person.account_id, person.email)
    assert answer.get_json()["is_password_set"] is True
    assert isinstance(answer.get_json()["created_at"], int)
    assert answer.get_json()["interface_language"] == "en-US"
    assert answer.get_json()["last_login_at"] is None


def test_profile_after_login_tells_when_and_from_where(client: FlaskClient, person: Owner) -> None:
    client.post("/console/api/login", json={"email": person.email, "password": PASSWORD})

    profile = client.get(PROFILE, headers=person.headers).get_json()

    assert profile["last_login_at"] >= profile["created_at"]
    assert profile["last_login_ip"] == "127.0.0.1"


@pytest.mark.parametrize("role", [Role.DATASET_OPERATOR, Role.NORMAL, Role.EDITOR])
def test_profile_is_open_to_every_role(
    client: FlaskClient, runtime: Runtime, owner: Owner, role: Role
) -> None:
    member = make_member(runtime, owner, role)

    assert client.get(PROFILE, headers=member.headers).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "profile"),
        ("POST", "name"),
        ("POST", "interface-language"),
        ("POST", "interface-theme"),
        ("POST", "timezone"),
        ("POST", "password"),
    ],
)
def test_account_without_credentials_is_refused(client: FlaskClient, method: str, path: str) -> None:
    answer = client.open(f"/console/api/account/{path}", method=method, json={})

    assert (answer.status_code, answer.get_json()["code"]) == (401, "unauthorized")


@pytest.mark.parametrize(
    ("path", "field", "value", "kept"),
    [
        ("name", "name", "  Zoë 🦊 ", "Zoë 🦊"),
        ("name", "name", "n" * 30, "n" * 30),
        ("name", "name", "abc", "abc"),
        ("interface-language", "interface_language", "zh-Hans", "zh-Hans"),
        ("interface-theme", "interface_theme", "dark", "dark"),
        ("timezone", "timezone", "Asia/Shanghai", "Asia/Shanghai"),
        ("timezone", "timezone", "UTC", "UTC"),
    ],
)
def test_account_setting_changed_is_kept_and_nothing_else_changes(
    client: FlaskClient, owner: Owner, path: str, field: str, value: str, kept: str
) -> None:
    before = client.get(PROFILE, headers=owner.headers).get_json()
    forged = {"id": "x", "email": "other@example.com", "status": "banned", "created_at": 1}

    answer = client.post(f"/console/api/account/{path}", json={**forged, field: value}, headers=owner.headers)

    assert answer.status_code == 200
    assert answer.get_json() == {**before, field: kept}
    assert client.get(PROFILE, headers=owner.headers).get_json() == answer.get_json()


@pytest.mark.parametrize(
    ("path", "field", "value", "fault"),
    [
        ("name", "name", "ab", "too_short"),
        ("name", "name", " ab ", "too_short"),
        ("name", "name", "n" * 31, "too_long"),
        ("name", "name", 123, "invalid_type"),
        ("name", "name", None, "invalid_type"),
        ("interface-language", "interface_language", "tlh", "invalid_choice"),
        ("interface-theme", "interface_theme", "pink", "invalid_choice"),
        ("interface-theme", "interface_theme", True, "invalid_type"),
        ("timezone", "timezone", "Mars/Olympus", "invalid_value"),
        ("timezone", "timezone", "../../etc/passwd", "invalid_value"),
        ("timezone", "timezone", "America", "invalid_value"),
        ("timezone", "timezone", "", "too_short"),
    ],
)
def test_account_setting_bad_is_named_and_not_kept(
    client: FlaskClient, owner: Owner, path: str, field: str, value: object, fault: str
) -> None:
    before = client.get(PROFILE, headers=owner.headers).get_json()

    answer = client.post(f"/console/api/account/{path}", json={field: value}, headers=owner.headers)

    assert (answer.status_code, answer.get_json()["code"]) == (400, "invalid_param")
    assert answer.get_json()["details"] == {"field": field, "type": fault}
    assert client.get(PROFILE, headers=owner.headers).get_json() == before


def test_account_setting_missing_is_named(client: FlaskClient, owner: Owner) -> None:
    answer = client.post("/console/api/account/name", json={}, headers=owner.headers)

    assert answer.get_json()["details"] == {"field": "name", "type": "required"}


# -- password ------------------------------------------------------------------------------------


def sign_in(client: FlaskClient, person: Owner, password: str) -> int:
    return client.post("/console/api/login", json={"email": person.email, "password": password}).status_code


def test_password_changed_replaces_the_old_one(client: FlaskClient, person: Owner) -> None:
    answer = client.post(CHANGE_PASSWORD, json=NEW, headers=person.headers)

    assert (answer.status_code, answer.get_json()["id"]) == (200, person.account_id)
    assert sign_in(client, person, PASSWORD) == 401
    assert sign_in(client, person, NEW["new_password"]) == 200


def test_password_changed_ends_all_other_sessions(
    client: FlaskClient, runtime: Runtime, person: Owner, owner: Owner
) -> None:
    with runtime.transaction() as session:
        other = sessions.open_session(runtime, session, person.account_id, None)

    client.post(CHANGE_PASSWORD, json=NEW, headers=person.headers)

    other_headers = {"Authorization": f"Bearer {other.access_token}"}
    assert client.get(PROFILE, headers=other_headers).status_code == 401
    assert client.get(PROFILE, headers=person.headers).status_code == 200
    assert client.get(PROFILE, headers=owner.headers).status_code == 200


@ONCE
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"repeat_new_password": "battery staple 3"}, "repeat_password_not_match"),
        ({"password": "wrong horse 1"}, "current_password_incorrect"),
        ({"password": None}, "current_password_incorrect"),
        ({"new_password": "weak", "repeat_new_password": "weak"}, "invalid_param"),
        ({"new_password": 12345678}, "invalid_param"),
    ],
)
def test_password_refused_keeps_password_and_sessions(
    client: FlaskClient, runtime: Runtime, person: Owner, changes: dict[str, Any], code: str
) -> None:
    with runtime.transaction() as session:
        other = sessions.open_session(runtime, session, person.account_id, None)

    answer = client.post(CHANGE_PASSWORD, json={**NEW, **changes}, headers=person.headers)

    assert (answer.status_code, answer.get_json()["code"]) == (400, code)
    other_headers = {"Authorization": f"Bearer {other.access_token}"}
    assert client.get(PROFILE, headers=other_headers).status_code == 200
    assert sign_in(client, person, PASSWORD) == 200


@BOTH
@pytest.mark.parametrize("door", ["password", "owner-transfer"])
def test_password_is_not_guessed_by_whoever_has_a_session(
    client: FlaskClient, runtime: Runtime, person: Owner, door: str
) -> None:
    heir = make_member(runtime, person, Role.EDITOR)
    place = f"/console/api/workspaces/current/members/{heir.account_id}/owner-transfer"
    url = CHANGE_PASSWORD if door == "password" else place

    guesses = [
        client.post(url, json={**NEW, "password": f"guess {number}"}, headers=person.headers)
        for number in range(runtime.limits.login_max_failures + 1)
    ]
    right = client.post(url, json=NEW, headers=person.headers)

    assert {answer.get_json()["code"] for answer in guesses[:-1]} == {"current_password_incorrect"}
    assert (guesses[-1].status_code, right.status_code) == (429, 429)
    assert 0 < int(right.headers["Retry-After"]) <= runtime.limits.login_lock_s
    assert sign_in(client, person, PASSWORD) == 200


def test_password_first_one_needs_no_current_one(client: FlaskClient, owner: Owner) -> None:
    body = {name: value for name, value in NEW.items() if name != "password"}

    answer = client.post(CHANGE_PASSWORD, json=body, headers=owner.headers)

    assert (answer.status_code, answer.get_json()["is_password_set"]) == (200, True)
    assert sign_in(client, owner, NEW["new_password"]) == 200


# -- what is asked once --------------------------------------------------------------------------


@ONCE
@pytest.mark.parametrize(("zone", "code"), [("UTC", "account_already_inited"), ("Mars", "invalid_param")])
def test_account_is_initialised_from_the_start(
    client: FlaskClient, owner: Owner, zone: str, code: str
) -> None:
    sent = {"interface_language": "en-US", "timezone": zone}

    answer = client.post("/console/api/account/init", json=sent, headers=owner.headers)

    assert (answer.status_code, answer.get_json()["code"]) == (400, code)


@ONCE
def test_picture_is_given_of_ones_own_workspace(client: FlaskClient, owner: Owner, person: Owner) -> None:
    upload = {"file": (io.BytesIO(PNG), "me.png")}
    sent = client.post("/console/api/files/upload", data=upload, headers=owner.headers)
    image = sent.get_json()["id"]

    def look(by: Owner, avatar: str) -> Any:
        query = {"avatar": avatar}
        return client.get("/console/api/account/avatar", query_string=query, headers=by.headers)

    assert client.get(look(owner, image).get_json()["avatar_url"], buffered=True).data == PNG
    assert look(owner, "https://a.example/b.png").get_json() == {"avatar_url": "https://a.example/b.png"}
    for by, avatar in ((person, image), (owner, "javascript:alert(1)")):
        assert look(by, avatar).get_json()["details"] == {"field": "avatar", "type": "invalid_value"}
