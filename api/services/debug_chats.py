"""Tests of chat and completion apps in the console, with a configuration that may not be saved yet."""

from dataclasses import replace

from api.core.apps.config import ModelConfig
from api.core.apps.spec import AppMode, AppSpec
from api.core.events import EventLog
from api.core.ports import JSONObject
from api.principal import Principal
from api.runtime import Runtime
from api.services import app_configs, app_specs, generation
from api.services.access import AppNotFound, access_app
from api.services.asks import Ask

CHAT = frozenset({AppMode.CHAT, AppMode.AGENT_CHAT})
COMPLETION = frozenset({AppMode.COMPLETION})
REMEMBERED_S = 3600.0
"""How long it is known what a test was configured with."""


def try_app(
    runtime: Runtime,
    principal: Principal,
    app_id: str,
    ask: Ask,
    *,
    config: JSONObject,
    modes: frozenset[AppMode],
) -> EventLog:
    """Start a run of an app of one of some modes, configured as ``config`` says for this run only.

    Raises AppNotFound, also for apps of other modes, InvalidRequest for a
    configuration that could not be saved either, and what runs are refused for.
    """
    with runtime.reading() as session:
        app = access_app(session, principal, app_id)
        if AppMode(app.mode) not in modes:
            raise AppNotFound("App not found.")
        spec = app_specs.load_spec(runtime, session, principal.tenant_id, app.id)
        tried = app_configs.trial_config(session, principal, config)
    log = generation.generate(runtime, replace(spec, config=tried, config_id=None), principal, ask)
    if tried.suggested_questions_after_answer.enabled and log.header.message_id is not None:
        runtime.cache.set(_key(log.header.message_id), tried.model_dump_json().encode(), REMEMBERED_S)
    return log


def as_tried(runtime: Runtime, app: AppSpec, message_id: str) -> AppSpec:
    """Return an app as a message was tested, for an hour where it was to suggest questions; else as saved."""
    tried = runtime.cache.get(_key(message_id))
    if tried is None:
        return app
    return replace(app, config=ModelConfig.model_validate_json(tried), config_id=None)


def _key(message_id: str) -> str:
    return f"tried:{message_id}"
