"""Values against JSON schemas."""

import time

import pytest

from api.core.ports import JSONObject
from api.core.text.json_schema import SchemaBroken, find_fault

SCHEMA: JSONObject = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "ages": {"type": "array", "items": {"type": "number"}}},
    "required": ["name"],
}


def test_find_fault_of_what_fits_is_none() -> None:
    assert find_fault({"name": "Li", "ages": [1, 2.5]}, SCHEMA) is None


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({}, "'name' is a required property"),
        ({"name": "Li", "ages": [1, "two"]}, "ages.1: 'two' is not of type 'number'"),
    ],
)
def test_find_fault_says_where_and_what(value: JSONObject, said: str) -> None:
    assert find_fault(value, SCHEMA) == said


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "wish"},
        {"$ref": "https://example.com/schema.json"},
        {"$ref": "#/$defs/absent"},
        {"$ref": "#"},
    ],
)
def test_find_fault_refuses_what_is_no_schema(schema: JSONObject) -> None:
    with pytest.raises(SchemaBroken):
        find_fault("x", schema)


def test_find_fault_looks_at_no_pattern() -> None:
    slow = "^(a+)+$"
    schema: JSONObject = {
        "properties": {"pattern": {"type": "string", "pattern": slow}},
        "patternProperties": {slow: False},
        "required": ["pattern"],
        "additionalProperties": {"enum": [1, 2]},
    }
    began = time.monotonic()

    assert find_fault({"pattern": "a" * 40 + "!", "a" * 40 + "!": 1}, schema) is None
    assert time.monotonic() - began < 1
