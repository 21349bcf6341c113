"""YAML from strangers: JSON values and nothing else, within bounds, and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.core.ports import JSONValue
from api.core.text.yaml_text import MAX_BYTES, BadYAML, dump_yaml, load_yaml

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)
WORDS = [
    "yes",
    "No",
    "null",
    "~",
    "1e3",
    "0x1F",
    "1:30",
    "2024-01-01",
    "<<",
    "=",
    "- a",
    "#",
    "a: b",
    "*x",
    "🤖",
]


def bomb(levels: int, width: int) -> str:
    lines = ["a0: &a0 [" + "x," * width + "]"]
    lines += [f"a{level}: &a{level} [" + f"*a{level - 1}," * width + "]" for level in range(1, levels)]
    return "\n".join(lines)


@given(VALUES)
def test_what_is_written_is_read_again(value: JSONValue) -> None:
    assert load_yaml(dump_yaml(value)) == value


@pytest.mark.parametrize("word", WORDS)
def test_text_that_looks_like_something_else_stays_text(word: str) -> None:
    assert load_yaml(dump_yaml({word: [word]})) == {word: [word]}


def test_scripts_are_written_as_they_are() -> None:
    assert "🤖 你好" in dump_yaml({"name": "🤖 你好"})


def test_value_that_occurs_twice_is_written_twice() -> None:
    shared: JSONValue = ["x"]

    assert "&" not in dump_yaml({"a": shared, "b": shared})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("a: 2024-01-01", {"a": "2024-01-01"}),
        ("1: a\nyes: b\nnull: c", {"1": "a", "yes": "b", "null": "c"}),
        ("a: &x [1]\nb: *x", {"a": [1], "b": [1]}),
        ("a: !!str 12", {"a": "12"}),
        ("a: 'yes'\nb: yes", {"a": "yes", "b": True}),
    ],
)
def test_yaml_is_read_as_json(text: str, value: JSONValue) -> None:
    assert load_yaml(text) == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: b: c", "no valid YAML.*line 1"),
        ("a: [", "no valid YAML"),
        ("a: \u0007", "no valid YAML"),
        ("a: 1\n---\nb: 2", "more than one document"),
        ("? [a]\n: b", "key is no text"),
        ("a: *b", "stands for nothing"),
        ("&a [*a]", "stands for nothing"),
        ("a: !!python/object/apply:os.system [ls]", "not read"),
        ("a: !!python/name:os.system", "cannot be read"),
        ("a: !!set {b}", "not read"),
        ("a: .inf", "cannot be read"),
        ("a: 9" + "9" * 5000, "cannot be read"),
        ("a: '\ud800'", "no text"),
        ("[" * 200, "nested"),
        ("- - " * 200, "nested"),
        (bomb(9, 9), "more than 500,000 values"),
        ("t: &t " + "x" * 1_000_000 + "\nl: [" + "*t," * 1_000 + "]", "more than 500,000 values"),
        ("[" + "x," * 600_000 + "]", "more than 500,000 values"),
        ("x" * (MAX_BYTES + 1), "more than 10 MB"),
        ("语" * (MAX_BYTES // 3 + 1), "more than 10 MB"),
    ],
)
def test_what_is_no_apps_file_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(BadYAML, match=reason):
        load_yaml(text)
