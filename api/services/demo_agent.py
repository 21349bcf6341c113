"""The demo's agent: the clock and a calculator, on the built-in model."""

from sqlalchemy.orm import Session

from api.core.model_runtime.types import ModelRef
from api.core.ports import JSONObject, JSONValue
from api.principal import Principal
from api.runtime import Runtime
from api.services import app_configs, apps, tokens

NAME = "Slipway demo agent"
QUESTION = "What is (17 + 4) * 2?"


def make_agent(runtime: Runtime, session: Session, principal: Principal, model: ModelRef) -> str:
    """Make the demo's agent app; return its key."""
    app = apps.create_app(
        runtime,
        session,
        principal,
        name=NAME,
        mode="agent-chat",
        description="Knows the time, and calculates.",
        is_demo=True,
    )
    app_configs.save_config(runtime, session, principal, app.id, _config(model))
    _, key = tokens.create_token(session, principal, name="demo", app_id=app.id)
    return key


def _config(model: ModelRef) -> JSONObject:
    tools: list[JSONValue] = [
        _tool("time", "current_time", timezone="UTC"),
        _tool("maths", "eval_expression"),
    ]
    return {
        "model": {"provider": model.provider, "name": model.model, "mode": "chat", "completion_params": {}},
        "agent_mode": {"enabled": True, "strategy": "function_call", "max_iteration": 5, "tools": tools},
        "opening_statement": "Ask me for the time, or for a calculation.",
        "suggested_questions": ["What time is it?", QUESTION],
    }


def _tool(provider: str, name: str, **parameters: JSONValue) -> JSONObject:
    return {
        "enabled": True,
        "provider_type": "builtin",
        "provider_id": provider,
        "provider_name": provider,
        "tool_name": name,
        "tool_label": name,
        "tool_parameters": parameters,
    }
