"""Code: Python or JavaScript of the workflow's author, run in the sandbox.

What it gives is checked against what it declares, so that what follows can rely
on it. Wire: docs/wire/workflows.md#code.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from api.core.ports import CodeFailed, JSONObject, JSONValue
from api.core.workflow.deps import FlowLimits
from api.core.workflow.node import Named, NodeConfig, NodeContext, Types, node
from api.core.workflow.variables import Selector, ValueType
from api.core.workflow.work import NodeFailed, NodeResult

MAX_NUMBER = 2**63 - 1
PYTHON = """\
def main(arg1: str, arg2: str) -> dict:
    return {
        "result": arg1 + arg2,
    }
"""
JAVASCRIPT = """\
function main({arg1, arg2}) {
    return {
        result: arg1 + arg2
    }
}
"""

OutputType = Literal[
    "string",
    "number",
    "object",
    "boolean",
    "array[string]",
    "array[number]",
    "array[object]",
    "array[boolean]",
]


class Output(BaseModel):
    """What is declared of one output; ``children`` are the parts of an object that are kept."""

    model_config = ConfigDict(extra="ignore")

    type: OutputType
    children: "dict[str, Output] | None" = None


def _defaults(language: str, code: str) -> JSONObject:
    return {
        "variables": [
            {"variable": "arg1", "value_selector": []},
            {"variable": "arg2", "value_selector": []},
        ],
        "code_language": language,
        "code": code,
        "outputs": {"result": {"type": "string", "children": None}},
    }


@node(
    "code",
    defaults=_defaults("python3", PYTHON),
    defaults_by_language={
        "python3": _defaults("python3", PYTHON),
        "javascript": _defaults("javascript", JAVASCRIPT),
    },
)
class Code:
    """Run apart from the server, under limits of time, memory and output."""

    class Config(NodeConfig):
        """The code, its variables and its outputs."""

        variables: list[Named] = Field(default_factory=list)
        code_language: Literal["python3", "javascript"]
        code: str
        outputs: dict[str, Output] = Field(default_factory=dict)

        def references(self) -> Iterable[Selector]:
            """Return the variables."""
            return (tuple(item.value_selector) for item in self.variables if item.value_selector)

        def gives(self) -> Types:
            """Return what is declared."""
            return {name: ValueType(item.type) for name, item in self.outputs.items()}

    def run(self, config: Config, ctx: NodeContext) -> NodeResult:
        """Return the declared outputs. Raises NodeFailed where the code fails or gives something else."""
        limits = ctx.deps.limits
        ctx.inputs = {item.variable: ctx.variables.get(item.value_selector) for item in config.variables}
        try:
            result = ctx.deps.sandbox.run(
                config.code_language,
                config.code,
                ctx.inputs,
                timeout_s=limits.code_timeout_s,
                cancel=ctx.cancel,
            )
        except CodeFailed as exc:
            raise NodeFailed(str(exc), error_type="CodeExecutionError") from exc
        return NodeResult(outputs=_Check(limits).declared(config.outputs, result, "", 1))


class _Check:
    """Reads what code gave. ``where`` is the path to a value, for the sentence that refuses it."""

    def __init__(self, limits: FlowLimits) -> None:
        self._limits = limits

    def declared(
        self, outputs: Mapping[str, Output], given: JSONObject, where: str, depth: int
    ) -> JSONObject:
        """Return the declared part of an object. Raises NodeFailed where it is not as declared."""
        found: JSONObject = {}
        for name, output in outputs.items():
            path = f"{where}.{name}" if where else name
            if name not in given:
                raise _refused(f"Output {path} is missing.")
            found[name] = self._typed(output, given[name], path, depth)
        return found

    def _typed(self, output: Output, value: JSONValue, where: str, depth: int) -> JSONValue:
        if value is None:
            return None
        if not output.type.startswith("array["):
            return self._single(output, value, where, depth)
        if not isinstance(value, list):
            raise _unlike(where, "a list", value)
        self._check_count(value, where)
        element = output.model_copy(update={"type": output.type[len("array[") : -1]})
        return [self._element(element, item, f"{where}[{place}]", depth) for place, item in enumerate(value)]

    def _element(self, output: Output, value: JSONValue, where: str, depth: int) -> JSONValue:
        if value is not None:
            return self._single(output, value, where, depth + 1)
        if output.type == "number":
            raise _unlike(where, "a number", value)
        return None

    def _single(self, output: Output, value: JSONValue, where: str, depth: int) -> JSONValue:
        match output.type, value:
            case "string", str():
                self._check_any(value, where, depth)
                return value
            case "number", bool():
                return int(value)
            case "number", int() | float():
                self._check_any(value, where, depth)
                return value
            case "boolean", bool():
                return value
            case "object", dict() if output.children:
                self._check_depth(where, depth)
                return self.declared(output.children, value, where, depth + 1)
            case "object", dict():
                self._check_any(value, where, depth)
                return value
        raise _unlike(where, f"{'an' if output.type == 'object' else 'a'} {output.type}", value)

    def _check_any(self, value: JSONValue, where: str, depth: int) -> None:
        """Check what is not declared further: sizes, numbers, nesting."""
        match value:
            case str():
                _check_limit(where, "characters", len(value), self._limits.max_text_chars)
            case bool() | None:
                return
            case int() | float():
                if not math.isfinite(value) or abs(value) > MAX_NUMBER:
                    raise _refused(f"Output {where} is {value:g}, beyond ±(2^63 - 1).")
            case list():
                self._check_depth(where, depth)
                self._check_count(value, where)
                for place, item in enumerate(value):
                    self._check_any(item, f"{where}[{place}]", depth + 1)
            case dict():
                self._check_depth(where, depth)
                for name, item in value.items():
                    self._check_any(item, f"{where}.{name}", depth + 1)

    def _check_count(self, value: list[JSONValue], where: str) -> None:
        _check_limit(where, "elements", len(value), self._limits.max_code_items)

    def _check_depth(self, where: str, depth: int) -> None:
        _check_limit(where, "levels of nesting", depth, self._limits.max_code_depth)


def _check_limit(where: str, unit: str, count: int, limit: int) -> None:
    if count > limit:
        raise _refused(f"Output {where} has {count:,} {unit}; the limit is {limit:,}.")


def _unlike(where: str, wanted: str, value: JSONValue) -> NodeFailed:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return _refused(f"Output {where} must be {wanted}; the code gave {names.get(type(value), 'a number')}.")


def _refused(message: str) -> NodeFailed:
    return NodeFailed(message, error_type="OutputError")
