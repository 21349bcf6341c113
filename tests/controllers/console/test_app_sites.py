"""Sites of apps, and the smaller changes of an app: its name, its icon, a copy of it."""

from io import BytesIO
from typing import Any

import pytest
from flask.testing import FlaskClient

from api.controllers.schemas.app import APP_DETAIL_MODEL
from api.controllers.schemas.app_site import SITE_DETAIL
from api.runtime import Runtime
from api.services.app_configs import save_config
from tests import flows
from tests.conftest import BOTH
from tests.controllers.console.flow_calls import DraftApp
from tests.controllers.console.test_apps import PNG
from tests.factories import BUILTIN, Owner, make_app

GRAPH = {
    "nodes": [flows.drawn("s", "start"), flows.drawn("e", "end", outputs=[])],
    "edges": flows.edges("s > e"),
}
SECRET = {"id": "v1", "name": "token", "value_type": "secret", "value": "s3cret-value", "description": ""}


def post(client: FlaskClient, owner: Owner, app_id: str, path: str, **body: object) -> Any:
    return client.post(f"/console/api/apps/{app_id}/{path}", json=body, headers=owner.headers)


def show(client: FlaskClient, owner: Owner, app_id: str) -> Any:
    return client.get(f"/console/api/apps/{app_id}", headers=owner.headers).get_json()


# -- copies --------------------------------------------------------------------------------------


def test_copy_has_the_configuration_and_a_name_of_its_own(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    app_id = make_app(runtime, owner, name="Original")
    with runtime.transaction() as session:
        save_config(runtime, session, owner.principal, app_id, {"model": BUILTIN, "pre_prompt": "Be calm."})

    answer = post(client, owner, app_id, "copy")
    copy = answer.get_json()

    assert answer.status_code == 201
    assert set(copy) == set(APP_DETAIL_MODEL)
    assert (copy["name"], copy["mode"]) == ("Original (2)", "chat")
    assert copy["model_config"]["pre_prompt"] == "Be calm."
    assert copy["id"] != app_id
    assert copy["site"]["code"] != show(client, owner, app_id)["site"]["code"]


def test_copy_takes_what_the_request_says_instead(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    app_id = make_app(runtime, owner)

    copy = post(
        client,
        owner,
        app_id,
        "copy",
        name="Another",
        description="Mine",
        icon_type="emoji",
        icon="🐙",
        icon_background="#123456",
    ).get_json()

    assert (copy["name"], copy["description"]) == ("Another", "Mine")
    assert (copy["icon"], copy["icon_background"]) == ("🐙", "#123456")


def test_copy_of_a_workflow_has_its_draft_and_its_secrets_and_no_version(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    flow = DraftApp(client, runtime, owner, GRAPH, environment_variables=[SECRET])
    assert flow.call("POST", "workflows/publish").status_code == 200

    copy = post(client, owner, flow.id, "copy").get_json()

    at = f"/console/api/apps/{copy['id']}"
    draft = client.get(f"{at}/workflows/draft", headers=owner.headers).get_json()
    exported = client.get(f"{at}/export?include_secret=true", headers=owner.headers).get_json()["data"]
    assert [node["id"] for node in draft["graph"]["nodes"]] == ["s", "e"]
    assert draft["environment_variables"][0]["value"] == "*" * 20
    assert "s3cret-value" in exported
    assert copy["workflow"] is None


def test_copy_of_a_workflow_that_was_not_drawn_yet_is_not_drawn_either(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    copy = post(client, owner, make_app(runtime, owner, mode="workflow"), "copy")

    path = f"/console/api/apps/{copy.get_json()['id']}/workflows/draft"
    assert copy.status_code == 201
    assert client.get(path, headers=owner.headers).get_json()["code"] == "draft_workflow_not_exist"


def test_copy_keeps_an_uploaded_icon(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    form = {"file": (BytesIO(PNG), "icon.png")}
    icon = client.post("/console/api/files/upload", data=form, headers=owner.headers).get_json()["id"]
    app_id = make_app(runtime, owner)
    changed = post(client, owner, app_id, "icon", icon=icon, icon_type="image")

    copy = post(client, owner, app_id, "copy").get_json()

    assert changed.get_json()["icon"] == icon
    assert (copy["icon_type"], copy["icon"]) == ("image", icon)
    assert f"/files/{icon}/file-preview" in copy["icon_url"]


@BOTH
def test_copy_is_made_once_for_one_idempotency_key(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    app_id = make_app(runtime, owner)
    headers = {**owner.headers, "Idempotency-Key": "copy-1"}

    ids = {
        client.post(f"/console/api/apps/{app_id}/copy", json={}, headers=headers).get_json()["id"]
        for _ in range(2)
    }

    assert len(ids) == 1


def test_copy_with_an_icon_that_does_not_fit_is_refused(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    answer = post(client, owner, make_app(runtime, owner), "copy", icon_type="image", icon="x")

    assert (answer.status_code, answer.get_json()["code"]) == (400, "invalid_param")


# -- name and icon -------------------------------------------------------------------------------


def test_name_is_changed_and_stays_unique(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    make_app(runtime, owner, name="Taken")
    app_id = make_app(runtime, owner)

    renamed = post(client, owner, app_id, "name", name=" New ")
    taken = post(client, owner, app_id, "name", name="Taken")

    assert (renamed.status_code, renamed.get_json()["name"]) == (200, "New")
    assert (taken.status_code, taken.get_json()["details"]["type"]) == (400, "duplicate")


def test_icon_is_changed(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    app_id = make_app(runtime, owner)

    app = post(client, owner, app_id, "icon", icon="🦊", icon_background="#000", icon_type="emoji").get_json()
    bad = post(client, owner, app_id, "icon", icon="🦊", icon_background="black")

    assert (app["icon"], app["icon_background"]) == ("🦊", "#000")
    assert bad.get_json()["details"]["field"] == "icon_background"


# -- site ----------------------------------------------------------------------------------------


def test_site_changes_what_the_body_names_alone(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    app_id = make_app(runtime, owner)
    before = show(client, owner, app_id)["site"]

    answer = post(
        client,
        owner,
        app_id,
        "site",
        title="Ask us",
        custom_disclaimer="No advice.",
        chat_color_theme="#2563EB",
        show_workflow_steps=False,
        icon=None,
    )

    site = answer.get_json()
    changed = {key for key in before if before[key] != site[key]}
    assert answer.status_code == 200
    assert set(site) == set(SITE_DETAIL)
    assert changed - {"updated_at"} == {
        "title",
        "custom_disclaimer",
        "chat_color_theme",
        "show_workflow_steps",
    }
    assert show(client, owner, app_id)["site"] == site


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("title", ""),
        ("custom_disclaimer", "x" * 513),
        ("customize_token_strategy", "perhaps"),
        ("default_language", "<b>"),
        ("prompt_public", "yes"),
        ("icon", "not an icon"),
    ],
)
def test_site_refuses_bad_values(
    client: FlaskClient, runtime: Runtime, owner: Owner, field: str, value: object
) -> None:
    answer = post(client, owner, make_app(runtime, owner), "site", **{field: value})

    assert (answer.status_code, answer.get_json()["details"]["field"]) == (400, field)


def test_access_token_reset_gives_another_code(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    app_id = make_app(runtime, owner)
    old = show(client, owner, app_id)["site"]["code"]

    site = post(client, owner, app_id, "site/access-token-reset").get_json()

    assert site["code"] == site["access_token"] != old
    assert len(site["code"]) == 16
    assert show(client, owner, app_id)["site"]["code"] == site["code"]
