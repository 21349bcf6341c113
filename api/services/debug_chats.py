"""Tests of chat and completion apps in the console, with a configuration that may not be saved yet."""

from dataclasses import replace

from api.core.apps.spec import AppMode
from api.core.events import EventLog
from api.core.ports import JSONObject
from api.principal import Principal
from api.runtime import Runtime
from api.services import app_configs, app_specs, generation
from api.services.access import AppNotFound, access_app
from api.services.asks import Ask

CHAT = frozenset({AppMode.CHAT, AppMode.AGENT_CHAT})
COMPLETION = frozenset({AppMode.COMPLETION})


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
    return generation.generate(runtime, replace(spec, config=tried, config_id=None), principal, ask)
