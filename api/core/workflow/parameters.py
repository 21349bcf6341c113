"""Parameters of tools and agents as they are drawn: constants, variables, templates. Pure.

A parameter is ``{"type": "constant" | "variable" | "mixed", "value": ...}`` or,
in files of old, its bare value.
"""

from collections.abc import Iterator, Mapping

from api.core.ports import JSONObject, JSONValue
from api.core.workflow import templates
from api.core.workflow.variables import Selector, VariablePool

KINDS = ("constant", "variable", "mixed")


def fill(parameters: Mapping[str, JSONValue], variables: VariablePool) -> JSONObject:
    """Return the values of parameters; those that have none are left out, so that defaults count."""
    values = {name: _value(drawn, variables) for name, drawn in parameters.items()}
    return {name: value for name, value in values.items() if value is not None}


def references(parameters: Mapping[str, JSONValue]) -> Iterator[Selector]:
    """Yield the variables parameters are made of; none where one was left unchosen."""
    for drawn in parameters.values():
        selector = _selector(drawn)
        if selector is None:
            yield from _inside(drawn)
        elif selector:
            yield selector


def _value(drawn: JSONValue, variables: VariablePool) -> JSONValue:
    selector = _selector(drawn)
    return _rendered(_bare(drawn), variables) if selector is None else variables.get(selector)


def _selector(drawn: JSONValue) -> Selector | None:
    """Return the variable a parameter is; None where it is none."""
    value = _bare(drawn)
    if isinstance(drawn, dict) and drawn.get("type") == "variable" and isinstance(value, list):
        return tuple(str(name) for name in value)
    return None


def _bare(drawn: JSONValue) -> JSONValue:
    """Return what is drawn without the word for what it is."""
    is_named = isinstance(drawn, dict) and "value" in drawn and drawn.get("type") in KINDS
    return drawn["value"] if isinstance(drawn, dict) and is_named else drawn


def _rendered(value: JSONValue, variables: VariablePool) -> JSONValue:
    match value:
        case str():
            return templates.render(value, variables)
        case list():
            return [_rendered(item, variables) for item in value]
        case dict():
            selector = _selector(value)
            if selector is not None:
                return variables.get(selector)
            return {key: _rendered(item, variables) for key, item in value.items()}
    return value


def _inside(value: JSONValue) -> Iterator[Selector]:
    match value:
        case str():
            yield from templates.references(value)
        case list():
            for item in value:
                yield from _inside(item)
        case dict() if selector := _selector(value):
            yield selector
        case dict():
            for item in value.values():
                yield from _inside(item)
