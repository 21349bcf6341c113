"""What a node that is run alone is given: values by the names a canvas has for the variables it reads. Pure.

Wire: docs/wire/workflows.md#one-node-alone.
"""

from collections.abc import Iterator

from api.core.ports import JSONObject, JSONValue
from api.core.workflow.graph import Graph, NodeSpec
from api.core.workflow.variables import RESERVED, Selector

INPUT_SELECTOR, ITERATOR_SELECTOR = "input_selector", "iterator_selector"
SHORT = {"context": ("context", "variable_selector"), "files": ("vision", "configs", "variable_selector")}
"""Where a node's settings name what ``#context#`` and ``#files#`` stand for."""


def selector_of(graph: Graph, node: NodeSpec, key: str) -> Selector | None:
    """Return the variable that a key stands for: ``#node.name#``, or a name of the node's own.

    None where it stands for none.
    """
    if len(key) > 2 and key[0] == key[-1] == "#":
        inside = key[1:-1]
        if inside in SHORT:
            return _selector(_at(node.data, SHORT[inside]))
        return _dotted(inside)
    named = _of_name(node.data, key.removeprefix(f"{node.id}."))
    if named is None and (key.partition(".")[0] in graph.nodes or key.partition(".")[0] in RESERVED):
        return _dotted(key)
    return named


def put_at(pool: dict[str, JSONObject], selector: Selector, value: JSONValue) -> None:
    """Set a variable, or a part of one; the parts on the way are made where they are not there."""
    node_id, name, *path = selector
    held = pool[node_id] = dict(pool.get(node_id, {}))
    for key in path:
        inner = held.get(name)
        fresh: JSONObject = dict(inner) if isinstance(inner, dict) else {}
        held[name] = fresh
        held, name = fresh, key
    held[name] = value


def _of_name(data: JSONObject, name: str) -> Selector | None:
    """Return what a node's settings name so: one of its variables, or a setting that is a selector."""
    for item in _objects(data):
        if item.get("variable") == name and (found := _selector(item.get("value_selector"))):
            return found
        inner = item.get(name)
        if (
            isinstance(inner, dict)
            and inner.get("type") == "variable"
            and (found := _selector(inner.get("value")))
        ):
            return found
    if name == INPUT_SELECTOR:
        name = ITERATOR_SELECTOR
    settings = (f"{name}_variable_selector", f"{name}_selector", name)
    return next((found for key in settings if (found := _selector(data.get(key)))), None)


def _objects(value: JSONValue) -> Iterator[JSONObject]:
    """Yield the objects in a value, at any depth."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _objects(inner)


def _at(value: JSONValue, path: tuple[str, ...]) -> JSONValue:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _selector(value: JSONValue) -> Selector | None:
    if isinstance(value, list) and len(value) > 1 and all(isinstance(part, str) and part for part in value):
        return tuple(str(part) for part in value)
    return None


def _dotted(text: str) -> Selector | None:
    parts = tuple(text.split("."))
    return parts if len(parts) > 1 and all(parts) else None
