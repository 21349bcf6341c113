"""Calls of tools: arguments, messages, time and stops."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from api.core.http import Cancelled
from api.core.ports import Cancel, CodeFailed, JSONObject, JSONValue
from api.core.rag.waiting import pause
from api.core.tools.tool import (
    FileMessage,
    JSONMessage,
    TextMessage,
    Tool,
    ToolContext,
    ToolFailed,
    ToolMessage,
    ToolParameter,
    ToolSchema,
    VariableMessage,
    Words,
)
from api.errors import InvalidRequest
from tests.servers import Reply, ScriptedServer
from tests.tools import call, make_http
from tests.waiting import assert_quick

NAME = Words("A", "甲")


def parameter(**values: Any) -> ToolParameter:
    return ToolParameter(**{"name": "a", "label": NAME, "human_description": NAME, **values})


def make_tool(invoke: Any, *parameters: ToolParameter, timeout_s: float | None = None) -> Tool:
    schema = ToolSchema(
        name="t",
        label=NAME,
        description=NAME,
        llm_description="a",
        parameters=parameters,
        timeout_s=timeout_s,
    )
    return Tool(schema, invoke)


def echo(arguments: JSONObject, _context: ToolContext) -> Iterator[ToolMessage]:
    yield JSONMessage(arguments)


def fetch(arguments: JSONObject, context: ToolContext) -> Iterator[ToolMessage]:
    url = str(arguments["a"])
    reply = context.http.request("GET", url, cancel=context.cancel, max_bytes=100, timeouts=context.timeouts)
    yield TextMessage(reply.content.decode())


@pytest.mark.parametrize(
    ("kind", "given", "read"),
    [
        ("string", "x", "x"),
        ("string", "", ""),
        ("string", 5, "5"),
        ("string", {"b": "é"}, '{"b": "é"}'),
        ("number", "5", 5),
        ("number", "5.5", 5.5),
        ("number", 7, 7),
        ("boolean", "True", True),
        ("boolean", 0, False),
        ("boolean", "no", False),
        ("array", "[1]", [1]),
        ("array", [1], [1]),
        ("object", '{"b": 1}', {"b": 1}),
        ("object", {"b": 1}, {"b": 1}),
        ("file", {"filename": "x"}, {"filename": "x"}),
        ("file", [{"filename": "x"}], {"filename": "x"}),
        ("files", {"filename": "x"}, [{"filename": "x"}]),
        ("files", [{"filename": "x"}], [{"filename": "x"}]),
        ("secret-input", "k", "k"),
    ],
)
def test_argument_is_read_as_its_parameter_says(kind: str, given: JSONValue, read: JSONValue) -> None:
    output = call(make_tool(echo, parameter(type=kind)), {"a": given, "other": 1})

    assert output.json == [{"a": read}]


@pytest.mark.parametrize(
    ("values", "given", "fault"),
    [
        ({"type": "number"}, "x", "must be a number"),
        ({"type": "number"}, True, "must be a number"),
        ({"type": "number"}, "1e999", "must be a number"),
        ({"type": "number"}, "9" * 400, "must be a number of 64 bits"),
        ({"type": "number"}, 10**400, "must be a number of 64 bits"),
        ({"type": "number"}, "9" * 5000, "must be a number"),
        ({"type": "array"}, "[NaN]", "must be a list"),
        ({"type": "number", "minimum": 2}, 1, "must be at least 2"),
        ({"type": "number", "maximum": 2}, 3, "must be at most 2"),
        ({"type": "boolean"}, "maybe", "must be true or false"),
        ({"type": "select", "options": (("x", NAME), ("y", NAME))}, "z", "must be one of: x, y"),
        ({"type": "array"}, "{}", "must be a list"),
        ({"type": "array"}, "[" * 5000, "must be a list"),
        ({"type": "object"}, "[]", "must be an object"),
        ({"type": "object"}, "{", "must be an object"),
        ({"type": "file"}, "x", "must be a file"),
        ({"is_required": True}, None, "is required"),
        ({"is_required": True, "type": "number"}, "", "is required"),
    ],
)
def test_argument_that_does_not_fit_is_refused_by_name(
    values: dict[str, Any], given: JSONValue, fault: str
) -> None:
    with pytest.raises(ToolFailed, match=f"'a' {fault}") as caught:
        call(make_tool(echo, parameter(**values)), {"a": given})

    assert caught.value.error_type == "ToolParameterError"


def test_default_stands_in_and_a_select_takes_its_options() -> None:
    chosen = parameter(name="b", type="select", options=(("x", NAME),))
    tool = make_tool(echo, parameter(type="number", default=3), chosen, parameter(name="c"))

    assert call(tool, {"a": "", "b": "x", "c": None}).json == [{"a": 3, "b": "x"}]


def test_messages_are_gathered_by_kind() -> None:
    file = FileMessage("a.txt", "text/plain", b"x")

    def all_kinds(_arguments: JSONObject, _context: ToolContext) -> Iterator[ToolMessage]:
        yield TextMessage("Hello ")
        yield JSONMessage([1])
        yield file
        yield VariableMessage("n", 2)
        yield TextMessage("world")

    output = call(make_tool(all_kinds), {})

    assert (output.text, output.json, output.files) == ("Hello world", [[1]], [file])
    assert output.variables == {"n": 2}


def nested(depth: int) -> JSONValue:
    value: JSONValue = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "fault"),
    [(nested(101), "more than 100 deep"), (nested(5000), "more than 100 deep"), ([10**30], "cannot be kept")],
)
def test_json_that_cannot_be_kept_is_refused(value: JSONValue, fault: str) -> None:
    def tells(_arguments: JSONObject, _context: ToolContext) -> Iterator[ToolMessage]:
        yield VariableMessage("n", nested(100))
        yield JSONMessage(value)

    with pytest.raises(ToolFailed, match=fault):
        call(make_tool(tells), {})


def test_silent_server_ends_with_the_tools_time_and_not_before() -> None:
    with ScriptedServer(Reply(delay_s=40)) as server:
        began = time.monotonic()
        with pytest.raises(ToolFailed, match=r"The tool t gave no answer within 0.4 s") as caught:
            call(make_tool(fetch, parameter(), timeout_s=0.4), {"a": server.url}, timeout_s=60)
        took_s = time.monotonic() - began
        assert took_s >= 0.4
        assert_quick(took_s, 1.4)
    assert caught.value.error_type == "ToolTimeout"


def test_slow_server_is_waited_for_as_long_as_the_tool_has_time() -> None:
    with ScriptedServer(Reply(body=b"late", delay_s=0.6)) as server:  # longer than the client's own 0.3 s
        tool = make_tool(fetch, parameter(), timeout_s=30)
        assert call(tool, {"a": server.url}, http=make_http(patience_s=0.3)).text == "late"


def test_tool_that_never_ends_its_messages_is_ended() -> None:
    def endless(_arguments: JSONObject, _context: ToolContext) -> Iterator[ToolMessage]:
        while True:
            yield TextMessage("x")

    with pytest.raises(ToolFailed, match="no answer within"):
        call(make_tool(endless), {}, timeout_s=0.2)


def test_stop_ends_a_call_at_once() -> None:
    cancel = Cancel()
    with ScriptedServer(Reply(delay_s=20)) as server:
        timer = threading.Timer(0.2, cancel.set)
        timer.start()
        began = time.monotonic()
        with pytest.raises(Cancelled):
            call(make_tool(fetch, parameter()), {"a": server.url}, cancel=cancel)
        assert_quick(time.monotonic() - began, 0.7)
        timer.join()


def test_stop_of_code_is_a_stop_and_no_failure() -> None:
    cancel = Cancel()

    def stopped(_arguments: JSONObject, context: ToolContext) -> Iterator[ToolMessage]:
        cancel.set()
        assert context.cancel.is_set()
        raise CodeFailed("ended")

    with pytest.raises(Cancelled):
        call(make_tool(stopped), {}, cancel=cancel)


@pytest.mark.parametrize("failure", [InvalidRequest("no"), CodeFailed("no"), ToolFailed("no")])
def test_failures_are_all_of_one_kind(failure: Exception) -> None:
    def fails(_arguments: JSONObject, _context: ToolContext) -> Iterator[ToolMessage]:
        raise failure

    with pytest.raises(ToolFailed, match=r"^no$"):
        call(make_tool(fails), {})


def test_address_out_of_bounds_is_refused() -> None:
    with pytest.raises(ToolFailed, match=r"10\.1\.2\.3"):
        call(make_tool(fetch, parameter()), {"a": "http://10.1.2.3/"})


def test_pause_of_a_tool_ends_with_its_time() -> None:
    def sleeps(_arguments: JSONObject, context: ToolContext) -> Iterator[ToolMessage]:
        pause(30, context.cancel)
        yield TextMessage("x")

    with pytest.raises(ToolFailed, match=r"within 0\.2 s"):
        call(make_tool(sleeps), {}, timeout_s=0.2)
