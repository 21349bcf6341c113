"""What an agent may call, and what a call gives its model to read.

Boundary: a tool is its description and a function. Who finds tools and holds
their credentials hands them in; a tool that fails says so in its observation.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from api.core.events import RetrieverResource
from api.core.model_runtime.types import NO_TOKENS, TokenCount, ToolSpec, Usage
from api.core.ports import Cancel, JSONObject, JSONValue
from api.core.tools.tool import ParameterType, ToolParameter, ToolSchema

JSON_TYPES: dict[ParameterType, str] = {
    "string": "string",
    "number": "number",
    "boolean": "boolean",
    "select": "string",
    "array": "array",
    "object": "object",
}
"""The types of parameters a model can fill in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What a call gave. ``spent`` are tokens of the agent's own model that it took, ``usage`` of others."""

    text: str
    is_error: bool = False
    json: tuple[JSONValue, ...] = ()
    files: tuple[JSONObject, ...] = ()
    cited: tuple[RetrieverResource, ...] = ()
    spent: TokenCount = NO_TOKENS
    usage: Usage | None = None


CallTool = Callable[[JSONObject, Cancel], Observation]
"""Calls a tool with what the model wrote. Raises Cancelled, and nothing for a tool that only failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentTool:
    """A tool as a model is offered it, under the name of its ``spec``.

    ``label`` is for people, ``details`` are shown of its calls to whoever looks
    at the run.
    """

    spec: ToolSpec
    call: CallTool
    label: JSONObject = field(default_factory=dict)
    details: JSONObject = field(default_factory=dict)


def to_spec(name: str, schema: ToolSchema, fixed: Collection[str], description: str = "") -> ToolSpec:
    """Return a tool as models are told of it, without what its author has ``fixed`` or is to set."""
    asked = [
        one
        for one in schema.parameters
        if one.form == "llm" and one.type in JSON_TYPES and one.name not in fixed
    ]
    parameters: JSONObject = {
        "type": "object",
        "properties": {one.name: _to_json_schema(one) for one in asked},
        "required": [one.name for one in asked if one.is_required],
    }
    return ToolSpec(
        name=name,
        description=description or schema.llm_description or schema.description.en,
        parameters=parameters,
    )


def _to_json_schema(parameter: ToolParameter) -> JSONObject:
    description = parameter.llm_description or parameter.human_description.en
    if parameter.schema is not None:
        return {"description": description, **parameter.schema}
    described: JSONObject = {"type": JSON_TYPES[parameter.type], "description": description}
    if parameter.type == "select":
        described["enum"] = [word for word, _ in parameter.options]
    if parameter.type == "array":
        described["items"] = {}
    bounds = {"minimum": parameter.minimum, "maximum": parameter.maximum}
    return described | {name: bound for name, bound in bounds.items() if bound is not None}
