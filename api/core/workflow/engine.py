"""Runs a graph and tells, as events, what happens.

One thread reads the schedule of a scope. A node that is alone runs on that same
thread; nodes side by side get threads of their own, whose events come in
through an inbox. What a run is made of is the fold of its finished nodes, so a
run can go on from wherever those were written down: see :class:`DoneNode`.
"""

import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from api.core.events import (
    Event,
    FormAsked,
    FormClosed,
    NodeFinished,
    NodeStarted,
    RetrieverResource,
    RunFinished,
    RunPaused,
    RunStarted,
    TextChunk,
)
from api.core.http import Cancelled
from api.core.model_runtime.types import Usage
from api.core.ports import Cancel, JSONObject
from api.core.workflow.answer_stream import AnswerStream
from api.core.workflow.crew import Crew, Ended, Threads
from api.core.workflow.deps import FlowDeps, FlowFacts
from api.core.workflow.execution import NOTHING, Outcome, Shared, Task, execute
from api.core.workflow.graph import Graph
from api.core.workflow.node import NodeConfig, Round
from api.core.workflow.schedule import Schedule
from api.core.workflow.variables import VariablePool
from api.core.workflow.work import TOP, NodeFailed, NodeResult, NodeText, Place, Told

STOPPED = "Stopped by user."
OVERDUE = "The run took longer than a run may take."
PAUSED_INSIDE = "A form cannot be asked for inside an iteration or a loop."


