"""Servers of tools: listed, called, in sessions that are shared, stopped, lost and closed."""

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import orjson
import pytest

from api.core.http import Cancelled, ConnectionBroken
from api.core.ports import Cancel, JSONObject, JSONValue
from api.core.rag.waiting import within
from api.core.tools.calling import ToolOutput, call_tool
from api.core.tools.mcp import sessions
from api.core.tools.mcp.messages import MCPFailed
from api.core.tools.mcp.sessions import MCPSessions
from api.core.tools.mcp.tools import fetch_tools, to_schema, to_tool
from api.core.tools.tool import Tool, ToolContext, ToolFailed
from tests.mcp_double import MANNERS, TOKEN, WEATHER, MCPDouble, see_off, serving, text
from tests.servers import Reply, ScriptedServer, Seen
from tests.tools import make_context
from tests.waiting import wait_until

EVERY = pytest.mark.parametrize("manner", MANNERS)
PNG = b"\x89PNG\r\n\x1a\n"


class Line:
    """A line to a server: its tools, called in the sessions of one pool."""

    def __init__(self, server: ScriptedServer, double: MCPDouble, headers: dict[str, str]) -> None:
        self.server = server
        fields = {"server_url": server.url + double.path, "headers": orjson.dumps(headers).decode()}
        self.context: ToolContext = make_context(credentials=fields)
        self.use(MCPSessions())

    def use(self, pool: MCPSessions) -> None:
        """Call in the sessions of a pool from now on."""
        self.sessions = pool
        self.ask = partial(pool.request, "key", read_timeout_s=60.0)

    def listed(self) -> list[dict[str, Any]]:
        """Ask for the tools."""
        with within(20.0, Cancel()) as cancel:
            return [dict(each) for each in fetch_tools(self.ask, replace(self.context, cancel=cancel))]

    def tool(self, name: str = "weather.now", timeout_s: float = 20.0) -> Tool:
        """Return a tool of the server."""
        return to_tool(name, to_schema({**WEATHER, "name": name}, timeout_s), self.ask)

    def call(
        self, name: str = "weather.now", *, cancel: Cancel | None = None, **given: JSONValue
    ) -> ToolOutput:
        """Call a tool."""
        context = replace(self.context, cancel=cancel or Cancel())
        return call_tool(self.tool(name), {"city": "Oslo", **given}, context, timeout_s=20.0)


@contextmanager
def line(double: MCPDouble, **headers: str) -> Iterator[Line]:
    """Serve, and give a line to the server."""
    with serving(double) as server:
        made = Line(server, double, headers)
        try:
            yield made
        finally:
            made.sessions.close()
            see_off()
            made.context.http.close()


@EVERY
def test_tools_are_listed_on_pages_and_called_in_one_session(manner: str) -> None:
    double = MCPDouble(manner, token=TOKEN)
    double.tools = [WEATHER, {"name": "second"}, {"title": "nameless"}]
    with line(double, Authorization=f"Bearer {TOKEN}") as to:
        listed = to.listed()
        given = [to.call(city=city) for city in ("Oslo", "Rome")]

    assert [each["name"] for each in listed] == ["weather.now", "second"]
    assert listed[0] == WEATHER
    assert [output.text for output in given] == ["Clear in Oslo.", "Clear in Rome."]
    assert given[1].json == [{"sky": "clear", "city": "Rome"}]
    assert double.opened == 1
    assert [message["method"] for message in double.heard if "method" in message][:2] == [
        "initialize",
        "notifications/initialized",
    ]
    if manner != "json":  # the server asked whether we are there
        assert {"jsonrpc": "2.0", "id": "theirs", "result": {}} in double.heard


