"""One node's work from its first event to its last: tries, defaults, failure branches, and what is told.

Whatever a node does, its execution ends in exactly one :class:`Outcome`.
"""

import itertools
import logging
import threading
import time
import uuid
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Literal

import orjson
from pydantic import ValidationError

from api import traces
from api.core.events import FormAsked, NodeFinished, NodeStarted, RetrieverResource, RunPaused
from api.core.http import Cancelled
from api.core.model_runtime.types import Usage
from api.core.ports import Cancel, JSONObject, JSONValue
from api.core.workflow.crew import Threads
from api.core.workflow.deps import FlowDeps, FlowFacts
from api.core.workflow.graph import CONTAINER_STARTS, CONTAINERS, FAIL, SOURCE, Graph, NodeSpec
from api.core.workflow.node import DefaultValue, NodeConfig, NodeContext, NodeKind, Subgraphs, kind_of
from api.core.workflow.variables import VariablePool, VariableRefused
from api.core.workflow.work import NodeFailed, NodePaused, NodeResult, Place, Told
from api.errors import AppError

logger = logging.getLogger(__name__)

BUG = "The node failed inside the server; its log says why."


class StepsExceeded(NodeFailed):
    """The run has more steps than a run may have; no branch catches that."""


@dataclass(kw_only=True)
class Shared:
    """What all scopes of one run have in common, and what it comes to."""

    graph: Graph
    deps: FlowDeps
    facts: FlowFacts
    threads: Threads
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    steps: int = 0
    exceptions: int = 0
    usage: Usage | None = None
    cited: list[RetrieverResource] = field(default_factory=list)
    outputs: JSONObject = field(default_factory=dict)
    files: list[JSONObject] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    configs: dict[str, NodeConfig] = field(default_factory=dict)

    def go_on(self, earlier: RunPaused) -> None:
        """Begin with what the run came to before it paused; its outputs come with the nodes of that time."""
        self.numbers = itertools.count(earlier.total_steps + 1)
        self.steps = earlier.total_steps
        self.usage = earlier.usage
        self.cited.extend(earlier.retriever_resources)

    def count_step(self) -> int:
        """Return the number of a node that begins. Raises StepsExceeded."""
        number = next(self.numbers)
        limit = self.deps.limits.max_steps
        if number > limit:
            raise StepsExceeded(f"Maximum execution steps exceeded: {number} > {limit}")
        self.steps = max(self.steps, number)
        return number

    def add(self, node: NodeSpec, result: NodeResult) -> None:
        """Add what one node gave to what the run comes to."""
        with self.lock:
            if result.usage is not None:
                self.usage = result.usage if self.usage is None else self.usage.plus(result.usage)
            self.cited.extend(result.cited)
            if node.type == "answer":
                self.outputs["answer"] = f"{self.outputs.get('answer', '')}{result.outputs.get('answer', '')}"
                self._keep_files(result.outputs.get("files"))
            elif node.type == "end":
                self.outputs.update(result.outputs)

    def config(self, node: NodeSpec, kind: NodeKind) -> NodeConfig:
        """Return a node's settings. Raises NodeFailed where they are not complete."""
        config = self.configs.get(node.id)
        if config is None:
            try:
                config = self.configs[node.id] = kind.configured(node.data)
            except ValidationError as exc:
                raise NodeFailed(f"The node is not set up: {_first(exc)}", error_type="ConfigError") from exc
        return config

    def _keep_files(self, files: JSONValue) -> None:
        self.files.extend(
            file for file in (files if isinstance(files, list) else []) if isinstance(file, dict)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A node to run, in its scope. ``cancel`` ends it."""

    node: NodeSpec
    variables: VariablePool
    cancel: Cancel
    subgraphs: Subgraphs
    place: Place
    predecessor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a node ended. ``form`` is what a paused one waits for."""

    status: Literal["succeeded", "failed", "exception", "stopped", "paused"]
    result: NodeResult
    failure: NodeFailed | None = None
    form: FormAsked | None = None


NOTHING = NodeResult()


def execute(shared: Shared, task: Task) -> Generator[Told, None, Outcome]:
    """Run a node and tell of it. Raises nothing: a bug in a node is that node's failure."""
    node = task.node
    if node.type in CONTAINER_STARTS:
        return Outcome(status="succeeded", result=NOTHING)
    try:
        number = shared.count_step()
    except StepsExceeded as failure:
        return Outcome(status="failed", result=NOTHING, failure=failure)
    report = _Report(shared, task, number)
    outcome = yield from _traced(shared, report)
    if outcome.status in ("succeeded", "exception"):
        shared.add(node, outcome.result)
    yield report.finished(outcome)
    return outcome


def _traced(shared: Shared, report: "_Report") -> Generator[Told, None, Outcome]:
    """Do a node's work as a span of its run."""
    ctx, place = report.ctx, report.place
    facts: traces.Facts = {
        "slipway.node_id": ctx.node.id,
        "slipway.node_type": ctx.node.type,
        "slipway.node_execution_id": ctx.execution_id,
        "slipway.iteration_index": place.iteration_index,
        "slipway.loop_index": place.loop_index,
    }
    with traces.span(f"node {ctx.node.type}", facts) as span:
        outcome = yield from _work(shared, report)
        span.tell({"slipway.status": outcome.status})
        if outcome.failure is not None:
            span.fail(outcome.failure.error_type)
    return outcome


def _work(shared: Shared, report: "_Report") -> Generator[Told, None, Outcome]:
    """Tell that the node begins, and try until there is an outcome."""
    ctx = report.ctx
    try:
        kind = kind_of(ctx.node)
        config = shared.config(ctx.node, kind)
        length = kind.size(config, ctx)
    except Exception as exc:  # noqa: BLE001  # a bug in a node is that node's failure
        yield report.started(0 if ctx.node.type in CONTAINERS else None)
        return Outcome(status="failed", result=NOTHING, failure=_as_failure(exc))
    yield report.started(length)
    retry = config.retry_config
    tries = 1 + (retry.max_retries if retry and retry.retry_enabled else 0)
    for number in range(1, tries + 1):
        outcome = yield from _attempt(kind, config, ctx)
        if outcome.status != "failed" or number == tries:
            break
        yield report.finished(outcome, retry_index=number)
        _pause(ctx.cancel, retry.retry_interval / 1000 if retry else 0.0)
    return _provided_for(config, ctx, outcome) if outcome.status == "failed" else outcome


def _attempt(kind: NodeKind, config: NodeConfig, ctx: NodeContext) -> Generator[Told, None, Outcome]:
    """Run the node once."""
    try:
        work = kind.node.run(config, ctx)
        result = work if isinstance(work, NodeResult) else (yield from work)
        ctx.variables.put(ctx.node.id, result.outputs)
    except NodePaused as pause:
        return Outcome(status="paused", result=NOTHING, form=pause.form)
    except Cancelled:
        return Outcome(status="stopped", result=NOTHING)
    except Exception as exc:  # noqa: BLE001  # a bug in a node is that node's failure
        return _failed(ctx, _as_failure(exc))
    return Outcome(status="stopped" if ctx.cancel.is_set() else "succeeded", result=result)


def _as_failure(exc: Exception) -> NodeFailed:
    """Return what a node raised as a failure in words for its author; a bug goes to the log."""
    match exc:
        case NodeFailed():
            return exc
        case AppError():
            return NodeFailed(exc.message, error_type=type(exc).__name__)
        case VariableRefused():
            return NodeFailed(str(exc), error_type=type(exc).__name__)
    logger.error("node failed", exc_info=exc)
    return NodeFailed(BUG, error_type="InternalError")


def _failed(ctx: NodeContext, failure: NodeFailed) -> Outcome:
    """Return how a try ended that failed; one that failed because it was told to end was stopped."""
    if ctx.cancel.is_set():
        return Outcome(status="stopped", result=NOTHING)
    return Outcome(status="failed", result=NodeResult(outputs=failure.outputs or {}), failure=failure)


def _provided_for(config: NodeConfig, ctx: NodeContext, outcome: Outcome) -> Outcome:
    """Return how the node ends for good, after what its author provided for a failure."""
    failure = outcome.failure
    assert failure is not None, "a failed outcome says why"
    if config.error_strategy is None:
        return outcome
    outputs: JSONObject = {"error_message": failure.message, "error_type": failure.error_type}
    if config.error_strategy == "default-value":
        outputs |= {item.key: _default(item) for item in config.default_value or ()}
    try:
        ctx.variables.put(ctx.node.id, outputs)
    except VariableRefused as exc:
        return _failed(ctx, _as_failure(exc))
    result = NodeResult(
        outputs=outputs,
        edge=FAIL if config.error_strategy == FAIL else SOURCE,
        metadata={"error_strategy": config.error_strategy},
    )
    return Outcome(status="exception", result=result, failure=failure)


def _default(item: DefaultValue) -> JSONValue:
    """Return a default; what is no string may be written as JSON text."""
    if item.type == "string" or not isinstance(item.value, str):
        return item.value
    try:
        value: JSONValue = orjson.loads(item.value)
    except ValueError:
        return item.value
    return value


def _pause(cancel: Cancel, seconds: float) -> None:
    """Wait, unless the run is told to end."""
    woken = threading.Event()
    forget = cancel.on_cancel(woken.set)
    try:
        woken.wait(min(seconds, cancel.remaining_s()))
    finally:
        forget()


class _Report:
    """The events of one execution."""

    def __init__(self, shared: Shared, task: Task, number: int) -> None:
        self.place = task.place
        self._task = task
        self._number = number
        self._shared = shared
        self._began = time.monotonic()
        self._created_at = int(time.time())
        self.ctx = NodeContext(
            node=task.node,
            graph=shared.graph,
            execution_id=str(uuid.uuid4()),
            variables=task.variables,
            cancel=task.cancel,
            deps=shared.deps,
            facts=shared.facts,
            subgraphs=task.subgraphs,
            place=task.place,
        )

    def started(self, length: int | None) -> NodeStarted:
        ctx, place = self.ctx, self.place
        is_container = length is not None
        return NodeStarted(
            execution_id=ctx.execution_id,
            node_id=ctx.node.id,
            node_type=ctx.node.type,
            title=ctx.node.title,
            index=self._number,
            created_at=self._created_at,
            predecessor=self._task.predecessor,
            iteration_id=place.iteration_id,
            loop_id=place.loop_id,
            inputs=self._shown(ctx.inputs) if is_container else None,
            length=length,
        )

    def finished(self, outcome: Outcome, *, retry_index: int | None = None) -> NodeFinished:
        ctx, place, failure = self.ctx, self.place, outcome.failure
        return NodeFinished(
            execution_id=ctx.execution_id,
            node_id=ctx.node.id,
            node_type=ctx.node.type,
            title=ctx.node.title,
            index=self._number,
            created_at=self._created_at,
            finished_at=int(time.time()),
            elapsed_s=time.monotonic() - self._began,
            status=outcome.status if retry_index is None else "retry",
            inputs=self._shown(ctx.inputs),
            process_data=self._shown(ctx.process_data),
            outputs=self._shown(outcome.result.outputs),
            metadata=self._metadata(outcome.result),
            error=ctx.variables.mask(failure.message) if failure else None,
            edge=outcome.result.edge,
            predecessor=self._task.predecessor,
            iteration_id=place.iteration_id,
            loop_id=place.loop_id,
            retry_index=retry_index,
            steps=self._shared.steps - self._number if ctx.node.type in CONTAINERS else 0,
        )

    def _shown(self, value: JSONObject) -> JSONObject:
        shown = self.ctx.variables.masked(value)
        assert isinstance(shown, dict)
        return shown

    def _metadata(self, result: NodeResult) -> JSONObject:
        place = self.place
        metadata: JSONObject = dict(result.metadata)
        if result.usage is not None:
            metadata |= {
                "total_tokens": result.usage.total_tokens,
                "total_price": f"{result.usage.total_price:.7f}",
                "currency": result.usage.price.currency,
            }
        named: JSONObject = {
            "iteration_id": place.iteration_id,
            "iteration_index": place.iteration_index,
            "loop_id": place.loop_id,
            "loop_index": place.loop_index,
            "parallel_mode_run_id": place.parallel_mode_run_id,
        }
        return metadata | {key: value for key, value in named.items() if value is not None}


def _first(exc: ValidationError) -> str:
    """Return the first fault of a config, as one sentence."""
    fault = exc.errors(include_url=False)[0]
    where = ".".join(str(part) for part in fault["loc"]) or "data"
    return f"{where}: {fault['msg'][:1].lower()}{fault['msg'][1:]}."
