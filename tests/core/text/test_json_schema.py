"""Values against JSON schemas."""

import time

import pytest

from api.core.ports import JSONObject, JSONValue
from api.core.text.json_schema import SchemaBroken, find_fault
from tests.waiting import assert_quick

SCHEMA: JSONObject = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "ages": {"type": "array", "items": {"type": "number"}}},
    "required": ["name"],
}
DIALECT = "https://json-schema.org/draft/2020-12/schema"


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
        {"allOf": [{}] * 30_000},
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
    assert_quick(time.monotonic() - began, 1)


def doubled(keyword: str) -> JSONObject:
    """Return a schema of forty small parts, each of which stands for the next one twice."""
    parts: JSONObject = {
        f"part{place}": {"$schema": DIALECT, keyword: [{"$ref": f"#/$defs/part{place + 1}"}] * 2}
        for place in range(40)
    }
    return {"$ref": "#/$defs/part0", "$defs": {**parts, "part40": {"type": "number"}}}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (doubled("allOf"), 1),
        (doubled("anyOf"), "one"),
        (doubled("oneOf"), 1),
        ({**doubled("allOf"), "unevaluatedProperties": False}, {"a": 1}),
        (
            {"allOf": [{"$ref": "#/$defs/same"}] * 300, "$defs": {"same": {"const": [[1] * 9000]}}},
            [[1] * 9000],
        ),
        ({"anyOf": [{"type": "null"}] * 1000}, ["x" * 100_000]),
    ],
)
def test_find_fault_refuses_what_takes_too_many_steps(schema: JSONObject, value: JSONValue) -> None:
    with pytest.raises(SchemaBroken, match="too many steps"):
        find_fault(value, schema)


def test_find_fault_has_steps_enough_for_a_long_answer() -> None:
    many: JSONObject = {"type": "array", "items": SCHEMA, "minItems": 1, "uniqueItems": True}
    people: list[JSONValue] = [{"name": f"Li {place}", "ages": [place, 2.5]} for place in range(3000)]

    assert find_fault(people, many) is None
    assert "has non-unique elements" in str(find_fault([*people[:2], people[0]], many))


@pytest.mark.parametrize(
    ("value", "is_unique"),
    [
        ([1, True, "1", None, [1], {"a": 1}, [True], {"a": True}], True),
        ([{"a": 1, "b": 2}, {"b": 2, "a": 1.0}], False),
        ([[1, [2]], [1, [2]]], False),
        ([1, 1.0], False),
    ],
)
def test_find_fault_knows_equal_items(value: JSONValue, is_unique: bool) -> None:
    assert (find_fault(value, {"uniqueItems": True}) is None) is is_unique