def test_contents_of_every_kind_are_told() -> None:
    blob = base64.b64encode(PNG).decode()
    contents: list[dict[str, Any]] = [
        {"type": "text", "text": '{"n": 1}'},
        {"type": "image", "data": blob, "mimeType": "image/png"},
        {"type": "resource", "resource": {"uri": "http://[a/report%20x.bin?v=2", "blob": blob}},
        {"type": "resource", "resource": {"uri": "file:///b.txt", "text": "inside"}},
        {"type": "resource_link", "uri": "https://example.com/c"},
        {"type": "of-a-later-day"},
    ]
    double = MCPDouble("json")
    double.calls["weather.now"] = lambda given: {"content": contents[: int(given["city"])]}
    double.calls["alone"] = lambda _given: {"content": [], "structuredContent": {"x": "é"}}
    with line(double) as to:
        one, whole, alone = to.call(city="1"), to.call(city="9"), to.call("alone")

    assert (one.text, one.json) == ('{"n": 1}', [{"n": 1}])
    assert whole.text.splitlines() == ['{"n": 1}', "inside", "https://example.com/c"]
    assert [(file.name, file.mime_type, file.content) for file in whole.files] == [
        ("image.png", "image/png", PNG),
        ("report x.bin", "application/octet-stream", PNG),
    ]
    assert (alone.text, alone.json) == ('{"x": "é"}', [{"x": "é"}])


@EVERY
def test_lost_session_is_opened_anew_and_the_call_made_once(manner: str) -> None:
    double = MCPDouble(manner)
    with line(double) as to:
        to.call()
        if manner == "older":
            double.endpoint = "/messages?session=2"
        double.sessions.clear()
        assert to.call(city="Rome").text == "Clear in Rome."

    assert double.opened == 2
    made = [call["params"]["arguments"]["city"] for call in double.heard_of("tools/call")]
    assert made.count("Oslo") == 1
    assert made[-1] == "Rome"


def test_answer_is_given_though_the_server_keeps_its_stream_open() -> None:
    double = MCPDouble("events")
    double.stays_open = True
    with line(double) as to:
        assert to.call().text == "Clear in Oslo."
        assert to.server.wait_for_hangup(30.0)


@EVERY
def test_stop_ends_a_call_and_is_passed_on(manner: str) -> None:
    double, begun, go_on = MCPDouble(manner), threading.Event(), threading.Event()

    def wait(_given: dict[str, Any]) -> dict[str, Any]:
        begun.set()
        go_on.wait(30.0)
        return text("late")

    double.calls["slow"] = wait
    with line(double) as to:
        to.call()
        cancel = Cancel()

        def stop() -> None:
            begun.wait(30.0)
            cancel.set()

        threading.Thread(target=stop, daemon=True).start()
        with pytest.raises(Cancelled):
            to.call("slow", cancel=cancel)
        if manner != "older":  # the double's one thread of a connection is still in the call
            wait_until(lambda: bool(double.heard_of("notifications/cancelled")))
        go_on.set()
        wait_until(lambda: bool(double.heard_of("notifications/cancelled")))

    (told,) = double.heard_of("notifications/cancelled")
    assert told["params"]["requestId"] == double.heard_of("tools/call")[-1]["id"]


@EVERY
def test_slow_call_ends_with_the_tools_own_time(manner: str) -> None:
    double, go_on = MCPDouble(manner), threading.Event()
    double.calls["slow"] = lambda _given: text(str(go_on.wait(30.0)))
    with line(double) as to:
        to.call()
        with pytest.raises(ToolFailed, match=r"no answer within 0\.2 s") as caught:
            call_tool(to.tool("slow", 0.2), {"city": "x"}, to.context, timeout_s=60.0)
        go_on.set()

    assert caught.value.error_type == "ToolTimeout"


