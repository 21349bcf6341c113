"""Checks what an end user filled in against the app's form; pure.

Wire: docs/wire/chat.md#inputs (the sentences are part of the contract).
"""

from collections.abc import Callable

from api.core.apps.config import EXTERNAL_DATA, FormItem
from api.core.ports import JSONObject, JSONValue
from api.errors import FaultType, InvalidRequest

FILE_KINDS = ("file", "file-list")
MAX_NUMBER = 2**63
"""What JSON columns hold as an integer; nothing infinite or undefined is below it either."""
TRUE_WORDS = frozenset({"true", "yes", "on", "1"})
FALSE_WORDS = frozenset({"false", "no", "off", "0", ""})


def check_inputs(
    form: tuple[FormItem, ...], given: JSONObject, stored: JSONObject | None = None
) -> JSONObject:
    """Return a value for every variable the end user fills in; unknown keys are dropped.

    Absent keys are filled from ``stored`` (the conversation's first inputs),
    then from the form's defaults. Raises InvalidRequest naming the variable.
    """
    merged = {**(stored or {}), **given}
    return {
        item.variable: _checked(item, merged.get(item.variable))
        for item in form
        if item.kind != EXTERNAL_DATA
    }


def _checked(item: FormItem, value: JSONValue) -> JSONValue:
    if value is None or (item.kind in FILE_KINDS and not value):
        if item.required:
            raise _fault(item, f"{item.variable} is required in input form", "required")
        return item.default  # type: ignore[no-any-return]  # a JSON value the console stored
    if isinstance(value, dict) and item.kind not in ("file", "file-list", "json_object"):
        raise _fault(item, f"Invalid input type for ['{item.variable}']", "invalid_type")
    return CHECKS.get(item.kind, _text)(item, value)


def _text(item: FormItem, value: JSONValue) -> str:
    if not isinstance(value, str):
        message = f"(type '{item.kind}') {item.variable} in input form must be a string"
        raise _fault(item, message, "invalid_type")
    if item.kind == "select" and value and value not in item.options:
        message = f"{item.variable} in input form must be one of the following: {list(item.options)}"
        raise _fault(item, message, "invalid_choice")
    if item.max_length and len(value) > item.max_length:
        message = f"{item.variable} in input form must be less than {item.max_length} characters"
        raise _fault(item, message, "too_long")
    return value


def _number(item: FormItem, value: JSONValue) -> int | float | None:
    if isinstance(value, str):
        if not value.strip():
            return None
        try:
            value = float(value) if any(mark in value for mark in ".eE") else int(value)
        except ValueError:
            value = None
    if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < MAX_NUMBER:
        return value
    raise _fault(item, f"{item.variable} in input form must be a valid number", "invalid_type")


def _checkbox(item: FormItem, value: JSONValue) -> bool:
    word = str(value).strip().lower()
    if word in TRUE_WORDS:
        return True
    if word in FALSE_WORDS:
        return False
    raise _fault(item, f"{item.variable} in input form must be true or false", "invalid_type")


def _object(item: FormItem, value: JSONValue) -> JSONValue:
    if not isinstance(value, dict):
        raise _fault(item, f"{item.variable} in input form must be a dict", "invalid_type")
    return value


def _file(item: FormItem, value: JSONValue) -> JSONValue:
    if not isinstance(value, dict):
        raise _fault(item, f"{item.variable} in input form must be a file", "invalid_type")
    return value


def _files(item: FormItem, value: JSONValue) -> JSONValue:
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise _fault(item, f"{item.variable} in input form must be a list of files", "invalid_type")
    if item.max_length and len(value) > item.max_length:
        message = f"{item.variable} in input form must be less than {item.max_length} files"
        raise _fault(item, message, "too_long")
    return value


def _fault(item: FormItem, message: str, fault: FaultType) -> InvalidRequest:
    return InvalidRequest(message, field=item.variable, fault=fault)


CHECKS: dict[str, Callable[[FormItem, JSONValue], JSONValue]] = {
    "number": _number,
    "checkbox": _checkbox,
    "json_object": _object,
    "file": _file,
    "file-list": _files,
}
