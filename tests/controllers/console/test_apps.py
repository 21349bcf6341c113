"""Apps of the workspace, over HTTP."""

import threading
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from api.controllers.schemas.app import APP_DETAIL_MODEL, APP_MODEL
from api.principal import Role
from api.runtime import Runtime
from api.services import uploads
from api.services.apps import create_app
from api.services.uploads import IncomingFile
from tests.conftest import BOTH, make_house, make_settings, stop_house
from tests.factories import Owner, make_app, make_key, make_member, make_owner
from tests.statements import count_statements

APPS = "/console/api/apps"
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360000000000500017f0c5d0c0000000049454e44ae426082"
)
CONFIGURED = ("chat", "agent-chat", "completion")


def create(client: FlaskClient, owner: Owner, **body: object) -> Any:
    return client.post(APPS, json={"name": "An app", "mode": "chat", **body}, headers=owner.headers)


def listed(client: FlaskClient, owner: Owner, **query: object) -> list[str]:
    answer = client.get(APPS, query_string=query, headers=owner.headers)
    assert answer.status_code == 200, answer.get_json()
    return [app["name"] for app in answer.get_json()["data"]]


@pytest.mark.parametrize("mode", ["chat", "agent-chat", "advanced-chat", "workflow", "completion"])
def test_create_answers_with_the_whole_app(client: FlaskClient, owner: Owner, mode: str) -> None:
    answer = create(client, owner, name=" 应用 🤖 ", mode=mode)

    app = answer.get_json()
    assert answer.status_code == 201
    assert set(app) == set(APP_DETAIL_MODEL)
    assert (app["name"], app["mode"], app["description"]) == ("应用 🤖", mode, "")
    assert (app["icon"], app["icon_type"], app["icon_background"]) == ("🤖", "emoji", "#FFEAD5")
    assert (app["enable_site"], app["enable_api"], app["is_demo"]) == (True, True, False)
    assert (app["api_rpm"], app["api_rph"], app["max_active_requests"]) == (0, 0, None)
    assert app["created_by"] == app["updated_by"] == owner.account_id
    assert app["author_name"] == "Test Owner"
    assert (app["model_config"] is not None) == (mode in CONFIGURED)
    assert len(app["site"]["code"]) == 16
    assert (app["site"]["title"], app["site"]["default_language"]) == ("应用 🤖", "en-US")
    assert app["api_base_url"] == "http://localhost/v1"


def test_create_gives_a_configuration_that_answers_without_any_key(client: FlaskClient, owner: Owner) -> None:
    config = create(client, owner, mode="completion").get_json()["model_config"]

    assert config["model"] == {
        "provider": "slipway/builtin/builtin",
        "name": "extractive-qa",
        "mode": "chat",
        "completion_params": {},
    }
    assert config["pre_prompt"] == "{{query}}"
    assert [*config["user_input_form"][0]] == ["paragraph"]
    assert config["user_input_form"][0]["paragraph"]["required"] is True
    assert config["created_by"] == owner.account_id


def test_create_turns_the_agent_on_for_agent_apps_alone(client: FlaskClient, owner: Owner) -> None:
    enabled = {
        mode: create(client, owner, name=mode, mode=mode).get_json()["model_config"]["agent_mode"]["enabled"]
        for mode in CONFIGURED
    }

    assert enabled == {"chat": False, "agent-chat": True, "completion": False}


