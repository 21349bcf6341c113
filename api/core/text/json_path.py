"""Looks values up in JSON by a path: the part of JSONPath that names places. Pure.

``$`` is the value itself, ``.name`` or ``['name']`` a key, ``[0]`` an item (from
the end where negative), ``[1:3]`` a slice, ``[*]`` or ``.*`` all of them, ``..``
what lies however deep. Filters and scripts are not read.
"""

import re
from collections.abc import Callable, Iterable, Iterator

from api.core.ports import JSONValue

MAX_CHARS = 1000
MAX_VISITS = 200_000
STEP = re.compile(
    r"""
    (?P<deep>\.\.(?=[\w*\[])) | \.?\[\s*(?P<index>-?\d{1,18})\s*\] | \.?\[\s*(?P<all>\*)\s*\]
    | \.?\[\s*(?P<from>-?\d{1,18})?\s*:\s*(?P<to>-?\d{1,18})?\s*\]
    | \.?\[\s*(?P<quote>['"])(?P<key>.*?)(?P=quote)\s*\] | \.?(?P<star>\*) | \.?(?P<name>[\w$@-]+)
    """,
    re.VERBOSE,
)
Step = Callable[[JSONValue], Iterable[JSONValue]]


class BadPath(Exception):
    """The path cannot be read, or leads to more than is looked at; the message says why."""


def find_all(value: JSONValue, path: str) -> list[JSONValue]:
    """Return what lies where a path leads, in the order of the value. Raises BadPath."""
    found: Iterable[JSONValue] = [value]
    visits = iter(range(MAX_VISITS))
    for step in _steps(path):
        found = _walk(step, found, visits)
    return list(found)


def _walk(step: Step, values: Iterable[JSONValue], visits: Iterator[int]) -> Iterator[JSONValue]:
    """Yield what one step leads to; all steps of a path share their visits."""
    for value in values:
        for inner in step(value):
            if next(visits, None) is None:
                raise BadPath(f"The path leads through more than {MAX_VISITS:,} values.")
            yield inner


def _steps(path: str) -> Iterator[Step]:
    text = path.strip().removeprefix("$")
    if len(text) > MAX_CHARS:
        raise BadPath(f"A path has at most {MAX_CHARS} characters.")
    place = 0
    while place < len(text):
        step = STEP.match(text, place)
        if step is None:
            raise BadPath(f"The path cannot be read from {text[place : place + 50]!r} on.")
        yield _step(step)
        place = step.end()


def _step(found: re.Match[str]) -> Step:
    if found["deep"]:
        return _below
    if found["all"] or found["star"]:
        return _inside
    if found["index"] is not None:
        return lambda value: _item(value, int(found["index"]))
    if found["quote"] is not None or found["name"] is not None:
        key = found["key"] if found["quote"] is not None else found["name"]
        return lambda value: [value[key]] if isinstance(value, dict) and key in value else []
    begin, end = (int(found[name]) if found[name] is not None else None for name in ("from", "to"))
    return lambda value: value[begin:end] if isinstance(value, list) else []


def _inside(value: JSONValue) -> Iterable[JSONValue]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else []


def _below(value: JSONValue) -> Iterator[JSONValue]:
    """Yield a value and all there is in it, from the top down."""
    waiting = [value]
    while waiting:
        current = waiting.pop()
        yield current
        waiting.extend(reversed(list(_inside(current))))


def _item(value: JSONValue, index: int) -> Iterable[JSONValue]:
    is_there = isinstance(value, list) and -len(value) <= index < len(value)
    return [value[index]] if isinstance(value, list) and is_there else []
