import json

import pytest

from api.core.ports import JSONObject, JSONValue
from api.core.text.process_rule import (
    AUTOMATIC,
    SUGGESTED,
    Cleaning,
    Mode,
    ParentMode,
    ProcessRule,
    load_process_rule,
    to_form,
)
from api.errors import InvalidRequest

LIMIT = 4000


def make_rule(**rules: JSONValue) -> dict[str, JSONValue]:
    whole: dict[str, JSONValue] = {
        "pre_processing_rules": [{"id": "remove_extra_spaces", "enabled": True}],
        "segmentation": make_segmentation(),
    }
    return {"mode": "custom", "rules": whole | rules}


def make_segmentation(**changes: JSONValue) -> JSONObject:
    whole: JSONObject = {"separator": "###", "max_tokens": 800, "chunk_overlap": 80}
    return {key: value for key, value in (whole | changes).items() if value != "absent"}


def load(raw: JSONValue) -> ProcessRule:
    return load_process_rule(raw, max_tokens_limit=LIMIT)


@pytest.mark.parametrize(
    "raw", [None, "", " ", {"mode": "automatic"}, {"mode": "automatic", "rules": {"x": 1}}]
)
def test_load_nothing_or_automatic_gives_the_automatic_rule(raw: JSONValue) -> None:
    rule = load(raw)

    assert rule.mode is Mode.AUTOMATIC
    assert rule.cleaning == {Cleaning.EXTRA_SPACES}
    parts = (
        rule.segmentation.literal_separator,
        rule.segmentation.max_tokens,
        rule.segmentation.chunk_overlap,
    )
    assert parts == ("\n", 500, 50)


def test_load_custom_rule_keeps_what_it_says() -> None:
    rule = load(json.dumps(make_rule()))

    assert rule.mode is Mode.CUSTOM
    assert rule.cleaning == {Cleaning.EXTRA_SPACES}
    assert rule.segmentation.model_dump() == make_segmentation()


def test_load_hierarchical_rule_is_complete_without_saying_how_children_are_cut() -> None:
    rule = load(make_rule() | {"mode": "hierarchical"})

    assert rule.rules.parent_mode is ParentMode.PARAGRAPH
    child = rule.child_segmentation
    assert (child.separator, child.max_tokens, child.chunk_overlap) == ("\n", 512, 0)


def test_load_full_doc_rule_takes_its_children_s_cut() -> None:
    child: JSONObject = {"separator": "\\n", "max_tokens": 100}
    rule = load(make_rule(parent_mode="full-doc", subchunk_segmentation=child) | {"mode": "hierarchical"})

    assert rule.is_full_doc
    assert (rule.child_segmentation.literal_separator, rule.child_segmentation.chunk_overlap) == ("\n", 0)


@pytest.mark.parametrize(("max_tokens", "overlap"), [(50, 49), (51, 50), (4000, 50)])
def test_load_absent_overlap_is_fifty_but_below_the_tokens(max_tokens: int, overlap: int) -> None:
    rule = load(make_rule(segmentation={"delimiter": "\n", "max_tokens": max_tokens, "chunk_overlap": None}))

    assert rule.segmentation.chunk_overlap == overlap


SEGMENTATION = "process_rule.rules.segmentation"


