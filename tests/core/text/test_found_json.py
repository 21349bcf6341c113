"""JSON in the words of models."""

import pytest

from api.core.ports import JSONValue
from api.core.text.found_json import find_json


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"a": 1}', {"a": 1}),
        ('Sure:\n```json\n{"a": [1]}\n```\nDone {or not}.', {"a": [1]}),
        ("```\n[1, 2]\n```", [1, 2]),
        ('I think {"a": 1} is right.', {"a": 1}),
        ('{"a": [1, 2,], }', {"a": [1, 2]}),
        ('{"a": "two\nlines"}', {"a": "two\nlines"}),
        ("no JSON { here", None),
        ('"only text"', None),
        ("[" * 100_000, None),
        ('{"a": "\\ud800"}', None),
        ("", None),
    ],
)
def test_find_json(text: str, found: JSONValue) -> None:
    assert find_json(text) == found