@pytest.mark.parametrize(
    ("body", "field", "fault"),
    [
        ({"name": None}, "name", "invalid_type"),
        ({"name": 5}, "name", "invalid_type"),
        ({"name": ["x"]}, "name", "invalid_type"),
        ({"name": ""}, "name", "too_short"),
        ({"name": "  "}, "name", "too_short"),
        ({"name": "🤖" * 41}, "name", "too_long"),
        ({"mode": None}, "mode", "invalid_type"),
        ({"mode": "chatty"}, "mode", "invalid_choice"),
        ({"mode": 1}, "mode", "invalid_type"),
        ({"description": 7}, "description", "invalid_type"),
        ({"description": "d" * 201}, "description", "too_long"),
        ({"description": "d" * 401, "icon_type": "emoji"}, "description", "too_long"),
        ({"icon": True}, "icon", "invalid_type"),
        ({"icon": "<script>"}, "icon", "invalid_format"),
        ({"icon": "javascript:alert(1)", "icon_type": "link"}, "icon", "invalid_format"),
        ({"icon": "http://h/<x>"}, "icon", "invalid_format"),
        ({"icon": "c0ffee00-0000-4000-8000-000000000000", "icon_type": "image"}, "icon", "invalid_value"),
        ({"icon_type": "video"}, "icon_type", "invalid_choice"),
        ({"icon_background": "#12345"}, "icon_background", "invalid_format"),
        ({"icon_background": "red"}, "icon_background", "invalid_format"),
    ],
)
def test_create_refuses_a_bad_value_and_names_it(
    client: FlaskClient, owner: Owner, body: dict[str, object], field: str, fault: str
) -> None:
    answer = create(client, owner, **body)

    assert answer.status_code == 400
    assert answer.get_json()["code"] == "invalid_param"
    assert answer.get_json()["details"] == {"field": field, "type": fault}
    assert listed(client, owner) == []


@pytest.mark.parametrize("name", [r"a\u0000b", r"\ud800"])
def test_create_refuses_text_no_database_takes(client: FlaskClient, owner: Owner, name: str) -> None:
    body = f'{{"name": "{name}", "mode": "chat"}}'

    answer = client.post(APPS, data=body, content_type="application/json", headers=owner.headers)

    assert (answer.status_code, answer.get_json()["code"]) == (400, "invalid_param")


@pytest.mark.parametrize("missing", ["name", "mode"])
def test_create_without_a_required_field_names_it(client: FlaskClient, owner: Owner, missing: str) -> None:
    body = {"name": "x", "mode": "chat"}
    del body[missing]

    answer = client.post(APPS, json=body, headers=owner.headers)

    assert answer.status_code == 400
    assert answer.get_json()["details"] == {"field": missing, "type": "required"}


@pytest.mark.parametrize(
    "body",
    [
        {"name": "🤖" * 40},
        {"description": "d" * 200},
        {"description": "d" * 400, "icon_type": "emoji"},
        {"description": None, "icon": None, "icon_background": None, "icon_type": None},
        {"icon": "1️⃣"},
        {"icon": "sweat_smile"},
        {"icon_background": "#abc"},
        {"icon_background": "#FFEAD580"},
    ],
)
def test_create_takes_values_at_their_limits(
    client: FlaskClient, owner: Owner, body: dict[str, object]
) -> None:
    answer = create(client, owner, **body)

    assert answer.status_code == 201, answer.get_json()
    kept = {key: value for key, value in body.items() if value is not None}
    assert kept.items() <= answer.get_json().items()


def test_create_takes_an_address_as_a_link(client: FlaskClient, owner: Owner) -> None:
    app = create(client, owner, icon="https://example.com/i.png").get_json()

    assert (app["icon_type"], app["icon"], app["icon_url"]) == ("link", "https://example.com/i.png", None)


def upload_image(runtime: Runtime, owner: Owner) -> str:
    sent = IncomingFile(name="i.png", content=BytesIO(PNG), size_bytes=len(PNG), sha256="0" * 64)
    return uploads.create_upload(runtime, owner.principal, sent).id