@pytest.mark.parametrize(
    ("raw", "field", "fault", "message"),
    [
        ("{", "process_rule", "invalid_format", "Process rule is not valid JSON."),
        ([], "process_rule", "invalid_type", "Process rule must be an object."),
        ("[" * 100_000, "process_rule", "invalid_format", "Process rule is not valid JSON."),
        ({}, "process_rule.mode", "required", "Process rule mode is required."),
        ({"mode": "magic"}, "process_rule.mode", "invalid_choice", "Process rule mode should be"),
        ({"mode": "custom"}, "process_rule.rules", "required", "Process rule rules is required."),
        (
            make_rule(pre_processing_rules=None),
            "process_rule.rules.pre_processing_rules",
            "required",
            "Process rule pre_processing_rules is required.",
        ),
        (
            make_rule(pre_processing_rules=[{"id": "remove_all", "enabled": True}]),
            "process_rule.rules.pre_processing_rules.0.id",
            "invalid_choice",
            "Process rule pre_processing_rules id should be",
        ),
        (
            make_rule(segmentation=None),
            SEGMENTATION,
            "required",
            "Process rule segmentation is required.",
        ),
        (
            make_rule(segmentation=make_segmentation(separator="absent")),
            f"{SEGMENTATION}.separator",
            "required",
            "Process rule segmentation separator is required.",
        ),
        (
            make_rule(segmentation=make_segmentation(separator="")),
            f"{SEGMENTATION}.separator",
            "too_short",
            "Process rule segmentation separator is required.",
        ),
        (
            make_rule(segmentation=make_segmentation(max_tokens="absent")),
            f"{SEGMENTATION}.max_tokens",
            "required",
            "Process rule segmentation max_tokens is required.",
        ),
        (
            make_rule(segmentation=make_segmentation(max_tokens=49)),
            f"{SEGMENTATION}.max_tokens",
            "out_of_range",
            "Process rule segmentation max_tokens must be between 50 and 4000.",
        ),
        (
            make_rule(segmentation=make_segmentation(max_tokens=4001)),
            f"{SEGMENTATION}.max_tokens",
            "out_of_range",
            "Process rule segmentation max_tokens must be between 50 and 4000.",
        ),
        (
            make_rule(segmentation=make_segmentation(max_tokens="many")),
            f"{SEGMENTATION}.max_tokens",
            "invalid_type",
            "Process rule segmentation max_tokens should be a valid integer",
        ),
        (
            make_rule(segmentation=make_segmentation(chunk_overlap=800)),
            f"{SEGMENTATION}.chunk_overlap",
            "out_of_range",
            "Process rule segmentation chunk_overlap must be less than max_tokens.",
        ),
        (
            make_rule(segmentation=make_segmentation(chunk_overlap=-1)),
            f"{SEGMENTATION}.chunk_overlap",
            "out_of_range",
            "Process rule segmentation chunk_overlap should be greater than or equal to 0.",
        ),
        (
            make_rule(subchunk_segmentation={"separator": "\n", "max_tokens": 1}) | {"mode": "hierarchical"},
            "process_rule.rules.subchunk_segmentation.max_tokens",
            "out_of_range",
            "Process rule subchunk_segmentation max_tokens must be between 50 and 4000.",
        ),
    ],
)
def test_load_wrong_rule_is_refused_by_the_field_at_fault(
    raw: JSONValue, field: str, fault: str, message: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        load(raw)

    assert (refused.value.field, refused.value.fault) == (field, fault)
    assert refused.value.message.startswith(message)


@pytest.mark.parametrize(
    "rule", [AUTOMATIC, SUGGESTED, load_process_rule(make_rule(), max_tokens_limit=4000)]
)
def test_to_json_is_read_back_as_the_same_rule(rule: ProcessRule) -> None:
    stored = json.loads(json.dumps(rule.to_json()))

    assert ProcessRule.from_json(stored) == rule


def test_from_json_reads_a_rule_above_today_s_limit() -> None:
    stored = load(make_rule(segmentation=make_segmentation(max_tokens=4000))).to_json()

    assert ProcessRule.from_json(stored).segmentation.max_tokens == 4000


def test_to_form_of_the_suggested_rule_is_what_the_console_begins_with() -> None:
    assert to_form(SUGGESTED, max_tokens_limit=LIMIT) == {
        "mode": "custom",
        "rules": {
            "pre_processing_rules": [
                {"id": "remove_extra_spaces", "enabled": True},
                {"id": "remove_urls_emails", "enabled": False},
            ],
            "segmentation": {"delimiter": "\n", "separator": "\n", "max_tokens": 1024, "chunk_overlap": 50},
            "parent_mode": "paragraph",
        },
        "limits": {"indexing_max_segmentation_tokens_length": LIMIT},
    }
