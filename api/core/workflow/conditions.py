"""Comparisons of variables, for if-else, loops and lists. Pure.

Wire: docs/wire/workflows.md#conditions.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from api.core.ports import JSONObject, JSONValue
from api.core.workflow.templates import render, to_text
from api.core.workflow.variables import VariablePool, is_file

Logic = Literal["and", "or"]
ALIASES = {
    "is null": "null",
    "is not null": "not null",
    "==": "=",
    "!=": "≠",
    ">=": "≥",
    "<=": "≤",
    "starts with": "start with",
    "ends with": "end with",
}
NUMERIC = frozenset("=≠><≥≤")

TRUE, FALSE = frozenset({"true", "1", "yes"}), frozenset({"false", "0", "no", ""})


class ConditionError(Exception):
    """A comparison that cannot be made; the message is for the workflow's author."""


class PartCondition(BaseModel):
    """A comparison of one attribute of each file of a list."""

    model_config = ConfigDict(extra="ignore")

    key: str
    comparison_operator: str
    value: JsonValue = None


class PartConditions(BaseModel):
    """Comparisons all or any of which a file must meet."""

    model_config = ConfigDict(extra="ignore")

    logical_operator: Logic = "and"
    conditions: list[PartCondition] = Field(default_factory=list)


class Condition(BaseModel):
    """A comparison of one variable; ``value`` is a template where it is text."""

    model_config = ConfigDict(extra="ignore")

    variable_selector: list[str]
    comparison_operator: str
    value: JsonValue = None
    sub_variable_condition: PartConditions | None = None


def holds(
    conditions: Sequence[Condition], logic: Logic, variables: VariablePool, *, skips_missing: bool = False
) -> tuple[bool, list[JSONObject]]:
    """Tell whether all or any of the conditions hold, and what was compared, as far as it was needed.

    Raises ConditionError for a variable that does not exist, unless such are
    skipped, and for values that cannot be compared. No condition holds.
    """
    compared: list[JSONObject] = []
    verdict = True
    for condition in conditions:
        is_there = variables.has(condition.variable_selector)
        if not is_there and skips_missing:
            verdict = False
            continue
        if not is_there and operator_of(condition) not in ("exists", "not exists", "null", "not null"):
            raise ConditionError(f"There is no variable {'.'.join(condition.variable_selector)!r}.")
        actual = variables.get(condition.variable_selector)
        expected = _expected(condition.value, variables)
        compared.append(
            {
                "actual_value": actual,
                "expected_value": expected,
                "comparison_operator": condition.comparison_operator,
            }
        )
        verdict = _meets(condition, actual, expected)
        if verdict != (logic == "and"):
            break
    return verdict, compared


def operator_of(condition: Condition | PartCondition) -> str:
    """Return the operator in the spelling used here."""
    operator = condition.comparison_operator
    return ALIASES.get(operator, operator)


def compare(operator: str, actual: JSONValue, expected: JSONValue) -> bool:
    """Tell whether ``actual`` stands to ``expected`` as the operator says. Raises ConditionError."""
    operator = ALIASES.get(operator, operator)
    test = OPERATORS.get(operator)
    if test is None:
        raise ConditionError(f"The operator {operator!r} is not known.")
    return test(actual, expected)


def file_part(file: Mapping[str, JSONValue], key: str) -> JSONValue:
    """Return an attribute of a file by the name conditions know it by."""
    if key == "extension":
        extension = str(file.get("extension") or "")
        return f".{extension.lstrip('.')}" if extension else ""
    return file.get("filename" if key == "name" else key)


def expected_part(key: str, value: JSONValue) -> JSONValue:
    """Return what an attribute of a file is compared with: extensions have their dot."""
    if key == "extension" and isinstance(value, str) and value:
        return f".{value.lstrip('.')}"
    if key == "extension" and isinstance(value, list):
        return [expected_part(key, item) for item in value]
    return value


def _expected(value: JSONValue, variables: VariablePool) -> JSONValue:
    match value:
        case str():
            return render(value, variables)
        case list():
            return [_expected(item, variables) for item in value]
    return value