def test_uploaded_icon_is_shown_by_a_signed_address(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    image = upload_image(runtime, owner)

    app = create(client, owner, icon=image.upper(), icon_type="image").get_json()

    assert (app["icon"], app["icon_type"]) == (image, "image")
    for url in (app["icon_url"], app["site"]["icon_url"]):
        assert url.startswith("http://localhost/files/")
        with client.get(url) as shown:
            assert shown.data == PNG


def test_uploaded_icon_does_not_change_the_tag_of_an_unchanged_app(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    app = create(client, owner, icon=upload_image(runtime, owner), icon_type="image").get_json()

    answers = [client.get(f"{APPS}/{app['id']}", headers=owner.headers) for _ in range(2)]

    assert answers[0].get_json()["icon_url"] != answers[1].get_json()["icon_url"]
    assert answers[0].headers["ETag"] == answers[1].headers["ETag"]


def test_uploaded_icon_of_another_workspace_is_refused(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    foreign = upload_image(runtime, make_owner(runtime))

    answer = create(client, owner, icon=foreign, icon_type="image")

    assert answer.status_code == 400
    assert answer.get_json()["details"]["field"] == "icon"


def test_create_ignores_what_the_server_owns(client: FlaskClient, owner: Owner, runtime: Runtime) -> None:
    stranger = make_owner(runtime)
    owned = {
        "id": "c0ffee00-0000-4000-8000-000000000000",
        "tenant_id": stranger.tenant_id,
        "created_by": stranger.account_id,
        "created_at": 1,
        "is_demo": True,
        "status": "abnormal",
        "unheard_of": "x",
    }

    app = create(client, owner, **owned).get_json()

    assert listed(client, stranger) == []
    assert "unheard_of" not in app
    assert not owned.items() & {key: app.get(key) for key in owned}.items()


def test_create_with_a_taken_name_is_refused_in_the_seeds_words(client: FlaskClient, owner: Owner) -> None:
    create(client, owner, name="Twin")

    answer = create(client, owner, name="  Twin ", mode="workflow")

    assert answer.status_code == 400
    assert answer.get_json()["message"] == "应用名称已存在"
    assert answer.get_json()["code"] == "invalid_param"
    assert answer.get_json()["details"] == {"field": "name", "type": "duplicate"}


def test_create_lets_another_workspace_use_the_name(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    create(client, owner, name="Twin")

    assert create(client, make_owner(runtime), name="Twin").status_code == 201


@BOTH
def test_create_raced_by_eight_makes_one(house: Flask, owner: Owner) -> None:
    barrier = threading.Barrier(8)

    def race(_number: int) -> int:
        client = house.test_client()
        barrier.wait()
        status: int = create(client, owner, name="Race").status_code
        return status

    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(race, range(8)))

    assert statuses == [201, *[400] * 7]


@BOTH
def test_create_repeated_with_one_idempotency_key_makes_one_app(client: FlaskClient, owner: Owner) -> None:
    headers = {**owner.headers, "Idempotency-Key": "once"}
    body = {"name": "Once", "mode": "chat"}

    first, again = (client.post(APPS, json=body, headers=headers) for _ in range(2))

    assert first.status_code == again.status_code == 201
    assert first.get_json() == again.get_json()
    assert listed(client, owner) == ["Once"]


def test_names_may_repeat_where_the_setting_allows_it(tmp_path: Path) -> None:
    app = make_house(make_settings(tmp_path, app_name_unique="off"))
    client, owner = app.test_client(), make_owner(app.extensions["runtime"])

    statuses = [create(client, owner, name="Twin").status_code for _ in range(2)]

    stop_house(app)
    assert statuses == [201, 201]


def test_list_is_newest_first_and_paged(client: FlaskClient, owner: Owner, runtime: Runtime) -> None:
    for number in range(5):
        make_app(runtime, owner, name=f"App {number}")

    first = client.get(APPS, query_string={"page": 1, "limit": 3}, headers=owner.headers).get_json()
    last = client.get(APPS, query_string={"page": 2, "limit": 3}, headers=owner.headers).get_json()
    beyond = client.get(APPS, query_string={"page": 3, "limit": 3}, headers=owner.headers).get_json()

    assert [app["name"] for app in first["data"]] == ["App 4", "App 3", "App 2"]
    assert [app["name"] for app in last["data"]] == ["App 1", "App 0"]
    assert beyond["data"] == []
    assert [page["has_more"] for page in (first, last, beyond)] == [True, False, False]
    assert {page["total"] for page in (first, last, beyond)} == {5}
    assert all(set(app) == set(APP_MODEL) for app in first["data"])


def test_list_holds_thirty_unless_told_otherwise(client: FlaskClient, owner: Owner) -> None:
    page = client.get(APPS, headers=owner.headers).get_json()

    assert (page["page"], page["limit"]) == (1, 30)


@pytest.mark.parametrize(
    ("query", "field", "fault"),
    [
        ({"page": 0}, "page", "out_of_range"),
        ({"page": -1}, "page", "out_of_range"),
        ({"page": 10**9}, "page", "out_of_range"),
        ({"page": "1.5"}, "page", "invalid_type"),
        ({"page": ""}, "page", "invalid_type"),
        ({"limit": 0}, "limit", "out_of_range"),
        ({"limit": 101}, "limit", "out_of_range"),
        ({"limit": "abc"}, "limit", "invalid_type"),
        ({"mode": "chatty"}, "mode", "invalid_choice"),
        ({"is_created_by_me": "maybe"}, "is_created_by_me", "invalid_type"),
    ],
)
def test_list_refuses_a_bad_query_and_names_it(
    client: FlaskClient, owner: Owner, query: dict[str, object], field: str, fault: str
) -> None:
    answer = client.get(APPS, query_string=query, headers=owner.headers)

    assert answer.status_code == 400
    assert answer.get_json()["details"] == {"field": field, "type": fault}


def test_list_finds_part_of_a_name_literally(client: FlaskClient, owner: Owner, runtime: Runtime) -> None:
    for name in ("100% sure", "100 sure", "snake_case", "snakeXcase", "Back\\slash", "客服助手"):
        make_app(runtime, owner, name=name)

    assert listed(client, owner, name="100%") == ["100% sure"]
    assert listed(client, owner, name="E_C") == ["snake_case"]
    assert listed(client, owner, name="k\\s") == ["Back\\slash"]
    assert listed(client, owner, name="SURE") == ["100 sure", "100% sure"]
    assert listed(client, owner, name="客服") == ["客服助手"]
    assert len(listed(client, owner, name="")) == 6


def test_list_filters_by_mode(client: FlaskClient, owner: Owner, runtime: Runtime) -> None:
    for mode in ("chat", "workflow"):
        make_app(runtime, owner, mode=mode, name=mode)

    assert listed(client, owner, mode="chat") == ["chat"]
    assert listed(client, owner, mode="completion") == []
    assert listed(client, owner, mode="channel") == []
    assert listed(client, owner, mode="all") == ["workflow", "chat"]


def test_list_filters_by_maker(client: FlaskClient, owner: Owner, runtime: Runtime) -> None:
    editor = make_member(runtime, owner, Role.EDITOR)
    make_app(runtime, owner, name="owner's")
    make_app(runtime, editor, name="editor's")

    assert listed(client, editor, is_created_by_me="true") == ["editor's"]
    assert listed(client, editor, is_created_by_me="false") == ["editor's", "owner's"]


def test_list_of_thirty_takes_at_most_four_statements(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    for _ in range(30):
        make_app(runtime, owner)

    tag = client.post("/console/api/tags", json={"name": "t", "type": "app"}, headers=owner.headers)
    bound = {"tag_ids": [tag.get_json()["id"]], "target_id": make_app(runtime, owner), "type": "app"}
    client.post("/console/api/tag-bindings/create", json=bound, headers=owner.headers)

    with count_statements(runtime.session_factory.kw["bind"]) as statements:
        answer = client.get(APPS, headers=owner.headers)

    own = [text for text in statements if "jobs" not in text and "worker_beats" not in text]
    assert len(answer.get_json()["data"]) == 30
    assert len(own) <= 4, own


@pytest.mark.parametrize("path", ["", "/{app_id}"])
def test_answer_the_client_holds_already_is_not_sent_again(
    client: FlaskClient, owner: Owner, runtime: Runtime, path: str
) -> None:
    app_id = make_app(runtime, owner)
    url = APPS + path.format(app_id=app_id)
    first = client.get(url, headers=owner.headers)
    headers = {**owner.headers, "If-None-Match": first.headers["ETag"]}

    same = client.get(url, headers=headers)
    client.put(f"{APPS}/{app_id}", json={"name": "Changed"}, headers=owner.headers)
    changed = client.get(url, headers=headers)

    assert not first.headers["ETag"].startswith("W/")
    assert first.headers["Cache-Control"] == "private, no-cache"
    assert (same.status_code, same.data) == (304, b"")
    assert same.headers["ETag"] == first.headers["ETag"]
    assert changed.status_code == 200
    assert changed.headers["ETag"] != first.headers["ETag"]


def test_get_shows_what_create_answered(client: FlaskClient, owner: Owner) -> None:
    app = create(client, owner).get_json()

    assert client.get(f"{APPS}/{app['id'].upper()}", headers=owner.headers).get_json() == app


def test_update_changes_only_what_it_names(client: FlaskClient, owner: Owner, runtime: Runtime) -> None:
    editor = make_member(runtime, owner, Role.EDITOR)
    before = create(client, owner, description="kept").get_json()
    changes = {
        "icon": "🦊",
        "icon_background": "#000",
        "enable_site": False,
        "api_rpm": 10,
        "api_rph": 2**31 - 1,
        "max_active_requests": 3,
        "use_icon_as_answer_icon": True,
        "name": " New name ",
    }

    answer = client.put(f"{APPS}/{before['id']}", json=changes, headers=editor.headers)

    expected = {**before, **changes, "name": "New name", "updated_by": editor.account_id}
    got = answer.get_json()
    assert answer.status_code == 200
    assert got == {**expected, "updated_at": got["updated_at"]}
    assert client.get(f"{APPS}/{before['id']}", headers=owner.headers).get_json() == got


@pytest.mark.parametrize("body", [{}, {"id": "x", "tenant_id": "y", "created_by": "z", "is_demo": True}])
def test_update_without_a_known_field_changes_nothing(
    client: FlaskClient, owner: Owner, runtime: Runtime, body: dict[str, object]
) -> None:
    before = create(client, owner).get_json()
    editor = make_member(runtime, owner, Role.EDITOR)

    answer = client.put(f"{APPS}/{before['id']}", json=body, headers=editor.headers)

    assert answer.status_code == 200
    assert answer.get_json() == before


@pytest.mark.parametrize(
    ("body", "field", "fault"),
    [
        ({"name": None}, "name", "invalid_type"),
        ({"name": " "}, "name", "too_short"),
        ({"enable_site": None}, "enable_site", "invalid_type"),
        ({"enable_api": "yes"}, "enable_api", "invalid_type"),
        ({"enable_api": 1}, "enable_api", "invalid_type"),
        ({"api_rpm": -1}, "api_rpm", "out_of_range"),
        ({"api_rpm": 2**31}, "api_rpm", "out_of_range"),
        ({"api_rpm": "5"}, "api_rpm", "invalid_type"),
        ({"api_rpm": True}, "api_rpm", "invalid_type"),
        ({"api_rpm": 1.5}, "api_rpm", "invalid_type"),
        ({"api_rph": None}, "api_rph", "invalid_type"),
        ({"max_active_requests": -1}, "max_active_requests", "out_of_range"),
        ({"use_icon_as_answer_icon": None}, "use_icon_as_answer_icon", "invalid_type"),
        ({"description": "d" * 201}, "description", "too_long"),
        ({"icon": "no emoji"}, "icon", "invalid_format"),
    ],
)
def test_update_refuses_a_bad_value_and_changes_nothing(
    client: FlaskClient, owner: Owner, body: dict[str, object], field: str, fault: str
) -> None:
    before = create(client, owner).get_json()

    answer = client.put(f"{APPS}/{before['id']}", json={"icon": "🦊", **body}, headers=owner.headers)

    assert answer.status_code == 400
    assert answer.get_json()["details"] == {"field": field, "type": fault}
    assert client.get(f"{APPS}/{before['id']}", headers=owner.headers).get_json() == before


def test_update_clears_what_may_be_empty(client: FlaskClient, owner: Owner) -> None:
    app = create(client, owner, description="x").get_json()
    url = f"{APPS}/{app['id']}"
    client.put(url, json={"max_active_requests": 5}, headers=owner.headers)

    cleared = {"max_active_requests": None, "description": None, "icon": None}
    answer = client.put(url, json=cleared, headers=owner.headers).get_json()

    assert (answer["max_active_requests"], answer["description"], answer["icon"]) == (None, "", "🤖")


def test_update_may_keep_its_own_name_but_not_take_anothers(client: FlaskClient, owner: Owner) -> None:
    first, second = (create(client, owner, name=name).get_json() for name in ("First", "Second"))
    url = f"{APPS}/{second['id']}"

    own = client.put(url, json={"name": "Second"}, headers=owner.headers)
    taken = client.put(url, json={"name": "First"}, headers=owner.headers)
    client.delete(f"{APPS}/{first['id']}", headers=owner.headers)
    freed = client.put(url, json={"name": "First"}, headers=owner.headers)

    assert (own.status_code, taken.status_code, freed.status_code) == (200, 400, 200)
    assert taken.get_json()["details"] == {"field": "name", "type": "duplicate"}


def test_update_of_the_api_switch_needs_an_admin(client: FlaskClient, owner: Owner, runtime: Runtime) -> None:
    editor = make_member(runtime, owner, Role.EDITOR)
    url = f"{APPS}/{make_app(runtime, owner)}"

    refused = client.put(url, json={"enable_api": False, "name": "Sneaky"}, headers=editor.headers)
    unchanged = client.put(url, json={"enable_api": True, "icon": "🦊"}, headers=editor.headers)
    allowed = client.put(url, json={"enable_api": False}, headers=owner.headers)

    assert (refused.status_code, refused.get_json()["code"]) == (403, "access_denied")
    assert (unchanged.status_code, unchanged.get_json()["icon"]) == (200, "🦊")
    assert unchanged.get_json()["name"] != "Sneaky"
    assert allowed.get_json()["enable_api"] is False


def test_api_switch_closes_the_app_to_its_keys_at_once(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    app_id = make_app(runtime, owner)
    key = {"Authorization": f"Bearer {make_key(runtime, owner, app_id)}"}
    url = f"{APPS}/{app_id}/api-enable"

    assert client.get("/v1/info", headers=key).status_code == 200
    off = client.post(url, json={"enable_api": False}, headers=owner.headers)
    closed = client.get("/v1/info", headers=key)
    client.post(url, json={"enable_api": True}, headers=owner.headers)

    assert (off.status_code, off.get_json()["enable_api"]) == (200, False)
    assert closed.status_code == 403
    assert client.get("/v1/info", headers=key).status_code == 200


def test_site_switch_opens_and_closes_the_page(client: FlaskClient, owner: Owner, runtime: Runtime) -> None:
    url = f"{APPS}/{make_app(runtime, owner)}/site-enable"

    closed = client.post(url, json={"enable_site": False}, headers=owner.headers)
    missing = client.post(url, json={}, headers=owner.headers)

    assert closed.get_json()["enable_site"] is False
    assert missing.get_json()["details"] == {"field": "enable_site", "type": "required"}


def test_delete_happens_once_and_revokes_the_keys(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    app_id = make_app(runtime, owner)
    key = {"Authorization": f"Bearer {make_key(runtime, owner, app_id)}"}
    url = f"{APPS}/{app_id}"

    first = client.delete(url, headers=owner.headers)
    again = client.delete(url, headers=owner.headers)

    assert (first.status_code, first.get_json()) == (200, {"result": "success"})
    assert (again.status_code, again.get_json()["code"]) == (404, "app_not_found")
    assert client.get(url, headers=owner.headers).status_code == 404
    assert client.get("/v1/info", headers=key).status_code == 401


def test_app_of_the_first_start_says_so(client: FlaskClient, owner: Owner, runtime: Runtime) -> None:
    with runtime.transaction() as session:
        app = create_app(runtime, session, owner.principal, name="Demo", mode="chat", is_demo=True)

    assert client.get(f"{APPS}/{app.id}", headers=owner.headers).get_json()["is_demo"] is True