def test_calls_at_once_share_a_session_and_idle_ones_are_closed() -> None:
    double, barrier = MCPDouble("json"), threading.Barrier(4)

    def meet(_given: dict[str, Any]) -> dict[str, Any]:
        barrier.wait(30.0)
        return text("met")

    double.calls["meet"] = meet
    outputs: list[str] = []
    with line(double) as to:
        calls = [threading.Thread(target=lambda: outputs.append(to.call("meet").text)) for _ in range(4)]
        for each in calls:
            each.start()
        for each in calls:
            each.join(30.0)
        assert (outputs, double.opened) == (["met"] * 4, 1)
        to.sessions.close_idle()
        assert double.closed == []
        to.use(MCPSessions(keep_idle_s=0.0))
        assert to.call().text == "Clear in Oslo."
        to.sessions.close_idle()
        wait_until(lambda: double.closed == ["session-2"])
        assert to.call().text == "Clear in Oslo."
    assert double.opened == 3


def test_session_that_was_idle_longest_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MAX_SESSIONS", 2)
    double = MCPDouble("json")
    with line(double) as to:
        for key in ("a", "b", "a", "c", "a", "b"):
            to.ask = partial(to.sessions.request, key, read_timeout_s=60.0)
            to.call()
        wait_until(lambda: len(double.closed) == 2)
        assert (sorted(double.closed), double.opened) == (["session-2", "session-3"], 4)


def test_whoever_waits_for_a_session_to_be_opened_can_be_stopped_and_has_its_time() -> None:
    double, asked, go_on = MCPDouble("json"), threading.Event(), threading.Event()
    answer = double.answer

    def slowly(seen: Seen) -> Reply:
        asked.set()
        go_on.wait(30.0)
        return answer(seen)

    with line(double) as to:
        to.server.then(slowly)
        outputs: list[str] = []
        first = threading.Thread(target=lambda: outputs.append(to.call().text))
        first.start()
        assert asked.wait(30.0)
        stopped = Cancel()
        stopped.set()
        with pytest.raises(Cancelled):
            to.call(cancel=stopped)
        with pytest.raises(ToolFailed, match=r"within 0\.1 s"):
            call_tool(to.tool(timeout_s=0.1), {"city": "x"}, to.context, timeout_s=60.0)
        go_on.set()
        first.join(30.0)
    assert (outputs, double.opened) == (["Clear in Oslo."], 1)


@EVERY
def test_answer_of_any_length_is_bounded(manner: str) -> None:
    double = MCPDouble(manner)
    double.calls["long"] = lambda _given: text("x" * 5000)
    with line(double) as to:
        to.context = replace(to.context, max_file_bytes=2000)
        with pytest.raises(ToolFailed, match="more than 4000 bytes"):
            to.call("long")
        assert to.call().text == "Clear in Oslo."


def test_stream_that_ends_fails_its_call_and_the_next_opens_another() -> None:
    double = MCPDouble("older")

    def leave(_given: dict[str, Any]) -> dict[str, Any]:
        double.hang_up()
        return text("never")

    double.calls["leave"] = leave
    with line(double) as to:
        with pytest.raises(ToolFailed) as caught:
            to.call("leave")
        assert isinstance(caught.value.__cause__, ConnectionBroken | MCPFailed)
        assert to.call().text == "Clear in Oslo."
    assert (double.opened, len(double.heard_of("tools/call"))) == (2, 2)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("broken", "it broke for [hidden]"),
        ("silent", "does not say why"),
        ("none", "no such thing; you are [hidden]"),
        ("no-file", "a file that cannot be read"),
        ("large", "more than 1048576 bytes"),
        ("odd", "is no result"),
    ],
)
def test_failures_are_told_without_keys(name: str, fault: str) -> None:
    double = MCPDouble("events", token=TOKEN)
    double.calls |= {
        "broken": lambda _given: text(f"it broke for {TOKEN}", isError=True),
        "silent": lambda _given: {"content": [], "isError": True},
        "no-file": lambda _given: {"content": [{"type": "image", "data": "#"}]},
        "large": lambda _given: text("x" * 1_048_577),
        "odd": lambda _given: [1],  # type: ignore[dict-item, return-value]  # what no server should say
    }
    with line(double, Authorization=f"Bearer {TOKEN}") as to, pytest.raises(ToolFailed) as caught:
        to.call(name)

    assert fault in caught.value.message
    assert TOKEN not in str(caught.value)


