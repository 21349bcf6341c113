"""Built-in tools that work things out: maths, JSON, text, code."""

import pytest

from api.core.ports import CodeFailed, JSONObject, JSONValue
from api.core.tools.tool import ToolFailed
from tests.tools import builtin_tool, call, use


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 2 * 3", "7"),
        ("(1 + 2) ** 3 / 2", "13.5"),
        ("2 ^ 10", "1024"),
        ("-7 // 2", "-4"),
        ("7 % 4", "3"),
        ("sqrt(16) + abs(-1)", "5.0"),
        ("max(1, 2, 3) - round(2.567, 2)", "0.43000000000000016"),
        ("round(1234, -2)", "1200"),
        ("round(2.5)", "2"),
        ("2 ** 100", str(2**100)),
        ("cos(0) * 2e3", "2000.0"),
    ],
)
def test_expression_is_worked_out(expression: str, value: str) -> None:
    assert use("maths", "eval_expression", expression=expression).text == value


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("__import__('os')", "is no arithmetic"),
        ("().__class__", "is no arithmetic"),
        ("'a' * 9", "is no arithmetic"),
        ("True + 1", "is no arithmetic"),
        ("1 if 1 else 2", "is no arithmetic"),
        ("round(x=1)", "is no arithmetic"),
        ("[1]", "is no arithmetic"),
        ("1 +", "is no arithmetic expression"),
        ("", "is no arithmetic expression"),
        ("(" * 900, "is no arithmetic expression"),
        ("9 ** 9 ** 9", "more than 8192 bits"),
        ("*".join(["(2**8000)"] * 50), "more than 8192 bits"),
        ("round(5, -999999999)", "at most 300 digits"),
        ("1e308 * 10", "too large"),
        ("(-8) ** 0.5", "no real number"),
        ("1 / 0", "divides by zero"),
        ("sqrt(-1)", "has no value"),
        ("min()", "has no value"),
        ("exp(10000)", "has no value"),
        ("1" * 1001, "at most 1000"),
    ],
)
def test_what_is_no_arithmetic_is_refused(expression: str, fault: str) -> None:
    with pytest.raises(ToolFailed, match=fault):
        use("maths", "eval_expression", expression=expression)


BOOKS = '{"store": {"book": [{"t": "a", "p": 1}, {"t": "b", "p": 2}], "odd key": true}}'


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("", None),
        ("$.store.book[0].t", "a"),
        ("store.book[-1]['p']", 2),
        ("$.store.book[*].t", ["a", "b"]),
        ("$..t", ["a", "b"]),
        ("$.store.book[1:].p", 2),
        ("$.store.book[:1]", {"t": "a", "p": 1}),
        ('$.store["odd key"]', True),
        ("$.store.book.*.p", [1, 2]),
        ("$.store.none", []),
        ("$.store.book[9]", []),
        ("$.store[0]", []),
    ],
)
def test_json_is_looked_up(path: str, found: JSONValue) -> None:
    output = use("json_process", "parse", content=BOOKS, json_filter=path)

    whole: JSONObject = {"store": {"book": [{"t": "a", "p": 1}, {"t": "b", "p": 2}], "odd key": True}}
    assert output.json == [whole if found is None else found]


def test_json_is_told_as_text() -> None:
    assert use("json_process", "parse", content='{"a": "é"}', json_filter="a").text == "é"
    assert use("json_process", "parse", content='{"a": "é"}').text == '{"a": "é"}'
    assert use("json_process", "parse", content='["é"]', ensure_ascii=True).text == '["\\u00e9"]'


@pytest.mark.parametrize(
    ("content", "path", "fault"),
    [
        ("{", "", "is no JSON"),
        ("NaN", "", "is no JSON"),
        ("[" * 100_000, "", "is no JSON"),
        ("{}", "$.a[?(@.b)]", "cannot be read"),
        ("{}", "x" * 1001, "at most 1000"),
        ("[" * 60 + "]" * 60, "$" + "..*" * 30, "more than 200,000"),
    ],
)
def test_what_is_no_json_or_no_path_is_refused(content: str, path: str, fault: str) -> None:
    with pytest.raises(ToolFailed, match=fault):
        use("json_process", "parse", content=content, json_filter=path)


@pytest.mark.parametrize(
    ("name", "given", "text"),
    [
        ("count", {"text": "a b\nc"}, "5 characters, 3 words, 2 lines"),
        ("replace", {"text": "a.b.c", "find": ".", "replacement": "-"}, "a-b-c"),
        ("split", {"text": "a,b", "separator": ","}, "a\nb"),
        ("split", {"text": "a\nb"}, "a\nb"),
        ("convert", {"text": "ab c", "to": "TITLE"}, "Ab C"),
        ("convert", {"text": " a ", "to": "trim"}, "a"),
    ],
)
def test_text_is_changed(name: str, given: JSONObject, text: str) -> None:
    assert use("text", name, **given).text == text


def test_text_gives_json_too() -> None:
    assert use("text", "split", text="a,b", separator=",").json == [["a", "b"]]
    assert use("text", "count", text="").json == [{"characters": 0, "words": 0, "lines": 0}]


@pytest.mark.parametrize(
    ("name", "given", "fault"),
    [
        ("replace", {"text": "a", "find": ""}, "nothing to find"),
        ("replace", {"text": "a" * 20_000, "find": "a", "replacement": "b" * 1000}, "more than 10,485,760"),
        ("split", {"text": "," * 100_001, "separator": ","}, "more than 100,000"),
    ],
)
def test_text_that_would_grow_without_end_is_refused(name: str, given: JSONObject, fault: str) -> None:
    with pytest.raises(ToolFailed, match=fault):
        use("text", name, **given)


def test_code_gives_what_main_returns() -> None:
    code = "def main(a=1):\n    return {'double': a * 2}"
    output = use("code", "simple_code", code=code, inputs='{"a": 4}')

    assert (output.text, output.json) == ('{"double": 8}', [{"double": 8}])
    assert use("code", "simple_code", code=code).json == [{"double": 2}]


def test_code_that_fails_says_how() -> None:
    class Refuses:
        def run(self, *_given: object, **_named: object) -> JSONObject:
            raise CodeFailed("NameError: x")

    with pytest.raises(ToolFailed, match="NameError: x"):
        call(builtin_tool("code", "simple_code"), {"code": "x"}, sandbox=Refuses())


def test_path_that_picks_a_part_again_and_again_is_refused() -> None:
    nested = "[" * 50 + f'"{"x" * 400_000}"' + "]" * 50
    with pytest.raises(ToolFailed, match="more than"):
        use("json_process", "parse", content=nested, json_filter="$..[0]..[0]")


def test_nul_of_a_text_is_left_out() -> None:
    assert use("json_process", "parse", content='"a\\u0000b"').text == "ab"
