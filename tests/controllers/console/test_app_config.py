"""Configurations of apps, over HTTP."""

from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select

from api.models.app import AppModelConfig
from api.runtime import Runtime
from tests.conftest import ONCE
from tests.controllers.console.provider_calls import MODELS, save
from tests.factories import Owner, make_app
from tests.servers import ScriptedServer

BUILTIN = {"provider": "builtin", "name": "extractive-qa", "mode": "chat", "completion_params": {}}
UNKNOWN_ID = "c0ffee00-0000-4000-8000-000000000000"


def save_config(client: FlaskClient, owner: Owner, app_id: str, **config: object) -> Any:
    url = f"/console/api/apps/{app_id}/model-config"
    return client.post(url, json={"model": BUILTIN, **config}, headers=owner.headers)


def show_config(client: FlaskClient, owner: Owner, app_id: str) -> dict[str, Any]:
    app: dict[str, Any] = client.get(f"/console/api/apps/{app_id}", headers=owner.headers).get_json()
    config: dict[str, Any] = app["model_config"]
    return config


def test_config_saved_is_shown_with_every_key(client: FlaskClient, owner: Owner, runtime: Runtime) -> None:
    app_id = make_app(runtime, owner)
    before = show_config(client, owner, app_id)
    sent = {
        "pre_prompt": "Be kind to {{name}}.",
        "user_input_form": [{"text-input": {"label": "Name", "variable": "name", "required": True}}],
        "opening_statement": "你好",
        "suggested_questions": ["Who?"],
        "a_key_of_tomorrow": {"kept": [1, None]},
    }

    answer = save_config(client, owner, app_id, **sent)

    shown = show_config(client, owner, app_id)
    assert (answer.status_code, answer.get_json()) == (200, {"result": "success"})
    assert sent.items() <= shown.items()
    assert shown["model"] == BUILTIN
    assert set(before) <= set(shown)
    assert shown["created_by"] == owner.account_id
    assert isinstance(shown["created_at"], int)


def test_config_saved_again_is_a_new_row(client: FlaskClient, owner: Owner, runtime: Runtime) -> None:
    app_id = make_app(runtime, owner)

    for prompt in ("one", "two"):
        save_config(client, owner, app_id, pre_prompt=prompt)

    with runtime.transaction() as session:
        rows = session.scalar(select(func.count()).where(AppModelConfig.app_id == app_id))
    assert rows == 3
    assert show_config(client, owner, app_id)["pre_prompt"] == "two"


def test_config_left_out_takes_its_default(client: FlaskClient, owner: Owner, runtime: Runtime) -> None:
    app_id = make_app(runtime, owner, mode="completion")

    save_config(client, owner, app_id, pre_prompt="Say {{what}}", opening_statement=None)

    shown = show_config(client, owner, app_id)
    assert (shown["user_input_form"], shown["opening_statement"]) == ([], "")


def test_config_drops_what_the_server_owns(client: FlaskClient, owner: Owner, runtime: Runtime) -> None:
    app_id = make_app(runtime, owner)

    save_config(
        client, owner, app_id, id="x", created_by="x", created_at=1, annotation_reply={"enabled": True}
    )

    shown = show_config(client, owner, app_id)
    assert "id" not in shown
    assert shown["created_by"] == owner.account_id
    assert shown["annotation_reply"] == {"enabled": False}


@pytest.mark.parametrize("provider", ["builtin", "slipway/builtin/builtin"])
def test_config_takes_short_and_long_provider_ids(
    client: FlaskClient, owner: Owner, runtime: Runtime, provider: str
) -> None:
    app_id = make_app(runtime, owner)

    assert save_config(client, owner, app_id, model={**BUILTIN, "provider": provider}).status_code == 200