def test_server_that_is_none_is_told() -> None:
    stranger, older, future = MCPDouble(token=TOKEN), MCPDouble("older"), MCPDouble()
    older.endpoint = "http://127.0.0.1:1/messages"
    nowhere = MCPDouble("older")
    nowhere.endpoint = "http://[::1"
    future.version = "2099-01-01"
    for double, fault in (
        (stranger, "lets nobody in"),
        (older, "to another one, which is not followed"),
        (nowhere, "no address"),
        (future, "version '2099-01-01'"),
    ):
        with line(double) as to, pytest.raises(MCPFailed, match=fault):
            to.listed()


def test_headers_do_not_follow_to_another_server() -> None:
    double = MCPDouble("older")

    def elsewhere(seen: Seen) -> Reply:
        return Reply(status=405) if seen.method == "POST" else Reply(status=307, headers={"Location": there})

    with serving(double) as other, line(double, Authorization=f"Bearer {TOKEN}") as to:
        there = f"{other.url}/sse"
        to.server.then(elsewhere)
        with pytest.raises(MCPFailed, match="to another one"):
            to.listed()

    assert [(seen.method, "authorization" in seen.headers) for seen in other.seen] == [("GET", False)]


def test_lists_without_end_are_refused() -> None:
    endless, wordy = MCPDouble("json"), MCPDouble("json")
    endless.tools = [WEATHER] * 101
    wordy.tools = [{**WEATHER, "description": "x" * 3_000_000}] * 2
    for double, fault in ((endless, "100 pages"), (wordy, "5 MB")):
        with line(double) as to, pytest.raises(MCPFailed, match=fault):
            to.listed()


def test_answer_that_is_nested_too_deep_is_told() -> None:
    deep = orjson.loads('{"a":' * 1000 + "1" + "}" * 1000)
    answer: JSONObject = {"content": [], "structuredContent": deep}
    tool = to_tool("t", to_schema(WEATHER, 5.0), lambda *_asked: answer)
    server = make_context(credentials={"server_url": "http://127.0.0.1"})

    with pytest.raises(ToolFailed, match="nested more than 100 deep"):
        call_tool(tool, {"city": "x"}, server, timeout_s=5.0)


def test_schema_of_a_tool_becomes_parameters() -> None:
    city: dict[str, Any] = {"type": "object", "properties": {"name": {"type": "string"}}}
    properties: dict[str, Any] = {
        "q": {"type": ["string", "null"], "description": "What."},
        "n": {"type": "integer", "minimum": 1, "default": 3},
        "unit": {"enum": ["C", "F"]},
        "on": {"type": "boolean"},
        "cities": {"type": "array", "items": {"$ref": "#/$defs/City"}},
        "maybe": {"anyOf": [{"$ref": "#/$defs/City"}, {"type": "null"}]},
        "lost": {"$ref": "#/$defs/None"},
        "bytes": {"type": "string", "format": "binary"},
    }
    schema: dict[str, Any] = {
        "type": "object",
        "properties": properties,
        "required": ["q"],
        "$defs": {"City": city},
    }
    told = to_schema({"name": "a.b/c d", "inputSchema": schema}, 5.0)

    found = {each.name: each for each in told.parameters}
    assert (told.name, told.label.en, told.timeout_s) == ("a_b_c_d", "a.b/c d", 5.0)
    assert {name: each.type for name, each in found.items()} == {
        "q": "string",
        "n": "number",
        "unit": "select",
        "on": "boolean",
        "cities": "array",
        "maybe": "object",
        "lost": "object",
        "bytes": "string",
    }
    assert [name for name, each in found.items() if each.is_required] == ["q"]
    assert (found["n"].default, found["n"].minimum, found["q"].llm_description) == (3, 1, "What.")
    assert found["cities"].schema == {**properties["cities"], "$defs": {"City": city}}
    assert to_schema({"name": "bare"}, 5.0).parameters == ()
