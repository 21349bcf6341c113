"""Variable assigner: changes variables of the conversation and of loops."""

import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from api.core.ports import JSONValue
from api.core.workflow.node import Demand, NodeConfig, NodeContext, Types, node
from api.core.workflow.variables import (
    ANY_ARRAY,
    CONVERSATION,
    MAX_INTEGER,
    Selector,
    ValueType,
    VariablePool,
    accepts,
    type_of,
    zero,
)
from api.core.workflow.work import NodeFailed, NodeResult

UPDATED = "__updated_variables"
ARITHMETIC: Mapping[str, Callable[[float, float], float]] = {
    "+=": operator.add,
    "-=": operator.sub,
    "*=": operator.mul,
    "/=": operator.truediv,
}
ON_LISTS = frozenset({"append", "extend", "remove-first", "remove-last"})
WITHOUT_INPUT = frozenset({"clear", "remove-first", "remove-last"})

Operation = Literal[
    "over-write", "clear", "set", "append", "extend", "remove-first", "remove-last", "+=", "-=", "*=", "/="
]


class Item(BaseModel):
    """One change; ``value`` is a selector where the input is a variable."""

    model_config = ConfigDict(extra="ignore")

    variable_selector: list[str] = Field(min_length=2, max_length=2)
    input_type: Literal["variable", "constant"] = "constant"
    operation: Operation
    value: JsonValue = None

    @property
    def target(self) -> Selector:
        """The variable to change."""
        return tuple(self.variable_selector)

    @property
    def source(self) -> Selector | None:
        """The variable the input is; None where it is none."""
        if self.operation in WITHOUT_INPUT or self.input_type == "constant":
            return None
        return tuple(str(name) for name in self.value) if isinstance(self.value, list) else ()

    def selectors(self) -> Iterable[Selector]:
        """Return what is changed and what is read for it."""
        return (self.target,) if self.source is None else (self.target, self.source)

    def demands(self) -> Iterable[Demand]:
        """Return those that the operation needs to be of some type."""
        if self.operation in ARITHMETIC:
            yield from (Demand(selector, frozenset({ValueType.NUMBER})) for selector in self.selectors())
        if self.operation in ON_LISTS:
            yield Demand(self.target, ANY_ARRAY)
        if self.operation == "extend" and self.source is not None:
            yield Demand(self.source, ANY_ARRAY)


@node("assigner", "2")
class Assigner:
    """The changes are made in order, later ones see earlier ones; all of them are made or none."""

    class Config(NodeConfig):
        """The changes."""

        items: list[Item] = Field(default_factory=list)

        def references(self) -> Iterable[Selector]:
            """Return what is changed and what is read."""
            return (selector for item in self.items for selector in item.selectors())

        def demands(self) -> Iterable[Demand]:
            """Return what is calculated with, and what is changed as a list."""
            return (demand for item in self.items for demand in item.demands())

        def gives(self) -> Types:
            """Return nothing: what it changes is elsewhere."""
            return {}

    def run(self, config: Config, ctx: NodeContext) -> NodeResult:
        """Make the changes. Raises NodeFailed where one does not fit its variable."""
        _assign(config.items, ctx)
        return NodeResult()


@node("assigner")
class SingleAssigner:
    """The form of old: one change by another variable."""

    class Config(NodeConfig):
        """The change."""

        assigned_variable_selector: list[str] = Field(min_length=2, max_length=2)
        write_mode: Literal["over-write", "append", "clear"] = "over-write"
        input_variable_selector: list[JsonValue] = Field(default_factory=list)

        @property
        def item(self) -> Item:
            """The change as it is written today."""
            return Item(
                variable_selector=self.assigned_variable_selector,
                input_type="variable",
                operation=self.write_mode,
                value=self.input_variable_selector,
            )

        def references(self) -> Iterable[Selector]:
            """Return what is changed and what is read."""
            return self.item.selectors()

        def demands(self) -> Iterable[Demand]:
            """Return what is changed as a list."""
            return self.item.demands()

        def gives(self) -> Types:
            """Return the new value."""
            return {"value": None}

    def run(self, config: Config, ctx: NodeContext) -> NodeResult:
        """Make the change and return the new value. Raises NodeFailed where it does not fit."""
        changed = _assign([config.item], ctx)
        return NodeResult(outputs={"value": changed.get(config.item.target)})


def _assign(items: Sequence[Item], ctx: NodeContext) -> dict[Selector, JSONValue]:
    """Make the changes and return the new values; who changes the same at once waits for his turn."""
    with ctx.variables.writing:
        changed = _changes(items, ctx)
        shown: list[JSONValue] = []
        for target, value in changed.items():
            if target[0] == CONVERSATION:
                ctx.deps.assign(target[1], value)
            ctx.variables.assign(target, value)
            shown.append(
                {
                    "name": target[1],
                    "selector": list(target),
                    "new_value": value,
                    "value_type": str(_kind(target, value, ctx)),
                }
            )
    ctx.process_data = {UPDATED: shown}
    return changed


