"""Running graphs in tests: drawn in a line or two, with everything around them scripted."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

import jinja2

import api.core.workflow.nodes  # noqa: F401  # makes the node types known
from api.core.egress import EgressPolicy
from api.core.events import Event, NodeFinished, RunFinished, TextChunk, TextReplaced
from api.core.http import HTTPClient, Timeouts
from api.core.model_runtime.metering import Tab
from api.core.model_runtime.runtime import ModelRuntime, ResolvedModel
from api.core.ports import Cancel, CodeFailed, JSONObject, JSONValue
from api.core.workflow.deps import FlowDeps, FlowFacts
from api.core.workflow.engine import DoneNode, FlowEnd, FlowRun, run_graph
from api.core.workflow.graph import read_graph
from api.core.workflow.variables import FILE_IDENTITY, FILE_MARK, VariablePool
from api.core.workflow.work import NodeFailed
from tests.vendors import InlineOffload

FACTS = FlowFacts(
    tenant_id="t", app_id="a", workflow_id="w", run_id="r", user="u", invoke_from="service-api", is_chat=False
)


class PlainSandbox:
    """Runs templates and code right here: for what the tests themselves wrote."""

    def run(
        self, language: str, code: str, inputs: JSONObject, *, timeout_s: float, cancel: Cancel
    ) -> JSONObject:
        """Return what ``main`` returns."""
        assert language == "python3"
        assert timeout_s > 0
        space: dict[str, Any] = {"cancel": cancel}
        exec(code, space)
        return cast("JSONObject", space["main"](**inputs))

    def render(self, template: str, variables: JSONObject, *, timeout_s: float, cancel: Cancel) -> str:
        """Return the rendered template."""
        assert timeout_s > 0
        assert cancel is not None
        try:
            return str(jinja2.Template(template, undefined=jinja2.StrictUndefined).render(**variables))
        except jinja2.TemplateError as exc:
            raise CodeFailed(str(exc)) from exc

    def stop(self) -> None:
        """Nothing runs elsewhere."""


class PlainFiles:
    """Files whose bytes are given by name; one that is not given is gone. A document's text is its bytes."""

    def __init__(self, contents: dict[str, bytes]) -> None:
        self.contents = contents

    def read(self, file: JSONObject, cancel: Cancel) -> bytes:
        """Return the bytes."""
        assert cancel is not None
        if str(file["filename"]) not in self.contents:
            raise NodeFailed("The file is gone.")
        return self.contents[str(file["filename"])]

    def text(self, file: JSONObject, cancel: Cancel) -> str:
        """Return the text."""
        return self.read(file, cancel).decode()

    def save(self, name: str, mime_type: str, content: bytes) -> JSONObject:
        """Keep bytes, and return the file's value."""
        self.contents[name] = content
        return file_value(name, mime_type=mime_type)


def file_value(name: str, kind: str = "document", **values: JSONValue) -> JSONObject:
    """Return a file as variables hold it."""
    extension = f".{name.rpartition('.')[2]}"
    identity: JSONObject = {FILE_MARK: FILE_IDENTITY, "id": name}
    return {**identity, "filename": name, "type": kind, "extension": extension, "size": 1, **values}


def make_models() -> ModelRuntime:
    """Return a runtime for the models of scripts."""
    resolved = ResolvedModel(credentials={}, is_quota_ok=True, report=list[bool]().append)
    timeouts = Timeouts(connect_s=20, first_byte_s=20, idle_s=20)
    http = HTTPClient(EgressPolicy(), timeouts)
    return ModelRuntime(lambda _tenant, _ref: resolved, http, InlineOffload(), book=Tab(), backoff_s=0)


def drawn(node_id: str, node_type: str, *, parent: str | None = None, **data: Any) -> JSONObject:
    """Return a node as it is drawn."""
    item: JSONObject = {"id": node_id, "data": {"type": node_type, "title": node_id, **data}}
    return item if parent is None else {**item, "parentId": parent}


def edges(*ways: str) -> list[JSONValue]:
    """Return edges from lines like ``a > b > c`` and ``a [handle] > b``."""
    found: list[JSONValue] = []
    for way in ways:
        names = [name.strip() for name in way.split(">")]
        for left, right in pairwise(names):
            source, _, handle = left.partition(" [")
            item: JSONObject = {"source": source, "target": right.partition(" [")[0]}
            found.append({**item, "sourceHandle": handle.rstrip("]")} if handle else item)
    return found


def template(node_id: str, text: str, *, parent: str | None = None, **variables: str) -> JSONObject:
    """Return a template node; ``x="a.b"`` names a variable of another node."""
    named = [{"variable": name, "value_selector": where.split(".")} for name, where in variables.items()]
    return drawn(node_id, "template-transform", parent=parent, template=text, variables=named)


def end(**outputs: str) -> JSONObject:
    """Return an End node of id ``e``."""
    named = [{"variable": name, "value_selector": where.split(".")} for name, where in outputs.items()]
    return drawn("e", "end", outputs=named)


def make_deps(**values: Any) -> FlowDeps:
    """Return what nodes may use, with nothing behind what a test does not give."""
    absent: dict[str, Any] = dict.fromkeys(
        ("models", "sandbox", "http", "files", "knowledge", "tools", "forms")
    )
    return FlowDeps(**{**absent, "sandbox": PlainSandbox(), **values})


@dataclass(frozen=True, kw_only=True)
class Ran:
    """A run that is over."""

    events: list[Event]
    end: FlowEnd

    @property
    def finished(self) -> RunFinished:
        """The event that ended it."""
        last = self.events[-1]
        assert isinstance(last, RunFinished)
        return last

    @property
    def outputs(self) -> JSONObject:
        """What it gave."""
        assert self.finished.status != "failed", self.finished.error
        return self.finished.outputs

    @property
    def text(self) -> str:
        """What was shown, as a reader of the stream has it at the end."""
        pieces: list[str] = []
        for event in self.events:
            if isinstance(event, TextReplaced):
                pieces = []
            if isinstance(event, TextChunk | TextReplaced):
                pieces.append(event.text)
        return "".join(pieces)

    def of(self, node_id: str) -> list[NodeFinished]:
        """Return the ends of a node, tries that failed included."""
        return [
            event for event in self.events if isinstance(event, NodeFinished) and event.node_id == node_id
        ]


def run_flow(
    nodes: Sequence[JSONObject],
    ways: Sequence[str],
    inputs: JSONObject | None = None,
    *,
    deps: FlowDeps | None = None,
    cancel: Cancel | None = None,
    done: tuple[DoneNode, ...] = (),
    pool: dict[str, JSONObject] | None = None,
    secrets: Sequence[str] = (),
    **flow: Any,
) -> Ran:
    """Run a graph from its node ``s`` and return all it told."""
    graph = read_graph({"nodes": list(nodes), "edges": edges(*ways)})
    held: dict[str, JSONObject] = {"s": inputs or {}, "sys": {"user_id": "u"}, **(pool or {})}
    variables = VariablePool(held, secrets=secrets)
    made = FlowRun(
        graph=graph, root="s", variables=variables, inputs=inputs or {}, facts=FACTS, done=done, **flow
    )
    work = run_graph(made, deps or make_deps(), cancel or Cancel())
    events: list[Event] = []
    while True:
        try:
            events.append(next(work))
        except StopIteration as stop:
            return Ran(events=events, end=stop.value)
