"""Conditions on metadata, operator by operator."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.core.ports import JSONObject, JSONValue
from api.core.rag.metadata_filter import (
    OPPOSITES,
    Condition,
    MetadataFilter,
    Operator,
    Stored,
    load_conditions,
)
from api.errors import InvalidRequest

JUNE = datetime(2024, 6, 1, 12, tzinfo=UTC)
JUNE_S = int(JUNE.timestamp())


def holds(operator: str, found: Stored, value: JSONValue = None) -> bool:
    condition = Condition.model_validate({"name": "f", "comparison_operator": operator, "value": value})
    return condition.holds(found)


@pytest.mark.parametrize(
    ("operator", "found", "value", "expected"),
    [
        ("contains", "red pump", "pump", True),
        ("contains", "red pump", "Pump", False),
        ("contains", "red pump", ["valve", "pump"], True),
        ("contains", 2024, 20, True),
        ("contains", None, "x", False),
        ("start with", "red pump", "red", True),
        ("start with", "red pump", "pump", False),
        ("end with", "red pump", "pump", True),
        ("end with", "red pump", "red", False),
        ("is", "red", "red", True),
        ("is", "red", "Red", False),
        ("is", 5, "5", True),
        ("is", 5, "5.0", True),
        ("is", 5.0, 5, True),
        ("is", "5", 5.0, True),
        ("is", "five", 5, False),
        ("is", 5, "five", False),
        ("is", JUNE, JUNE.isoformat(), True),
        ("is", "red", ["blue", "red"], True),
        ("is", None, "red", False),
        ("is", "", "", True),
        ("in", "red", ["red", "blue"], True),
        ("in", "red", "blue, red", True),
        ("in", "redder", "blue, red", False),
        ("in", 5, [4, 5], True),
        ("in", 5, 5, True),
        ("in", None, ["red"], False),
        ("empty", None, None, True),
        ("empty", "", None, True),
        ("empty", 0, None, False),
        ("empty", " ", None, False),
        ("=", 5, 5, True),
        ("=", 5, "5.0", True),
        ("=", "5", 5, True),
        ("=", "five", 5, False),
        ("=", None, 0, False),
        (">", 5, 4, True),
        (">", 5, 5, False),
        ("<", 5, 6, True),
        ("<", 5, 5, False),
        ("≥", 5, 5, True),
        ("≥", 5, 6, False),
        ("≤", 5, 5, True),
        ("≤", 5, 4, False),
        (">", JUNE, 1, False),
        ("before", JUNE_S, JUNE_S + 1, True),
        ("before", JUNE_S, JUNE_S, False),
        ("before", JUNE, "2024-06-01T12:00:01Z", True),
        ("before", "2024-05-31", "2024-06-01", True),
        ("before", "2024-06-01T13:30:00+02:00", JUNE_S, True),
        ("before", "next week", JUNE_S, False),
        ("before", None, JUNE_S, False),
        ("after", JUNE, str(JUNE_S - 1), True),
        ("after", JUNE.replace(tzinfo=None), JUNE_S - 1, True),
        ("after", JUNE.astimezone(timezone(timedelta(hours=9))), JUNE_S, False),
        ("after", True, 0, False),
    ],
)
def test_condition_holds_as_its_operator_says(
    operator: Operator, found: Stored, value: JSONValue, expected: bool
) -> None:
    assert holds(operator, found, value) is expected
    negative = next((one for one, positive in OPPOSITES.items() if positive == operator), None)
    if negative is not None:
        assert holds(negative, found, value) is not expected


def test_filter_all_or_any_of_its_conditions() -> None:
    conditions = (
        Condition(name="color", comparison_operator="is", value="red"),
        Condition(name="year", comparison_operator=">", value=2020),
    )
    every = MetadataFilter(conditions=conditions)
    some = MetadataFilter(logical_operator="or", conditions=conditions)
    cases: list[tuple[dict[str, Stored], bool, bool]] = [
        ({"color": "red", "year": 2024}, True, True),
        ({"color": "red", "year": 2000}, False, True),
        ({"year": 2024}, False, True),
        ({"other": "x"}, False, False),
    ]
    for metadata, by_every, by_some in cases:
        assert (every.matches(metadata), some.matches(metadata)) == (by_every, by_some)


@pytest.mark.parametrize("logical_operator", ["and", "or"])
def test_filter_blank_conditions_say_nothing(logical_operator: str) -> None:
    blank: JSONObject = {"name": "color", "comparison_operator": "is", "value": None}
    number: JSONObject = {"name": "year", "comparison_operator": ">", "value": None}
    assert load_conditions({"logical_operator": logical_operator, "conditions": [blank, number]}) is None
    full: JSONObject = {"name": "year", "comparison_operator": "=", "value": 1}
    found = load_conditions({"logical_operator": logical_operator, "conditions": [blank, full]})
    assert found is not None
    assert [found.matches({"year": year}) for year in (1, 2)] == [True, False]


@pytest.mark.parametrize("raw", [None, {}, {"conditions": []}, {"logical_operator": "or"}])
def test_load_no_conditions_are_no_filter(raw: JSONObject | None) -> None:
    assert load_conditions(raw) is None


def test_filter_without_conditions_lets_all_pass() -> None:
    assert MetadataFilter(logical_operator="or").matches({})


def test_load_emptiness_needs_no_value() -> None:
    found = load_conditions({"conditions": [{"name": "f", "comparison_operator": "not empty"}]})
    assert found is not None
    assert [found.matches({"f": value}) for value in ("x", "", None)] == [True, False, False]


@pytest.mark.parametrize(
    ("condition", "field", "fault"),
    [
        (
            {"name": "f", "comparison_operator": "like", "value": "x"},
            ".comparison_operator",
            "invalid_choice",
        ),
        ({"comparison_operator": "is", "value": "x"}, ".name", "required"),
        ({"name": "", "comparison_operator": "is", "value": "x"}, ".name", "too_short"),
        ({"name": 5, "comparison_operator": "is", "value": "x"}, ".name", "invalid_type"),
        ({"name": "f", "comparison_operator": "is", "value": {}}, ".value", "invalid_value"),
        ({"name": "f", "comparison_operator": "is", "value": True}, ".value", "invalid_value"),
        ({"name": "f", "comparison_operator": "in", "value": [["x"]]}, ".value", "invalid_value"),
        ({"name": "f", "comparison_operator": ">", "value": "many"}, "", "invalid_value"),
        ({"name": "f", "comparison_operator": "≠", "value": "nan"}, "", "invalid_value"),
        ({"name": "f", "comparison_operator": "=", "value": [1]}, "", "invalid_value"),
        ({"name": "f", "comparison_operator": "before", "value": "someday"}, "", "invalid_value"),
        ({"name": "f", "comparison_operator": "<", "value": 10**400}, "", "invalid_value"),
        ("is", "", "invalid_type"),
    ],
)
def test_load_wrong_condition_is_refused_by_its_path(condition: JSONValue, field: str, fault: str) -> None:
    good: JSONObject = {"name": "f", "comparison_operator": "is", "value": "x"}
    with pytest.raises(InvalidRequest) as refused:
        load_conditions({"conditions": [good, condition]}, "filters")
    assert (refused.value.field, refused.value.fault) == (f"filters.conditions.1{field}", fault)


def test_load_wrong_logical_operator_is_refused() -> None:
    with pytest.raises(InvalidRequest) as refused:
        load_conditions({"logical_operator": "xor", "conditions": []})
    assert refused.value.field == "metadata_filtering_conditions.logical_operator"


STORED = st.one_of(
    st.none(), st.text(max_size=5), st.integers(), st.floats(), st.datetimes(timezones=st.just(UTC))
)


@given(
    st.sampled_from(sorted(OPPOSITES)),
    STORED,
    st.one_of(st.text(max_size=5), st.integers(-9, 9), st.lists(st.text(max_size=2), max_size=3)),
)
def test_negative_operators_are_the_opposite_of_their_positives(
    operator: Operator, found: Stored, value: JSONValue
) -> None:
    value = 5 if operator == "≠" else value
    assert holds(operator, found, value) is not holds(OPPOSITES[operator], found, value)