def _changes(items: Sequence[Item], ctx: NodeContext) -> dict[Selector, JSONValue]:
    """Work out the new values on a layer of their own."""
    draft = ctx.variables.inner()
    for holder in {item.target[0] for item in items}:
        draft.put(holder, ctx.variables.of(holder))
    changed: dict[Selector, JSONValue] = {}
    for item in items:
        target = item.target
        if not _may_change(target, ctx) or not draft.has(target):
            raise NodeFailed(
                f"{'.'.join(target)} is no variable that can be changed.", error_type="TargetError"
            )
        value = _input(item, draft)
        ctx.inputs |= {".".join(target): value}
        if item.source and value is None:
            continue
        held = draft.get(target)
        changed[target] = _result(item, _kind(target, held, ctx), held, value)
        draft.assign(target, changed[target])
    return changed


def _may_change(target: Selector, ctx: NodeContext) -> bool:
    holder = ctx.graph.nodes.get(target[0])
    return target[0] == CONVERSATION or (holder is not None and holder.type == "loop")


def _kind(target: Selector, held: JSONValue, ctx: NodeContext) -> ValueType:
    """Return the type a variable was declared with; where that is not known, the type of what it holds."""
    if target[0] == CONVERSATION:
        return ctx.deps.conversation_types.get(target[1], type_of(held))
    declared = ctx.graph.nodes[target[0]].data.get("loop_variables")
    kinds = {
        str(item.get("label")): ValueType(str(item.get("var_type") or ValueType.STRING))
        for item in (declared if isinstance(declared, list) else [])
        if isinstance(item, dict)
    }
    return kinds.get(target[1], type_of(held))


def _input(item: Item, variables: VariablePool) -> JSONValue:
    """Return what a change is made with. Raises NodeFailed for a variable that does not exist."""
    if item.source is None:
        return None if item.operation in WITHOUT_INPUT else item.value
    if not variables.has(item.source):
        raise NodeFailed(f"There is no variable {'.'.join(item.source)!r}.", error_type="VariableNotFound")
    return variables.get(item.source)


def _result(item: Item, kind: ValueType, held: JSONValue, value: JSONValue) -> JSONValue:
    """Return what the variable holds after the change. Raises NodeFailed."""
    match item.operation:
        case "clear":
            return zero(kind)
        case "over-write" | "set":
            return _fitting(item, kind, value)
        case "append" | "extend" | "remove-first" | "remove-last":
            return _listed(item, kind, held, value)
    return _calculated(item, held, _fitting(item, ValueType.NUMBER, value))


def _listed(item: Item, kind: ValueType, held: JSONValue, value: JSONValue) -> list[JSONValue]:
    if not kind.is_array and kind is not ValueType.NONE:
        raise _misfit(item, "the variable is no list")
    elements = held if isinstance(held, list) else []
    match item.operation:
        case "append":
            return [*elements, _fitting(item, kind.element, value)]
        case "extend":
            added = _fitting(item, kind if kind.is_array else ValueType.ARRAY_ANY, value)
            assert isinstance(added, list)
            return elements + added
        case "remove-first":
            return elements[1:]
    return elements[:-1]


def _fitting(item: Item, kind: ValueType | None, value: JSONValue) -> JSONValue:
    """Return the value if something of the type may hold it; a constant may be written as JSON text.

    Where no type is known, as of what has held nothing yet, any value fits.
    """
    if kind in (None, ValueType.NONE) or accepts(kind, value):
        return value
    if item.source is None and isinstance(value, str):
        try:
            read: JSONValue = orjson.loads(value)
        except ValueError:
            read = None
        if accepts(kind, read):
            return read
    raise _misfit(item, f"the value is {type_of(value)}, not {kind}")


def _calculated(item: Item, held: JSONValue, value: JSONValue) -> JSONValue:
    if isinstance(held, bool) or not isinstance(held, int | float):
        raise _misfit(item, "the variable is no number")
    assert isinstance(value, int | float)
    try:
        number = ARITHMETIC[item.operation](held, value)
    except ZeroDivisionError:
        raise _misfit(item, "nothing can be divided by 0") from None
    except OverflowError:
        number = math.inf
    if not math.isfinite(number) or (isinstance(number, int) and abs(number) > MAX_INTEGER):
        raise _misfit(item, "the number would be too large")
    return number


def _misfit(item: Item, reason: str) -> NodeFailed:
    where = ".".join(item.target)
    return NodeFailed(f"{where} cannot be changed by {item.operation!r}: {reason}.", error_type="TypeError")
