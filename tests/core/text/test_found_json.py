"""JSON in the words of models."""

import time

import pytest

from api.core.ports import JSONValue
from api.core.text.found_json import find_json
from tests.waiting import assert_quick


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"a": 1}', {"a": 1}),
        ('Sure:\n```json\n{"a": [1]}\n```\nDone {or not}.', {"a": [1]}),
        ("```\n[1, 2]\n```", [1, 2]),
        ("```Json [1]``` or ```json\n[2]```", [1]),
        ('```python\nx = 1\n``` gives ```\n{"x": 1}\n``` and ```{}', {"x": 1}),
        ('I think {"a": 1} is right.', {"a": 1}),
        ('{"a": [1, 2,], }', {"a": [1, 2]}),
        ('{"a": "two\nlines"}', {"a": "two\nlines"}),
        ("no JSON { here", None),
        ('"only text"', None),
        ("[" * 101 + "]" * 101, None),
        ("[" * 100_000, None),
        ('{"a": "\\ud800"}', None),
        ("", None),
    ],
)
def test_find_json(text: str, found: JSONValue) -> None:
    assert find_json(text) == found


@pytest.mark.parametrize(
    "piece", [" ", "`", "``` ", "```{ ", "```json\n", "{", "[ ", ", ", ",  ]", '{"a":', '"\\', "1", "}`"]
)
@pytest.mark.parametrize("start", ["```", "{", ""])
def test_find_json_takes_little_time_over_any_text(start: str, piece: str) -> None:
    began = time.monotonic()

    find_json(start + piece * (200_000 // len(piece)))
    assert_quick(time.monotonic() - began, 5)
