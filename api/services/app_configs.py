"""The configuration of chat, completion and agent apps: its default, and each save as a new row.

Rows never change once written, so that what a process has parsed of one stays
right. Wire: docs/wire/apps.md#model-config.
"""

from sqlalchemy.orm import Session

from api.core.apps.config import ModelConfig, load_model_config
from api.core.apps.spec import CONFIGURED_MODES, AppMode
from api.core.model_runtime.provider import long_id
from api.core.model_runtime.types import ModelRef, ModelType
from api.core.ports import JSONObject
from api.models.app import App, AppModelConfig
from api.principal import Principal
from api.runtime import Runtime
from api.services import api_extensions, app_knowledge, providers
from api.services.access import AppNotFound, access_app

SERVER_KEYS = frozenset({"id", "created_by", "created_at", "updated_by", "updated_at", "annotation_reply"})
"""Keys of the wire's ModelConfig that the server owns; a client's values for them are dropped."""


def default_config(mode: AppMode, model: ModelRef) -> JSONObject:
    """Return the configuration a new app starts with."""
    config = _plain_config(
        {
            "provider": long_id(model.provider),
            "name": model.model,
            "mode": "chat",
            "completion_params": {},
        },
        is_agent=mode is AppMode.AGENT_CHAT,
    )
    if mode is AppMode.COMPLETION:
        query: JSONObject = {"label": "Query", "variable": "query", "required": True, "default": ""}
        config |= {"pre_prompt": "{{query}}", "user_input_form": [{"paragraph": query}]}
    return config


def _plain_config(model: JSONObject, *, is_agent: bool = False) -> JSONObject:
    """Return every key of the wire's ModelConfig with its default, for a model."""
    return {
        "model": model,
        "pre_prompt": "",
        "prompt_type": "simple",
        "chat_prompt_config": {},
        "completion_prompt_config": {},
        "user_input_form": [],
        "dataset_query_variable": "",
        "opening_statement": "",
        "suggested_questions": [],
        "suggested_questions_after_answer": {"enabled": False},
        "more_like_this": {"enabled": False},
        "speech_to_text": {"enabled": False},
        "text_to_speech": {"enabled": False},
        "retriever_resource": {"enabled": True},
        "sensitive_word_avoidance": {"enabled": False},
        "external_data_tools": [],
        "agent_mode": {"enabled": is_agent, "max_iteration": 10, "strategy": "function_call", "tools": []},
        "dataset_configs": {"retrieval_model": "multiple"},
        "file_upload": {
            "enabled": False,
            "image": {
                "enabled": False,
                "number_limits": 3,
                "detail": "high",
                "transfer_methods": ["remote_url", "local_file"],
            },
        },
        "annotation_reply": {"enabled": False},
    }


def save_config(
    runtime: Runtime, session: Session, principal: Principal, app_id: str, raw: JSONObject
) -> AppModelConfig:
    """Give an app a new configuration; what the body leaves out takes its default.

    Raises AppNotFound (also for modes that have none), and InvalidRequest for
    a bad shape, a model that cannot be used, knowledge or an extension that does not exist.
    """
    app = access_app(session, principal, app_id)
    if AppMode(app.mode) not in CONFIGURED_MODES:
        raise AppNotFound("App not found.")
    config = load_model_config(_sent(raw))
    providers.check_usable(
        runtime,
        session,
        principal.tenant_id,
        config.model.ref,
        ModelType.LLM,
        names=("model.provider", "model.name"),
    )
    api_extensions.check_known(session, principal.tenant_id, config.extension_ids)
    return import_config(session, principal, app, raw)


def trial_config(session: Session, principal: Principal, raw: JSONObject) -> ModelConfig:
    """Return a configuration that is tried out and not stored; raises as ``import_config`` does."""
    config = load_model_config(_sent(raw))
    app_knowledge.check_knowledge(session, principal, config)
    api_extensions.check_known(session, principal.tenant_id, config.extension_ids)
    return config


def import_config(session: Session, principal: Principal, app: App, raw: JSONObject) -> AppModelConfig:
    """Give an app a configuration made elsewhere, whose model may not be there yet.

    A chat app whose configuration is an agent's is of mode agent-chat from then on.
    Raises InvalidRequest for a bad shape, or knowledge that does not exist.
    """
    sent = _sent(raw)
    checked = load_model_config(sent)
    app_knowledge.check_knowledge(session, principal, checked)
    app_knowledge.keep_knowledge(session, app, checked)
    if app.mode == AppMode.CHAT and checked.is_agent:
        app.mode = AppMode.AGENT_CHAT.value
    model: JSONObject = checked.model.model_dump()
    return store_config(session, principal, app, _plain_config(model) | sent | {"model": model})


def _sent(raw: JSONObject) -> JSONObject:
    """Return what of a body counts."""
    return {key: value for key, value in raw.items() if value is not None and key not in SERVER_KEYS}


def store_config(session: Session, principal: Principal, app: App, config: JSONObject) -> AppModelConfig:
    """Write a checked configuration as a new row and point the app at it."""
    row = AppModelConfig(
        tenant_id=app.tenant_id,
        app_id=app.id,
        config=config,
        created_by=principal.id,
        updated_by=principal.id,
    )
    session.add(row)
    session.flush()
    app.app_model_config_id = row.id
    app.updated_by = principal.id
    session.flush()
    return row
