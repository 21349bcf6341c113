"""Arguments of a tool, read as its parameters say: models and drawings give texts for nearly everything."""

import json
import math
from collections.abc import Callable, Mapping, Sequence

import orjson

from api.core.ports import JSONObject, JSONValue
from api.core.tools.tool import ParameterType, ToolFailed, ToolParameter

TRUE = frozenset({"true", "yes", "y", "1", "on"})
MAX_INTEGER = 2**63 - 1
FALSE = frozenset({"false", "no", "n", "0", "off", ""})


def read_arguments(parameters: Sequence[ToolParameter], given: JSONObject) -> JSONObject:
    """Return the arguments of a call; what no parameter is named after is left out.

    What is not given, null, or empty where it is no text, has the default.
    Raises ToolFailed naming the parameter that is missing or cannot be read.
    """
    found: JSONObject = {}
    for parameter in parameters:
        value = given.get(parameter.name)
        if value is None or (value == "" and parameter.type != "string"):
            value = parameter.default
        if value is not None:
            found[parameter.name] = _read(parameter, value)
        elif parameter.is_required:
            raise _refused(parameter, "is required")
    return found


def _read(parameter: ToolParameter, value: JSONValue) -> JSONValue:
    return READERS[parameter.type](parameter, value)


def _text(_parameter: ToolParameter, value: JSONValue) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def _number(parameter: ToolParameter, value: JSONValue) -> int | float:
    number: int | float | None = None
    if isinstance(value, str):
        number = _parsed(value.strip())
    elif isinstance(value, int | float) and not isinstance(value, bool):
        number = value
    if isinstance(number, int) and abs(number) > MAX_INTEGER:
        raise _refused(parameter, "must be a number of 64 bits")
    if number is None or not math.isfinite(number):
        raise _refused(parameter, "must be a number")
    if parameter.minimum is not None and number < parameter.minimum:
        raise _refused(parameter, f"must be at least {parameter.minimum:g}")
    if parameter.maximum is not None and number > parameter.maximum:
        raise _refused(parameter, f"must be at most {parameter.maximum:g}")
    return number


def _parsed(text: str) -> int | float | None:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return None


def _boolean(parameter: ToolParameter, value: JSONValue) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in TRUE:
        return True
    if word in FALSE:
        return False
    raise _refused(parameter, "must be true or false")


def _chosen(parameter: ToolParameter, value: JSONValue) -> str:
    words = [word for word, _ in parameter.options]
    text = _text(parameter, value).strip()
    chosen = next((word for word in words if word == text), None)
    chosen = chosen or next((word for word in words if word.lower() == text.lower()), None)
    if chosen is None:
        raise _refused(parameter, f"must be one of: {', '.join(words)}")
    return chosen


def _list(parameter: ToolParameter, value: JSONValue) -> JSONValue:
    found = _from_json(value)
    if not isinstance(found, list):
        raise _refused(parameter, "must be a list")
    return found


def _object(parameter: ToolParameter, value: JSONValue) -> JSONValue:
    found = _from_json(value)
    if not isinstance(found, dict):
        raise _refused(parameter, "must be an object")
    return found


def _from_json(value: JSONValue) -> JSONValue:
    if not isinstance(value, str):
        return value
    try:
        found: JSONValue = orjson.loads(value)
    except orjson.JSONDecodeError:
        return None
    return found


def _file(parameter: ToolParameter, value: JSONValue) -> JSONObject:
    if isinstance(value, list) and len(value) == 1:
        (value,) = value
    if not isinstance(value, dict):
        raise _refused(parameter, "must be a file")
    return value


def _files(parameter: ToolParameter, value: JSONValue) -> JSONValue:
    return [_file(parameter, item) for item in (value if isinstance(value, list) else [value])]


def _refused(parameter: ToolParameter, fault: str) -> ToolFailed:
    return ToolFailed(f"The parameter {parameter.name!r} {fault}.", error_type="ToolParameterError")


READERS: Mapping[ParameterType, Callable[[ToolParameter, JSONValue], JSONValue]] = {
    "string": _text,
    "secret-input": _text,
    "number": _number,
    "boolean": _boolean,
    "select": _chosen,
    "array": _list,
    "object": _object,
    "file": _file,
    "files": _files,
}
