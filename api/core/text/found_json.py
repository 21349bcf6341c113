"""Finds JSON in what a model wrote: bare, in a code fence, or with words around it."""

import json
import re
from collections.abc import Iterator

import orjson

from api.core.ports import JSONObject, JSONValue

FENCE = "```"
LABEL = re.compile(r"\Ajson", re.IGNORECASE)
OPENING = re.compile(r"[{[]")
TRAILING_COMMA = re.compile(r",(?=\s*[}\]])")
ENDS = {"{": "}", "[": "]"}
MAX_DEPTH = 100
"""What goes on from here is written as JSON again, which takes 254 levels, those around it included."""


def find_json(text: str) -> JSONObject | list[JSONValue] | None:
    """Return the first JSON object or list of a text, None where there is none.

    Commas before a closing bracket and line breaks inside strings are forgiven;
    what is nested too deep counts as none. Takes time in proportion to the text, whatever it holds.
    """
    for candidate in _candidates(text):
        for read in (orjson.loads, _repaired):
            try:
                found = read(candidate)
            except (ValueError, TypeError, RecursionError):
                continue
            if isinstance(found, dict | list) and not is_deep(found):
                return found
    return None


def is_deep(value: JSONValue) -> bool:
    """Tell whether JSON is nested more than MAX_DEPTH deep."""
    layer = [value]
    for _ in range(MAX_DEPTH):
        layer = [
            item
            for each in layer
            for item in (each.values() if isinstance(each, dict) else each if isinstance(each, list) else ())
            if isinstance(item, dict | list)
        ]
        if not layer:
            return False
    return True


def _candidates(text: str) -> Iterator[str]:
    yield text
    # Every other piece, without the last, which nothing closes.
    yield from (LABEL.sub("", piece).strip() for piece in text.split(FENCE)[1:-1:2])
    seen: set[str] = set()
    for opening in OPENING.finditer(text):
        if opening[0] not in seen:
            seen.add(opening[0])
            yield text[opening.start() : text.rfind(ENDS[opening[0]]) + 1]


def _repaired(text: str) -> JSONValue:
    """Read what is JSON but for a fault that models make. Goes through orjson, which takes no odd values."""
    found: JSONValue = orjson.loads(orjson.dumps(json.loads(TRAILING_COMMA.sub("", text), strict=False)))
    return found
