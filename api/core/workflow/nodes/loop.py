"""Loop: the same steps again and again, until a condition holds or the count is full."""

import time
from collections.abc import Generator, Iterable

import orjson
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from api.core.events import Event
from api.core.ports import JSONObject, JSONValue
from api.core.workflow.conditions import Condition, ConditionError, Logic, holds
from api.core.workflow.node import NodeConfig, NodeContext, Types, node
from api.core.workflow.variables import Selector, ValueType, VariablePool, accepts
from api.core.workflow.work import NodeFailed, NodeResult, Place, Work

STOP_NODE = "loop-end"
MAX_KEPT_BYTES = 1024 * 1024
"""What the variables after each round come to in the loop's metadata; later rounds are left out."""


class LoopVariable(BaseModel):
    """A variable that lives as long as the loop."""

    model_config = ConfigDict(extra="ignore")

    label: str
    var_type: ValueType = ValueType.STRING
    value_type: str = "constant"
    value: JsonValue = None


@node("loop", waits=True)
class Loop:
    """The loop's variables stay from round to round; what the nodes inside give does not."""

    class Config(NodeConfig):
        """How often at most, and when to break."""

        start_node_id: str
        loop_count: int = Field(ge=1)
        break_conditions: list[Condition] = Field(default_factory=list)
        logical_operator: Logic = "and"
        loop_variables: list[LoopVariable] = Field(default_factory=list)

        def references(self) -> Iterable[Selector]:
            """Return what its own variables begin with."""
            for item in self.loop_variables:
                if item.value_type == "variable" and isinstance(item.value, list):
                    yield tuple(str(name) for name in item.value)

        def gives(self) -> Types:
            """Return its own variables and how many rounds there were."""
            return {**self.lends(), "loop_round": ValueType.NUMBER}

        def lends(self) -> Types:
            """Return its own variables."""
            return {item.label: item.var_type for item in self.loop_variables}

        def inner_references(self) -> Iterable[Selector]:
            """Return what decides whether it goes on."""
            return (tuple(item.variable_selector) for item in self.break_conditions)

    def size(self, config: Config, ctx: NodeContext) -> int:
        """Return how many rounds there may be."""
        limit = ctx.deps.limits.max_loop_rounds
        if config.loop_count > limit:
            raise NodeFailed(f"A loop has at most {limit} rounds; this one wants {config.loop_count}.")
        ctx.inputs = {"loop_count": config.loop_count, **_seeds(config, ctx)}
        return config.loop_count

    def run(self, config: Config, ctx: NodeContext) -> Work:
        """Yield what the rounds tell; return the loop's variables as the last round left them."""
        variables = ctx.variables.inner()
        variables.put(ctx.node.id, _seeds(config, ctx))
        durations: JSONObject = {}
        kept: JSONObject = {}
        room_bytes = MAX_KEPT_BYTES
        is_broken = _breaks(config, variables, skips_missing=True)
        rounds = 0
        while rounds < config.loop_count and not is_broken:
            began = time.monotonic()
            inside = variables.inner()
            ran = yield from _round(config, ctx, inside, rounds)
            durations[str(rounds)] = time.monotonic() - began
            held = variables.of(ctx.node.id)
            if room_bytes > 0:
                room_bytes -= len(orjson.dumps(held))
            if room_bytes > 0:
                kept[str(rounds)] = held
            rounds += 1
            is_broken = any(ctx.graph.nodes[node_id].type == STOP_NODE for node_id in ran)
            is_broken = is_broken or _breaks(config, inside, skips_missing=False)
            if not is_broken:
                outputs = {**variables.of(ctx.node.id), "loop_round": rounds}
                yield ctx.round_started(rounds, previous=outputs)
        return NodeResult(
            outputs={**variables.of(ctx.node.id), "loop_round": rounds},
            metadata={
                "loop_duration_map": durations,
                "loop_variable_map": kept,
                "completed_reason": "loop_break" if is_broken else "loop_completed",
            },
        )


@node(STOP_NODE)
class LoopEnd:
    """Reached inside a loop, it makes the present round the last."""

    Config = NodeConfig

    def run(self, _config: NodeConfig, _ctx: NodeContext) -> NodeResult:
        """Do nothing: the loop sees that it was reached."""
        return NodeResult()


def _round(
    config: Loop.Config, ctx: NodeContext, inside: VariablePool, index: int
) -> Generator[Event, None, set[str]]:
    place = Place(loop_id=ctx.node.id, loop_index=index)
    return (yield from ctx.subgraphs.run(config.start_node_id, inside, place))


def _seeds(config: Loop.Config, ctx: NodeContext) -> JSONObject:
    """Return what the loop's variables begin with. Raises NodeFailed for a value of another type."""
    return {item.label: _seed(item, ctx) for item in config.loop_variables}


def _seed(item: LoopVariable, ctx: NodeContext) -> JSONValue:
    value = item.value
    if item.value_type == "variable":
        value = ctx.variables.get([str(name) for name in value]) if isinstance(value, list) else None
    elif isinstance(value, str) and item.var_type is not ValueType.STRING:
        try:
            value = orjson.loads(value) if value else None
        except ValueError as exc:
            raise NodeFailed(f"Loop variable {item.label!r} does not begin with a value.") from exc
    if value is not None and not accepts(item.var_type, value):
        raise NodeFailed(
            f"Loop variable {item.label!r} is not of type {item.var_type}.", error_type="TypeError"
        )
    return value


def _breaks(config: Loop.Config, variables: VariablePool, *, skips_missing: bool) -> bool:
    if not config.break_conditions:
        return False
    try:
        does_hold, _ = holds(
            config.break_conditions, config.logical_operator, variables, skips_missing=skips_missing
        )
    except ConditionError as exc:
        raise NodeFailed(str(exc), error_type="ConditionError") from exc
    return does_hold
