"""What drawings are told of the strategies of agents, in the shape Dify's editor reads."""

from flask_restx import fields

from api import __version__
from api.controllers.http.model import Model
from api.core.agent.agent import DEFAULT_ROUNDS, MAX_ROUNDS
from api.core.ports import JSONObject, JSONValue
from api.core.tools.tool import Words

PROVIDER, PLUGIN = "langgenius/agent/agent", "langgenius/agent"
AUTHOR = "Slipway"
STRATEGIES = (
    (
        "function_calling",
        Words("Function calling", "函数调用"),
        Words("For models that call tools.", "适用于能调用工具的模型。"),
    ),
    (
        "ReAct",
        Words("ReAct"),
        Words("For any model: it writes what it wants done.", "适用于任何模型：由模型写出要做的事。"),
    ),
)
"""Name, label and description of each; api/core/agent does what they say."""

AGENT_PROVIDER = Model(
    "AgentProvider",
    {
        "provider": fields.String(example=PROVIDER),
        "plugin_id": fields.String(example=PLUGIN),
        "plugin_unique_identifier": fields.String,
        "declaration": fields.Raw(description="`identity`, and `strategies` with their `parameters`."),
        "meta": fields.Raw(description="`version`."),
    },
)


def render_provider() -> JSONObject:
    """Return the one provider there is: that of the strategies built in."""
    identity: JSONObject = {
        "author": AUTHOR,
        "name": "agent",
        "label": Words("Agent strategies", "Agent 策略").to_json(),
        "description": Words(
            "Let a model use tools until it has an answer.", "让模型使用工具直至得出答案。"
        ).to_json(),
        "icon": "",
        "tags": [],
    }
    strategies: list[JSONValue] = [_strategy(*strategy) for strategy in STRATEGIES]
    return {
        "provider": PROVIDER,
        "plugin_id": PLUGIN,
        "plugin_unique_identifier": f"{PLUGIN}:{__version__}",
        "declaration": {"identity": identity, "plugin_id": PLUGIN, "strategies": strategies},
        "meta": {"version": __version__},
    }


def _strategy(name: str, label: Words, description: Words) -> JSONObject:
    return {
        "identity": {
            "author": AUTHOR,
            "name": name,
            "label": label.to_json(),
            "icon": "",
            "provider": PROVIDER,
        },
        "description": description.to_json(),
        "parameters": [
            _parameter("model", "model-selector", Words("Model", "模型"), scope="llm"),
            _parameter("tools", "array[tools]", Words("Tools", "工具"), is_required=False),
            _parameter("instruction", "string", Words("Instruction", "指令"), is_required=False),
            _parameter("query", "string", Words("Query", "查询")),
            _parameter("maximum_iterations", "number", Words("Most rounds", "最大迭代次数"))
            | {"default": DEFAULT_ROUNDS, "min": 1, "max": MAX_ROUNDS},
        ],
        "features": ["history-messages"],
        "output_schema": None,
    }


def _parameter(
    name: str, kind: str, label: Words, *, is_required: bool = True, scope: str | None = None
) -> JSONObject:
    return {
        "name": name,
        "type": kind,
        "label": label.to_json(),
        "form": "form",
        "required": is_required,
        "scope": scope,
        "default": None,
        "options": [],
    }
