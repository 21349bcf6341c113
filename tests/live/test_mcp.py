"""Servers of tools made with the protocol's own package, listed and called over both transports."""

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pytest

from api.core.ports import Cancel, JSONValue
from api.core.rag.waiting import within
from api.core.tools.calling import ToolOutput, call_tool
from api.core.tools.mcp.sessions import MCPSessions
from api.core.tools.mcp.tools import fetch_tools, to_schema, to_tool
from api.core.tools.tool import ToolFailed
from tests.conftest import answers
from tests.live.conftest import PATIENT, ROOT, START_TIMEOUT_S
from tests.mcp_double import see_off
from tests.ports import free_port
from tests.tools import make_context
from tests.waiting import wait_until

pytestmark = [
    PATIENT,
    pytest.mark.skipif(
        importlib.util.find_spec("mcp") is None, reason="this environment is older than requirements/dev.lock"
    ),
]


@pytest.fixture(scope="module")
def urls() -> Iterator[dict[str, str]]:
    """Where a server of either transport is."""
    ports = (free_port(), free_port())
    command = [sys.executable, "-m", "tests.live.mcp_server", *map(str, ports)]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    found = [f"http://127.0.0.1:{port}" for port in ports]
    try:
        wait_until(lambda: all(map(answers, found)), START_TIMEOUT_S)
        yield {"streamable": f"{found[0]}/mcp", "older": f"{found[1]}/sse"}
    finally:
        server.kill()
        server.wait(30.0)


@pytest.mark.parametrize("transport", ["streamable", "older"])
def test_tools_of_a_server_are_called(urls: dict[str, str], transport: str) -> None:
    sessions = MCPSessions()
    ask = partial(sessions.request, "key", read_timeout_s=60.0)
    context = make_context(credentials={"server_url": urls[transport], "headers": "{}"})
    with within(20.0, Cancel()) as cancel:
        told = {str(each["name"]): each for each in fetch_tools(ask, replace(context, cancel=cancel))}

    def call(name: str, timeout_s: float = 20.0, **given: JSONValue) -> ToolOutput:
        tool = to_tool(name, to_schema(told[name], timeout_s), ask)
        return call_tool(tool, given, context, timeout_s=60.0)

    try:
        assert list(told) == ["moor", "chart", "sink", "sail"]
        moored = call("moor", ships='[{"name": "Ada"}, {"name": "Eve"}]', berth="2")
        assert moored.json == [{"moored": "Ada, Eve at 2"}]
        assert [file.content for file in call("chart").files] == [b"\x89PNG\r\n\x1a\n"]
        with pytest.raises(ToolFailed, match="sink"):
            call("sink")
        assert call("sail", legs=2).text == "arrived"
        with pytest.raises(ToolFailed, match=r"no answer within 0\.5 s"):
            call("sail", 0.5, legs=300)
        assert call("sail", legs=1).text == "arrived"
    finally:
        sessions.close()
        see_off()
        context.http.close()
