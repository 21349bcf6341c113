"""Iteration: the same steps for every item of a list, one after the other or side by side."""

import time
import uuid
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, JsonValue

from api.core.events import Event
from api.core.ports import JSONObject, JSONValue
from api.core.workflow.node import Demand, NodeConfig, NodeContext, Subgraphs, Types, node
from api.core.workflow.variables import ANY_ARRAY, Selector, ValueType, type_named
from api.core.workflow.work import NodeFailed, NodeResult, Place, Work

DEFAULTS: JSONObject = {
    "is_parallel": False,
    "parallel_nums": 10,
    "error_handle_mode": "terminated",
    "flatten_output": True,
}


@node("iteration", waits=True, defaults=DEFAULTS)
class Iteration:
    """Each round has a layer of variables of its own, with ``item`` and ``index``."""

    class Config(NodeConfig):
        """``start_node_id`` is the first node inside; old files name the first that does something."""

        iterator_selector: list[str] = Field(min_length=2)
        output_selector: list[str] = Field(min_length=2)
        start_node_id: str
        is_parallel: bool = False
        parallel_nums: int = Field(default=10, ge=1, le=100)
        error_handle_mode: Literal["terminated", "continue-on-error", "remove-abnormal-output"] = "terminated"
        flatten_output: bool = True
        output_type: JsonValue = None

        def references(self) -> Iterable[Selector]:
            """Return the list it goes through."""
            return (tuple(self.iterator_selector),)

        def demands(self) -> Iterable[Demand]:
            """Return the list it goes through."""
            yield Demand(tuple(self.iterator_selector), ANY_ARRAY)

        def gives(self) -> Types:
            """Return the list of what the rounds gave."""
            kind = type_named(self.output_type) if isinstance(self.output_type, str) else None
            return {"output": kind if kind in ANY_ARRAY else ValueType.ARRAY_ANY}

        def lends(self) -> Types:
            """Return the item of a round and its place."""
            return {"item": None, "index": ValueType.NUMBER}

        def inner_references(self) -> Iterable[Selector]:
            """Return what is kept of each round."""
            return (tuple(self.output_selector),)

    def size(self, config: Config, ctx: NodeContext) -> int:
        """Return how many rounds there will be. Raises NodeFailed where there is no list."""
        return len(_items(config, ctx))

    def run(self, config: Config, ctx: NodeContext) -> Work:
        """Yield what the rounds tell; return what each gave, in the order of the items."""
        items = _items(config, ctx)
        parallel_id = str(uuid.uuid4()) if config.is_parallel else None
        rounds = [_Round(config, ctx, index, item, parallel_id) for index, item in enumerate(items)]
        ends = config.error_handle_mode == "terminated"
        if config.is_parallel:
            given = yield from ctx.subgraphs.run_side_by_side(
                rounds, max_threads=config.parallel_nums, stops_at_failure=ends
            )
        else:
            given = []
            for begin in rounds:
                given.append((yield from _tried(begin(ctx.subgraphs), is_fatal=ends)))
        durations: JSONObject = {str(item.index): item.elapsed_s for item in rounds}
        return NodeResult(
            outputs={"output": _output(config, given)}, metadata={"iteration_duration_map": durations}
        )


@dataclass(slots=True)
class _Round:
    """What is done for one item."""

    config: Iteration.Config
    ctx: NodeContext
    index: int
    item: JSONValue
    parallel_id: str | None
    elapsed_s: float = 0.0

    def __call__(self, subgraphs: Subgraphs) -> Generator[Event, None, JSONValue]:
        ctx, began = self.ctx, time.monotonic()
        yield ctx.round_started(self.index)
        variables = ctx.variables.inner()
        variables.put(ctx.node.id, {"item": self.item, "index": self.index})
        place = Place(
            iteration_id=ctx.node.id, iteration_index=self.index, parallel_mode_run_id=self.parallel_id
        )
        yield from subgraphs.run(self.config.start_node_id, variables, place)
        self.elapsed_s = time.monotonic() - began
        return variables.get(self.config.output_selector)


def _items(config: Iteration.Config, ctx: NodeContext) -> list[JSONValue]:
    value = ctx.variables.get(config.iterator_selector)
    ctx.inputs = {"iterator_selector": value}
    if value is None:
        return []
    if not isinstance(value, list):
        raise NodeFailed(f"{'.'.join(config.iterator_selector)} is not a list.", error_type="TypeError")
    return value


def _tried(work: Generator[Event, None, JSONValue], *, is_fatal: bool) -> Generator[Event, None, Any]:
    """Run a round; return its failure unless that is the iteration's."""
    try:
        return (yield from work)
    except NodeFailed as failure:
        if is_fatal:
            raise
        return failure


def _output(config: Iteration.Config, given: list[Any]) -> list[JSONValue]:
    """Return the list of what the rounds gave, after the failures' and the lists' own rules."""
    values: list[JSONValue] = []
    for value in given:
        if not isinstance(value, NodeFailed):
            values.append(value)
        elif config.error_handle_mode == "continue-on-error":
            values.append(None)
    there = [value for value in values if value is not None]
    if config.flatten_output and there and all(isinstance(value, list) for value in there):
        return [item for value in there if isinstance(value, list) for item in value]
    return values
