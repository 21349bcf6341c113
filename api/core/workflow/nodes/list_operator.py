"""List operator: filters, picks, orders and cuts a list."""

from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from api.core.ports import JSONValue
from api.core.workflow.conditions import ConditionError, compare, expected_part, file_part
from api.core.workflow.node import Demand, NodeConfig, NodeContext, Types, node
from api.core.workflow.templates import references, render
from api.core.workflow.variables import ANY_ARRAY, Selector, VariablePool, is_file, type_named
from api.core.workflow.work import NodeFailed, NodeResult


class Switched(BaseModel):
    """A step that may be off."""

    model_config = ConfigDict(extra="ignore")

    enabled: bool = False


class FilterCondition(BaseModel):
    """What an item must meet: ``key`` is an attribute of files; text in ``value`` is a template."""

    model_config = ConfigDict(extra="ignore")

    key: str = ""
    comparison_operator: str = "contains"
    value: JsonValue = None


class Filter(Switched):
    """All conditions must hold."""

    conditions: list[FilterCondition] = Field(default_factory=list)


class Extract(Switched):
    """Which one item is kept, counted from 1; a template."""

    serial: str | int = "1"


class Order(Switched):
    """By which attribute of files, and which way."""

    key: str | None = None
    value: Literal["asc", "desc"] | None = "asc"


class Limit(Switched):
    """How many are kept of the beginning; all where it is below 0."""

    size: int = -1


@node("list-operator")
class ListOperator:
    """Filters, then picks one, then orders, then cuts."""

    class Config(NodeConfig):
        """The list, and the steps that are on."""

        variable: list[str] = Field(min_length=2)
        var_type: str | None = None
        filter_by: Filter = Field(default_factory=Filter)
        extract_by: Extract = Field(default_factory=Extract)
        order_by: Order = Field(default_factory=Order)
        limit: Limit = Field(default_factory=Limit)

        def references(self) -> Iterable[Selector]:
            """Return the list, and what its steps are told by."""
            yield tuple(self.variable)
            templates = [self.extract_by.serial] if self.extract_by.enabled else []
            if self.filter_by.enabled:
                templates += [item.value for item in self.filter_by.conditions if isinstance(item.value, str)]
            for template in templates:
                yield from references(str(template))

        def demands(self) -> Iterable[Demand]:
            """Return the list."""
            yield Demand(tuple(self.variable), ANY_ARRAY)

        def gives(self) -> Types:
            """Return the list and its ends, of the types that are drawn."""
            kind = type_named(self.var_type)
            element = kind.element if kind else None
            return {"result": kind, "first_record": element, "last_record": element}

    def run(self, config: Config, ctx: NodeContext) -> NodeResult:
        """Return what is left, its first and its last. Raises NodeFailed."""
        items = ctx.variables.get(config.variable)
        ctx.inputs = ctx.process_data = {"variable": items}
        if not isinstance(items, list):
            raise NodeFailed(f"{'.'.join(config.variable)} is not a list.", error_type="TypeError")
        if items and config.filter_by.enabled:
            items = _filtered(items, config.filter_by, ctx.variables)
        if items and config.extract_by.enabled:
            items = [_picked(items, config.extract_by, ctx.variables)]
        if config.order_by.enabled:
            items = _ordered(items, config.order_by)
        if config.limit.enabled and config.limit.size >= 0:
            items = items[: config.limit.size]
        first, last = (items[0], items[-1]) if items else (None, None)
        return NodeResult(outputs={"result": items, "first_record": first, "last_record": last})


def _filtered(items: list[JSONValue], steps: Filter, variables: VariablePool) -> list[JSONValue]:
    wanted = [(condition, _expected(condition, variables)) for condition in steps.conditions]
    try:
        return [item for item in items if all(_meets(item, condition, value) for condition, value in wanted)]
    except ConditionError as exc:
        raise NodeFailed(str(exc), error_type="ConditionError") from exc


def _expected(condition: FilterCondition, variables: VariablePool) -> JSONValue:
    value = condition.value
    value = render(value, variables) if isinstance(value, str) else value
    return expected_part(condition.key, value)


def _meets(item: JSONValue, condition: FilterCondition, expected: JSONValue) -> bool:
    if isinstance(item, dict) and not is_file(item):
        raise ConditionError("Objects cannot be filtered.")
    return compare(condition.comparison_operator, _part(item, condition.key), expected)


def _part(item: JSONValue, key: str | None) -> JSONValue:
    """Return what an item is compared by: an attribute of a file, all else itself."""
    return file_part(item, key or "name") if isinstance(item, dict) and is_file(item) else item


def _picked(items: list[JSONValue], step: Extract, variables: VariablePool) -> JSONValue:
    serial = render(str(step.serial), variables).strip()
    place = int(serial) if serial.isdecimal() and len(serial) < 10 else 0
    if not 1 <= place <= len(items):
        raise NodeFailed(f"There is no item {serial or 'without a number'} among {len(items)}.")
    return items[place - 1]


def _ordered(items: list[JSONValue], step: Order) -> list[JSONValue]:
    parts = [_part(item, step.key) for item in items]
    is_same = all(isinstance(part, str) for part in parts) or all(
        isinstance(part, int | float) for part in parts
    )
    if not is_same:
        raise NodeFailed("Only texts or numbers can be put in order.", error_type="TypeError")
    places = sorted(
        range(len(items)),
        key=lambda place: parts[place],  # type: ignore[arg-type,return-value]  # seen to be all texts or all numbers
        reverse=step.value == "desc",
    )
    return [items[place] for place in places]
