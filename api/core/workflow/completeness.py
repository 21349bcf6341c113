"""Whether a node is set up: what its type cannot do without, and what its settings are read as.

Node types of Dify's that this server does not run are known by name: graphs
with them can be drawn, kept and told what is missing.
Wire: docs/wire/workflows.md#what-a-graph-must-have.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydantic import ValidationError

import api.core.workflow.nodes  # noqa: F401  # makes the node types known
from api.core.ports import JSONObject, JSONValue
from api.core.rag.faults import fault_of
from api.core.workflow.graph import ALIASES, CONTAINER_STARTS, NodeSpec
from api.core.workflow.node import NODES, NodeConfig, kind_of
from api.core.workflow.work import NodeFailed
from api.errors import FaultType, InvalidRequest

REQUIRED: Mapping[str, tuple[str, ...]] = {
    "start": ("variables.*.variable", "variables.*.label", "variables.*.type"),
    "end": ("outputs.*.variable", "outputs.*.value_selector"),
    "answer": ("answer",),
    "llm": ("model.provider", "model.name", "prompt_template"),
    "knowledge-retrieval": ("query_variable_selector", "dataset_ids", "retrieval_mode"),
    "question-classifier": (
        "query_variable_selector",
        "model.provider",
        "model.name",
        "classes",
        "classes.*.id",
        "classes.*.name",
    ),
    "if-else": (
        "cases|conditions",
        "cases.*.case_id",
        "cases.*.conditions",
        "cases.*.conditions.*.variable_selector",
        "cases.*.conditions.*.comparison_operator",
    ),
    "code": (
        "variables.*.variable",
        "variables.*.value_selector",
        "code_language",
        "code",
        "outputs",
    ),
    "template-transform": ("template",),
    "http-request": ("method", "url"),
    "variable-aggregator": (),
    "assigner": (
        "items|assigned_variable_selector",
        "items.*.variable_selector",
        "items.*.operation",
    ),
    "parameter-extractor": (
        "model.provider",
        "model.name",
        "query",
        "parameters",
        "parameters.*.name",
        "parameters.*.type",
    ),
    "iteration": ("iterator_selector", "output_selector", "start_node_id"),
    "iteration-start": (),
    "loop": ("start_node_id", "loop_count", "loop_variables.*.label"),
    "loop-start": (),
    "loop-end": (),
    "tool": ("provider_id", "provider_type", "tool_name"),
    "document-extractor": ("variable_selector",),
    "list-operator": ("variable",),
    "agent": ("agent_strategy_provider_name", "agent_strategy_name", "agent_parameters"),
    "human-input": (),
    "trigger-webhook": (),
    "trigger-schedule": (),
    "trigger-plugin": (),
    "datasource": (),
    "knowledge-index": (),
}
"""Every node type there is, and what must not be empty; ``a|b``: one of the two, ``*``: each item."""

UNTITLED = CONTAINER_STARTS | {"loop-end"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that keeps a graph from being run. ``field`` is a path in the node's data, or the graph."""

    field: str
    type: FaultType
    message: str
    node_id: str | None = None

    def to_json(self) -> dict[str, str]:
        """Return the entry of an error's details."""
        named = {"node_id": self.node_id} if self.node_id else {}
        return {**named, "field": self.field, "type": self.type, "message": self.message}


def is_known(node_type: str) -> bool:
    """Tell whether there is such a node type."""
    return ALIASES.get(node_type, node_type) in REQUIRED or any(known == node_type for known, _ in NODES)


def read_config(node: NodeSpec) -> tuple[NodeConfig | None, list[Problem]]:
    """Return a node's settings and what is wrong with them.

    None where they cannot be read, or the type is known by name only.
    """
    problems = {problem.field: problem for problem in _lacking(node)}
    config = None
    try:
        config = kind_of(node).configured(node.data)
        config.check()
    except NodeFailed:
        pass  # the type is known by name only
    except ValidationError as exc:
        for problem in _faults(node, exc):
            problems.setdefault(problem.field, problem)
    except InvalidRequest as exc:
        problem = _unusable(node, exc)
        problems.setdefault(problem.field, problem)
    return config, list(problems.values())


def _lacking(node: NodeSpec) -> Iterator[Problem]:
    """Yield what is absent or empty."""
    wanted = REQUIRED.get(node.type, ())
    for path in wanted if node.type in UNTITLED else ("title", *wanted):
        for field in _empty(node.data, path):
            yield Problem(
                node_id=node.id,
                field=field,
                type="required",
                message=f"{_called(node)} is not set up: {field} is missing.",
            )


def _empty(data: JSONObject, path: str) -> list[str]:
    """Return where nothing is at the path; items that are not there lack nothing."""
    first, _, rest = path.partition(".*.")
    names = first.split("|")
    held = next((value for name in names if not _is_nothing(value := _at(data, name))), None)
    if not rest:
        return [names[0]] if held is None else []
    items = held if isinstance(held, list) else []
    return [
        f"{first}.{place}.{field}"
        for place, item in enumerate(items)
        if isinstance(item, dict)
        for field in _empty(item, rest)
    ]


def _at(data: JSONObject, path: str) -> JSONValue:
    value: JSONValue = data
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _is_nothing(value: JSONValue) -> bool:
    return value is None or value in ("", [], {})


def _faults(node: NodeSpec, exc: ValidationError) -> Iterator[Problem]:
    for fault in exc.errors(include_url=False, include_input=False, include_context=False):
        field = ".".join(str(part) for part in fault["loc"]) or "data"
        reason = fault["msg"].removeprefix("Value error, ")
        yield Problem(
            node_id=node.id,
            field=field,
            type=fault_of(fault["type"]),
            message=f"{_called(node)} is not set up: {field}: {reason[:1].lower()}{reason[1:]}.",
        )


def _unusable(node: NodeSpec, exc: InvalidRequest) -> Problem:
    return Problem(
        node_id=node.id,
        field=exc.field or "data",
        type=exc.fault,
        message=f"{_called(node)} is not set up: {exc.message[:1].lower()}{exc.message[1:]}",
    )


def _called(node: NodeSpec) -> str:
    return f"Node {node.title or node.id!r}"
