"""Filters that a model makes: what is asked, and how strictly the answer is read."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from api.core.egress import EgressPolicy
from api.core.http import Cancelled, HTTPClient, Timeouts
from api.core.model_runtime.metering import Tab
from api.core.model_runtime.runtime import ModelRuntime, ResolvedModel
from api.core.model_runtime.types import ModelRef
from api.core.ports import Cancel, JSONValue
from api.core.rag.metadata_filter import MetadataFilter
from api.core.rag.metadata_prompt import FilterModel, MetadataField, make_filter, read_filter
from api.errors import CompletionFailed
from tests.fakes import Script
from tests.vendors import InlineOffload

FIELDS = [
    MetadataField("author", "string"),
    MetadataField("pages", "number"),
    MetadataField("written", "time"),
]
NOW = datetime(2025, 3, 1, tzinfo=UTC)


def condition(name: str, operator: str, value: JSONValue = None) -> dict[str, JSONValue]:
    return {"name": name, "comparison_operator": operator, "value": value}


def make(
    script: Script,
    query: str = "by Li Wei?",
    cancel: Cancel | None = None,
    fields: Sequence[MetadataField] = FIELDS,
) -> MetadataFilter | None:
    resolved = ResolvedModel(credentials={}, is_quota_ok=True, report=list[bool]().append)
    timeouts = Timeouts(connect_s=20, first_byte_s=20, idle_s=20)
    models = ModelRuntime(
        lambda _tenant, _ref: resolved, HTTPClient(EgressPolicy(), timeouts), InlineOffload(), book=Tab()
    )
    model = FilterModel(tenant_id="t", ref=ModelRef("scripted", script.model), parameters={"temperature": 0})
    return make_filter(query, fields, model, models, cancel or Cancel(30), now=NOW).filter


def read(answer: object) -> list[tuple[str, str, object]]:
    found = read_filter(answer if isinstance(answer, str) else json.dumps(answer), FIELDS)
    return [(one.name, one.comparison_operator, one.value) for one in found.conditions] if found else []


def test_make_filter_shows_the_model_query_time_and_fields() -> None:
    script = Script(pieces=[json.dumps({"conditions": [condition("author", "is", "Li Wei")]})])
    found = make(script)
    assert found is not None
    assert found.matches({"author": "Li Wei"})
    assert not found.matches({"author": "Ann"})
    [request] = script.requests
    asked = json.loads(request.messages[1].text)
    assert asked["query"] == "by Li Wei?"
    assert asked["now"] == "2025-03-01T00:00:00+00:00"
    assert [(field["name"], field["type"]) for field in asked["fields"]] == [
        ("author", "string"),
        ("pages", "number"),
        ("written", "time"),
    ]
    assert request.parameters == {"temperature": 0}


def test_make_filter_nothing_to_filter_by_asks_nobody() -> None:
    script = Script()
    assert make(script, query=" ") is None
    assert make(script, fields=[]) is None
    assert script.requests == []


def test_make_filter_failure_of_the_model_is_raised() -> None:
    def fail() -> None:
        raise CompletionFailed("no answer")

    with pytest.raises(CompletionFailed, match="no answer"):
        make(Script(pieces=[fail]))


def test_make_filter_stopped_run_raises_cancelled() -> None:
    cancel = Cancel(30)
    with pytest.raises(Cancelled):
        make(Script(pieces=["{", cancel.set, "}"]), cancel=cancel)


GOOD = condition("pages", ">", 10)
READ = ("pages", ">", 10)


@pytest.mark.parametrize(
    "answer",
    [
        {"logical_operator": "and", "conditions": [GOOD]},
        [GOOD],
        f"Sure! ```json\n{json.dumps({'conditions': [GOOD]})}\n``` Anything else?",
        f"```\n{json.dumps([GOOD])}\n```",
        f"The filter is {json.dumps({'conditions': [GOOD]})}.",
        f"```I think``` {json.dumps({'conditions': [GOOD]})}",
    ],
)
def test_read_filter_answer_is_found_however_wrapped(answer: object) -> None:
    assert read(answer) == [READ]


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "There is nothing to filter by.",
        "{",
        "```json\n7\n```",
        {"conditions": []},
        {"conditions": GOOD},
        {"filters": [GOOD]},
        [7, "x", None],
        [condition("publisher", "is", "x")],
        [condition("author", ">", 5)],
        [condition("pages", "contains", "1")],
        [condition("written", "is", "2024")],
        [condition("written", "before", "someday")],
        [condition("pages", ">", "many")],
        [condition("author", "is")],
        [condition("author", "equals", "x")],
    ],
)
def test_read_filter_answer_without_a_usable_condition_is_no_filter(answer: object) -> None:
    assert read(answer) == []


def test_read_filter_usable_conditions_stay_when_others_are_not() -> None:
    answer = [condition("publisher", "is", "x"), GOOD, condition("author", "not empty"), 7]
    assert read(answer) == [READ, ("author", "not empty", None)]


@pytest.mark.parametrize(("told", "expected"), [("or", "or"), ("and", "and"), ("xor", "and"), (None, "and")])
def test_read_filter_conditions_are_joined_as_told(told: JSONValue, expected: str) -> None:
    found = read_filter(json.dumps({"logical_operator": told, "conditions": [GOOD]}), FIELDS)
    assert found is not None
    assert found.logical_operator == expected