Status = Literal["succeeded", "failed", "stopped", "partial-succeeded", "paused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DoneNode:
    """A node that ended in an earlier part of the run, as it was written down; in the order of the ends."""

    node_id: str
    outputs: JSONObject
    edge: str
    is_exception: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowRun:
    """A run to make: of ``graph`` from ``root`` on, with what is known of it before.

    ``configs`` keeps the settings of nodes from run to run of one graph. A run
    that goes on after a pause has how that one ended as ``earlier``, the ends of
    forms as ``closed``, and forms that nobody answered yet as ``waiting``.
    """

    graph: Graph
    root: str
    variables: VariablePool
    inputs: JSONObject
    facts: FlowFacts
    configs: dict[str, NodeConfig] = field(default_factory=dict)
    done: tuple[DoneNode, ...] = ()
    told_chars: int = 0
    """How much of its text was told before it paused."""
    earlier: RunPaused | None = None
    closed: tuple[FormClosed, ...] = ()
    waiting: tuple[FormAsked, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowEnd:
    """What a run came to, for what is told after it. ``error`` is None unless it failed or was stopped."""

    status: Status
    error: str | None = None
    usage: Usage | None = None
    cited: tuple[RetrieverResource, ...] = ()
    files: tuple[JSONObject, ...] = ()


class _Stopped(Cancelled):
    """The run was told to stop, or its time is up."""


def run_graph(flow: FlowRun, deps: FlowDeps, cancel: Cancel) -> Generator[Event, None, FlowEnd]:
    """Run a workflow and tell of it, from RunStarted to RunFinished or RunPaused.

    Nothing of it runs any more when the last event is told, or when the caller
    stops listening. Raises ``cancel.failure`` where that ended it.
    """
    began, created_at = time.monotonic(), int(time.time())
    shared = Shared(
        graph=flow.graph,
        deps=deps,
        facts=flow.facts,
        threads=Threads(deps.limits.max_threads),
        configs=flow.configs,
    )
    if flow.earlier is not None:
        began, created_at = began - flow.earlier.elapsed_s, flow.earlier.created_at
        shared.go_on(flow.earlier)
    scope = _Scope(shared, flow.variables, flow.root, TOP, cancel)
    yield RunStarted(
        inputs=flow.inputs, created_at=created_at, reason="resumption" if flow.done else "initial"
    )
    yield from flow.closed
    status, error = yield from _outcome(flow, scope, cancel)
    end = FlowEnd(
        status=status,
        error=error,
        usage=shared.usage,
        cited=tuple(shared.cited),
        files=tuple(shared.files),
    )
    yield _last_event(flow, scope, end, created_at=created_at, elapsed_s=time.monotonic() - began)
    return end


def _outcome(
    flow: FlowRun, scope: "_Scope", cancel: Cancel
) -> Generator[Event, None, tuple[Status, str | None]]:
    """Run the graph; return how that ended. Raises ``cancel.failure`` where that ended it."""
    try:
        yield from scope.run(flow)
    except NodeFailed as failure:
        return "failed", flow.variables.mask(failure.message)
    except _Stopped:
        if cancel.failure is not None:
            raise cancel.failure from None
        return ("stopped", STOPPED) if cancel.is_set() else ("failed", OVERDUE)
    if scope.forms:
        return "paused", None
    return ("partial-succeeded" if scope.shared.exceptions else "succeeded"), None


def _last_event(
    flow: FlowRun, scope: "_Scope", end: FlowEnd, *, created_at: int, elapsed_s: float
) -> RunFinished | RunPaused:
    """Return the event that ends the run, or this part of it."""
    shared = scope.shared
    outputs = flow.variables.masked(shared.outputs)
    assert isinstance(outputs, dict)
    tokens = end.usage.total_tokens if end.usage else 0
    if end.status == "paused":
        return RunPaused(
            node_ids=tuple(form.node_id for form in scope.forms),
            outputs=outputs,
            created_at=created_at,
            elapsed_s=elapsed_s,
            total_tokens=tokens,
            total_steps=shared.steps,
            usage=end.usage,
            retriever_resources=end.cited,
        )
    return RunFinished(
        status=end.status,
        outputs=outputs,
        created_at=created_at,
        finished_at=int(time.time()),
        elapsed_s=elapsed_s,
        total_tokens=tokens,
        total_steps=shared.steps,
        exceptions=shared.exceptions,
        error=end.error,
        files=end.files,
    )


class _Scope:
    """One run of the nodes of a scope, from ``root`` until none is left or one fails for good."""

    def __init__(
        self,
        shared: Shared,
        variables: VariablePool,
        root: str,
        place: Place,
        cancel: Cancel,
    ) -> None:
        self.forms: list[FormAsked] = []
        self.ran: set[str] = set()
        self.shared = shared
        self._variables = variables
        self._place = place
        self._cancel = Cancel(cancel.remaining_s())
        self._parent = cancel
        self._schedule = Schedule(shared.graph, root)
        self._stream = AnswerStream(shared.graph, root, self._schedule.reachable, variables)
        self._crew = Crew(shared.threads)
        self._ready: deque[tuple[str, str | None]] = deque([(root, None)])

    def run(self, behind: FlowRun | None = None) -> Generator[Event, None, None]:
        """Run the nodes, without those that a run has ``behind`` it. Raises NodeFailed, _Stopped."""
        forget = self._parent.on_cancel(self._cancel.set)
        hear = self._cancel.on_cancel(self._crew.wake)
        try:
            if behind is None:
                yield from self._stream.begin()
            else:
                yield from _skip_text(self._replay(behind), behind.told_chars)
            while self._ready or self._crew.running:
                self._check()
                if self._crew.running or len(self._ready) > 1:
                    self._spread()
                if self._crew.running:
                    yield from self._receive()
                else:
                    yield from self._alone(*self._ready.popleft())
        except (NodeFailed, _Stopped):
            self._cancel.set()
            yield from _last_words(self._crew)
            raise
        finally:
            self._cancel.set()
            forget()
            hear()

    def _check(self) -> None:
        if self._parent.is_set() or self._parent.is_overdue():
            raise _Stopped

    def _replay(self, behind: FlowRun) -> Iterator[Event]:
        """Yield the text of what has already run and the forms that wait, and find what is next."""
        yield from self._stream.begin()
        for node in behind.done:
            if node.node_id not in {node_id for node_id, _ in self._ready}:
                continue
            self._ready = deque(item for item in self._ready if item[0] != node.node_id)
            self._variables.put(node.node_id, node.outputs)
            result = NodeResult(outputs=node.outputs, edge=node.edge)
            self.shared.add(self.shared.graph.nodes[node.node_id], result)
            self.shared.exceptions += node.is_exception
            yield from self._advance(node.node_id, result)
        asked = {form.node_id: form for form in behind.waiting}
        for node_id in [node_id for node_id, _ in self._ready if node_id in asked]:
            self.forms.append(asked[node_id])
            yield asked[node_id]
        self._ready = deque(item for item in self._ready if item[0] not in asked)

    def _spread(self) -> None:
        """Give every ready node a thread of its own, as far as there are threads."""
        while self._ready:
            node_id, predecessor = self._ready[0]
            if not self._crew.start(node_id, self._work(node_id, predecessor)):
                return
            self._ready.popleft()

    def _alone(self, node_id: str, predecessor: str | None) -> Generator[Event, None, None]:
        """Run a node on this thread."""
        work = self._work(node_id, predecessor)
        while True:
            try:
                told = next(work)
            except StopIteration as end:
                yield from self._settle(node_id, end.value)
                return
            yield from self._tell(node_id, told)

    def _receive(self) -> Generator[Event, None, None]:
        """Take the next thing that one of the running nodes tells."""
        node_id, told = self._crew.take(self._cancel.remaining_s())
        match told:
            case None:
                raise _Stopped
            case Ended():
                yield from self._settle(str(node_id), told.value or Outcome(status="stopped", result=NOTHING))
            case _:
                yield from self._tell(str(node_id), told)

    def _work(self, node_id: str, predecessor: str | None) -> Generator[Told, None, Outcome]:
        self.ran.add(node_id)
        task = Task(
            node=self.shared.graph.nodes[node_id],
            variables=self._variables,
            cancel=self._cancel,
            subgraphs=_Subgraphs(self.shared, self._cancel),
            place=self._place,
            predecessor=predecessor,
        )
        return execute(self.shared, task)

    def _tell(self, node_id: str, told: Told) -> Iterator[Event]:
        """Yield what a node tells; pieces of its text go out when their turn comes."""
        if isinstance(told, NodeText):
            yield from self._stream.feed((node_id, told.name), told.text)
            return
        yield told
        if (
            isinstance(told, NodeFinished)
            and told.node_id == node_id
            and told.status in ("retry", "exception")
        ):
            yield from self._stream.retract(node_id)

    def _settle(self, node_id: str, outcome: Outcome) -> Iterator[Event]:
        """Draw the consequences of a node's end."""
        match outcome.status:
            case "failed":
                assert outcome.failure is not None, "a failed outcome says why"
                raise outcome.failure
            case "stopped":
                raise _Stopped
            case "paused":
                assert outcome.form is not None, "a paused outcome says what for"
                if self._place is not TOP:
                    raise NodeFailed(PAUSED_INSIDE)
                self.forms.append(outcome.form)
                yield outcome.form
                return
        self.shared.exceptions += outcome.status == "exception"
        yield from self._advance(node_id, outcome.result)

    def _advance(self, node_id: str, result: NodeResult) -> Iterator[Event]:
        step = self._schedule.after(node_id, result.edge)
        self._ready.extend((ready, node_id) for ready in step.ready)
        yield from self._stream.advance(node_id, step)


class _Subgraphs:
    """What containers run their rounds with."""

    def __init__(self, shared: Shared, cancel: Cancel) -> None:
        self._shared = shared
        self._cancel = cancel

    def run(self, start_id: str, variables: VariablePool, place: Place) -> Generator[Event, None, set[str]]:
        scope = _Scope(self._shared, variables, start_id, place, self._cancel)
        yield from scope.run()
        return scope.ran

    def run_side_by_side(
        self, rounds: Sequence[Round], *, max_threads: int, stops_at_failure: bool
    ) -> Generator[Event, None, list[Any]]:
        results: list[Any] = [None] * len(rounds)
        waiting = deque(enumerate(rounds))
        crew = Crew(self._shared.threads)
        inside = _Subgraphs(self._shared, Cancel(self._cancel.remaining_s()))
        forget = self._cancel.on_cancel(inside.end)
        hear = self._cancel.on_cancel(crew.wake)
        try:
            while waiting or crew.running:
                while waiting and len(crew.running) < max_threads:
                    if not crew.start(waiting[0][0], _caught(waiting[0][1](inside))):
                        break
                    waiting.popleft()
                place, ended = yield from self._next(crew, waiting, inside)
                if isinstance(ended, _Stopped) or (stops_at_failure and isinstance(ended, NodeFailed)):
                    raise ended
                results[place] = ended
        except (NodeFailed, _Stopped):
            inside.end()
            yield from _last_words(crew)
            raise
        finally:
            inside.end()
            forget()
            hear()
            crew.see_off()
        return results

    def end(self) -> None:
        """End what runs in here."""
        self._cancel.set()

    def _next(
        self, crew: Crew, waiting: "deque[tuple[int, Round]]", inside: "_Subgraphs"
    ) -> Generator[Event, None, tuple[int, Any]]:
        """Yield what the rounds tell until one has ended; return which, and what it gave."""
        if not crew.running:
            place, begin = waiting.popleft()
            return place, (yield from _caught(begin(inside)))
        while True:
            key, told = crew.take(self._cancel.remaining_s())
            if told is None:
                raise _Stopped
            if isinstance(told, Ended):
                assert isinstance(key, int)
                return key, told.value
            yield told


def _caught(work: Generator[Event, None, Any]) -> Generator[Event, None, Any]:
    """Yield what a round tells; return what it returns or the NodeFailed or stop it ends by."""
    try:
        return (yield from work)
    except (NodeFailed, _Stopped) as exc:
        return exc


def _last_words(crew: Crew) -> Iterator[Event]:
    """Tell how nodes ended beside one that failed or was stopped, and of late ones that they began."""
    return (told for told in crew.see_off() if isinstance(told, NodeStarted | NodeFinished))


def _skip_text(events: Iterator[Event], chars: int) -> Iterator[Event]:
    """Yield the events without the first ``chars`` characters of their text."""
    for event in events:
        if isinstance(event, TextChunk) and chars:
            text, chars = event.text[chars:], max(0, chars - len(event.text))
            if text:
                yield TextChunk(text=text, selector=event.selector)
        else:
            yield event