@ONCE
@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"model": None}, "model"),
        ({"model": "gpt"}, "model"),
        ({"model": {**BUILTIN, "provider": "unheard_of"}}, "model.provider"),
        ({"model": {**BUILTIN, "provider": "openai", "name": "gpt-4o"}}, "model.provider"),
        ({"model": {**BUILTIN, "name": "gpt-4o"}}, "model.name"),
        ({"model": {**BUILTIN, "name": "multilingual-e5-small"}}, "model.name"),
        ({"model": {**BUILTIN, "name": ""}}, "model.name"),
        ({"model": {**BUILTIN, "completion_params": {"stop": 5}}}, "model.completion_params"),
        ({"model": {**BUILTIN, "completion_params": {"stop": ["END", 5]}}}, "model.completion_params"),
        ({"pre_prompt": 5}, "pre_prompt"),
        ({"external_data_tools": 5}, "external_data_tools"),
        ({"external_data_tools": ["api"]}, "external_data_tools.0"),
        ({"suggested_questions": "Who?"}, "suggested_questions"),
        ({"suggested_questions": [5]}, "suggested_questions.0"),
        ({"more_like_this": {"enabled": "yes"}}, "more_like_this.enabled"),
        ({"file_upload": {"image": {"number_limits": "3"}}}, "file_upload.image.number_limits"),
        ({"file_upload": {"image": {"number_limits": True}}}, "file_upload.image.number_limits"),
        (
            {"user_input_form": [{"text-input": {"variable": "a", "label": "A", "required": 1}}]},
            "user_input_form.0.required",
        ),
        ({"user_input_form": [{"text-input": {"variable": "1st"}}]}, "user_input_form.0.variable"),
        (
            {"user_input_form": [{"number": {"variable": "n", "label": str(i)}} for i in range(2)]},
            "user_input_form",
        ),
        (
            {"dataset_configs": {"datasets": {"datasets": [{"dataset": {"id": UNKNOWN_ID}}]}}},
            "dataset_configs",
        ),
        ({"agent_mode": {"tools": [{"dataset": {"enabled": True, "id": UNKNOWN_ID}}]}}, "dataset_configs"),
    ],
)
def test_config_with_a_fault_is_refused_and_changes_nothing(
    client: FlaskClient, owner: Owner, runtime: Runtime, config: dict[str, object], field: str
) -> None:
    app_id = make_app(runtime, owner)
    before = show_config(client, owner, app_id)

    answer = save_config(client, owner, app_id, **config)

    assert answer.status_code == 400
    assert answer.get_json()["code"] == "invalid_param"
    assert answer.get_json()["details"]["field"].startswith(field)
    assert show_config(client, owner, app_id) == before


def test_config_may_name_knowledge_that_is_empty(client: FlaskClient, owner: Owner, runtime: Runtime) -> None:
    app_id = make_app(runtime, owner)

    answer = save_config(client, owner, app_id, dataset_configs={"datasets": {"datasets": []}})

    assert answer.status_code == 200


def test_config_takes_any_model_of_a_configured_customizable_provider(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    app_id = make_app(runtime, owner)
    model = {**BUILTIN, "provider": "openai_api_compatible", "name": "qwen3:8b"}

    refused = save_config(client, owner, app_id, model=model)
    with ScriptedServer(MODELS) as server:
        save(client, owner, server)
        saved = save_config(client, owner, app_id, model=model)

    assert (refused.status_code, saved.status_code) == (400, 200)
    assert show_config(client, owner, app_id)["model"] == model


@pytest.mark.parametrize("mode", ["workflow", "advanced-chat"])
def test_config_of_an_app_that_has_none_is_not_found(
    client: FlaskClient, owner: Owner, runtime: Runtime, mode: str
) -> None:
    answer = save_config(client, owner, make_app(runtime, owner, mode=mode))

    assert (answer.status_code, answer.get_json()["code"]) == (404, "app_not_found")


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'"x"', b"{", b'{"model": NaN}'])
def test_config_that_is_no_object_is_refused(
    client: FlaskClient, owner: Owner, runtime: Runtime, body: bytes
) -> None:
    url = f"/console/api/apps/{make_app(runtime, owner)}/model-config"

    answer = client.post(url, data=body, content_type="application/json", headers=owner.headers)

    assert (answer.status_code, answer.get_json()["code"]) == (400, "invalid_param")