def _meets(condition: Condition, actual: JSONValue, expected: JSONValue) -> bool:
    parts = condition.sub_variable_condition
    operator = operator_of(condition)
    if parts is not None and isinstance(actual, list) and operator in ("contains", "not contains", "all of"):
        met = [_meets_parts(parts, item) for item in actual if isinstance(item, dict)]
        if operator == "all of":
            return bool(met) and all(met)
        return any(met) == (operator == "contains")
    if isinstance(actual, dict) and is_file(actual) and operator in ("in", "not in"):
        actual = actual.get("type")
    return compare(operator, actual, expected)


def _meets_parts(parts: PartConditions, file: JSONObject) -> bool:
    verdicts = (
        compare(operator_of(part), file_part(file, part.key), expected_part(part.key, part.value))
        for part in parts.conditions
    )
    return all(verdicts) if parts.logical_operator == "and" else any(verdicts)


def _contains(actual: JSONValue, expected: JSONValue) -> bool:
    if not actual:
        return False
    if isinstance(actual, list):
        return expected in actual or to_text(expected) in (to_text(item) for item in actual)
    if not isinstance(actual, str):
        raise ConditionError("Only texts and lists can contain something.")
    return to_text(expected) in actual


def _affix(test: Callable[[str, str], bool]) -> Callable[[JSONValue, JSONValue], bool]:
    def affix(actual: JSONValue, expected: JSONValue) -> bool:
        if not actual:
            return False
        if not isinstance(actual, str):
            raise ConditionError("Only texts have a beginning and an end.")
        return test(actual, to_text(expected))

    return affix


def _is(actual: JSONValue, expected: JSONValue) -> bool:
    if isinstance(actual, bool):
        return actual == _boolean(expected)
    if not isinstance(actual, str | int | float):
        raise ConditionError("Only texts and booleans can be compared with 'is'.")
    return to_text(actual) == to_text(expected)


def _boolean(value: JSONValue) -> bool:
    text = to_text(value).strip().lower()
    if text not in TRUE | FALSE:
        raise ConditionError(f"{text!r} is neither true nor false.")
    return text in TRUE


def _in(actual: JSONValue, expected: JSONValue) -> bool:
    if not isinstance(expected, list):
        raise ConditionError("What something is in must be a list.")
    return actual in expected or to_text(actual) in (to_text(item) for item in expected)


def _all_of(actual: JSONValue, expected: JSONValue) -> bool:
    if not isinstance(expected, list) or not isinstance(actual, list):
        raise ConditionError("'all of' compares two lists.")
    held = [to_text(item) for item in actual]
    return all(to_text(item) in held for item in expected)


def _numbers(test: Callable[[Decimal, Decimal], bool]) -> Callable[[JSONValue, JSONValue], bool]:
    def compared(actual: JSONValue, expected: JSONValue) -> bool:
        return actual is not None and test(_number(actual), _number(expected))

    return compared


def _equal(actual: JSONValue, expected: JSONValue) -> bool:
    if isinstance(actual, bool):
        return actual == _boolean(expected)
    return _number(actual) == _number(expected)


def _number(value: JSONValue) -> Decimal:
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        number = Decimal("NaN")
    if isinstance(value, bool | list | dict) or number.is_nan():
        raise ConditionError(f"{to_text(value)[:100]!r} is not a number.")
    return number


OPERATORS: Mapping[str, Callable[[JSONValue, JSONValue], bool]] = {
    "contains": _contains,
    "not contains": lambda actual, expected: not _contains(actual, expected),
    "start with": _affix(str.startswith),
    "end with": _affix(str.endswith),
    "is": lambda actual, expected: actual is not None and _is(actual, expected),
    "is not": lambda actual, expected: actual is not None and not _is(actual, expected),
    "empty": lambda actual, _: not actual,
    "not empty": lambda actual, _: bool(actual),
    "in": lambda actual, expected: bool(actual) and _in(actual, expected),
    "not in": lambda actual, expected: not actual or not _in(actual, expected),
    "all of": _all_of,
    "=": lambda actual, expected: actual is not None and _equal(actual, expected),
    "≠": lambda actual, expected: actual is not None and not _equal(actual, expected),
    ">": _numbers(Decimal.__gt__),
    "<": _numbers(Decimal.__lt__),
    "≥": _numbers(Decimal.__ge__),
    "≤": _numbers(Decimal.__le__),
    "null": lambda actual, _: actual is None,
    "not null": lambda actual, _: actual is not None,
    "exists": lambda actual, _: actual is not None,
    "not exists": lambda actual, _: actual is None,
}
