"""Tests of chat and completion apps in the console, with a configuration that may not be saved yet."""

from dataclasses import replace

from api.core.apps.config import ModelConfig
from api.core.apps.spec import CHAT_MODES, AppMode
from api.core.events import EventLog
from api.core.ports import JSONObject
from api.principal import Principal
from api.runtime import Runtime
from api.services import app_configs, app_specs, flows, generation, suggestions
from api.services.access import AppNotFound, access_app, access_message
from api.services.asks import Ask
from api.services.suggestions import SuggestionsDisabled

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


def suggest_questions(runtime: Runtime, principal: Principal, app_id: str, message_id: str) -> list[str]:
    """Return at most three questions that may follow a message the caller got in a test.

    Whether they are wanted says what the message was tested with, for an hour;
    then the saved configuration; for chatflows the draft. Raises AppNotFound,
    also for apps that do not chat, NotFound, SuggestionsDisabled, or a
    ProviderFailure.
    """
    with runtime.transaction() as session:
        app = access_app(session, principal, app_id)
        if AppMode(app.mode) not in CHAT_MODES:
            raise AppNotFound("App not found.")
        spec = app_specs.load_spec(runtime, session, principal.tenant_id, app.id)
        flow = flows.draft_flow(runtime, session, principal.tenant_id, app.id)
        message = access_message(session, principal, app.id, message_id)
    tried = runtime.cache.get(_key(message.id))
    if tried is not None:
        spec = replace(spec, config=ModelConfig.model_validate_json(tried), config_id=None)
    features = spec.config if flow is None else flow.features
    if features is None or not features.suggested_questions_after_answer.enabled:
        raise SuggestionsDisabled("Suggested Questions Is Disabled.")
    return suggestions.write_questions(runtime, spec, principal, message.id)


def _key(message_id: str) -> str:
    return f"tried:{message_id}"
