"""Workflow and chatflow apps: a version of a workflow as it is run, and what a chat says after its run."""

from collections.abc import Generator
from dataclasses import dataclass, field

from pydantic import ValidationError

from api.core.apps.config import FormItem
from api.core.apps.features import Features
from api.core.events import Event, MessageEnd
from api.core.ports import Cancel, JSONObject, JSONValue
from api.core.workflow.deps import FlowDeps
from api.core.workflow.engine import FlowEnd, FlowRun, run_graph
from api.core.workflow.graph import Graph, NodeSpec
from api.core.workflow.node import NodeConfig
from api.core.workflow.variables import ValueType
from api.errors import AppUnavailable, InvalidRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationDefault:
    """A conversation variable as the workflow declares it."""

    name: str
    value_type: ValueType
    value: JSONValue
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowSpec:
    """One version of a workflow, read once and run often.

    ``environment`` holds secrets in clear, ``secrets`` names their values.
    ``snapshot`` is the graph of a draft with its hash, kept with the first run
    that finds it so. ``configs`` are the settings of nodes, as runs read them.
    """

    workflow_id: str
    version: str
    graph: Graph
    form: tuple[FormItem, ...]
    features: Features
    environment: JSONObject
    secrets: tuple[str, ...]
    conversation_variables: tuple[ConversationDefault, ...]
    hash: str
    snapshot: JSONObject | None = None
    configs: dict[str, NodeConfig] = field(default_factory=dict)

    def root(self, trigger_id: str | None = None) -> NodeSpec:
        """Return where a run begins: at the start, or at the trigger that began it. Raises AppUnavailable."""
        for node in self.graph.roots:
            if node.id == trigger_id if trigger_id else node.type == "start":
                return node
        what = f"trigger {trigger_id!r}" if trigger_id else "start node"
        raise AppUnavailable(f"The workflow has no {what}.")


def read_form(graph: Graph) -> tuple[FormItem, ...]:
    """Return the variables of the start node as a form. Raises InvalidRequest for one that makes no sense."""
    declared = [node.data.get("variables") for node in graph.inside(None) if node.type == "start"]
    items = [item for listed in declared if isinstance(listed, list) for item in listed]
    return tuple(_read_item(item) for item in items if isinstance(item, dict))


def _read_item(item: JSONObject) -> FormItem:
    try:
        return FormItem.model_validate(_as_form(item))
    except ValidationError as exc:
        name = str(item.get("variable"))[:100]
        message = f"Variable {name!r} of the start node cannot be filled in: {exc.errors()[0]['msg']}"
        raise InvalidRequest(message, field="graph.nodes") from exc


def _as_form(item: JSONObject) -> JSONObject:
    """Return a start variable with its type under the name forms know it by."""
    kind = item.get("type") or "text-input"
    kinds = {"url": "text-input", "number-input": "number", "boolean": "checkbox", "json": "json_object"}
    label = item.get("label") or item.get("variable")
    named = {**item, "kind": kinds.get(str(kind), kind), "label": label}
    return {key: value for key, value in named.items() if value is not None}


def run(spec: FlowSpec, flow: FlowRun, deps: FlowDeps, cancel: Cancel) -> Generator[Event, None, FlowEnd]:
    """Yield a workflow's run and return its end; that of a chatflow ends with the end of its answer.

    Raises InvalidRequest after the run of a chatflow failed: there is no answer.
    """
    end = yield from run_graph(flow, deps, cancel)
    if end.status == "paused" or not flow.facts.is_chat:
        return end
    if end.status == "failed":
        raise InvalidRequest(f"Run failed: {end.error}")
    yield MessageEnd(
        usage=end.usage,
        retriever_resources=end.cited if spec.features.retriever_resource.enabled else (),
        outcome="stopped" if end.status == "stopped" else "finished",
        files=end.files,
    )
    return end
