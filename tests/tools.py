"""Calling tools in tests: with a sandbox that runs right here and files by name."""

from dataclasses import dataclass, field
from typing import Any

from api.core.egress import EgressPolicy
from api.core.http import HTTPClient, Timeouts
from api.core.ports import Cancel, JSONObject, JSONValue
from api.core.tools import builtin  # noqa: F401  # makes the built-in tools known
from api.core.tools.calling import ToolOutput, call_tool
from api.core.tools.provider import TOOL_PROVIDERS
from api.core.tools.tool import Tool, ToolContext, ToolFailed
from tests.flows import PlainSandbox
from tests.vendors import InlineOffload


@dataclass
class NamedFiles:
    """Files whose bytes are given by name."""

    contents: dict[str, bytes] = field(default_factory=dict)

    def read(self, file: JSONObject, cancel: Cancel) -> bytes:
        """Return the bytes."""
        assert not cancel.is_set()
        if str(file.get("filename")) not in self.contents:
            raise ToolFailed("The file is gone.")
        return self.contents[str(file["filename"])]


def make_http(allow: str = "127.0.0.1", *, patience_s: float = 20.0) -> HTTPClient:
    """Return a client that reaches this machine alone, and waits so long for each part of an answer."""
    timeouts = Timeouts(connect_s=20, first_byte_s=patience_s, idle_s=patience_s)
    return HTTPClient(EgressPolicy.parse(allow), timeouts)


def make_context(allow: str = "127.0.0.1", **values: Any) -> ToolContext:
    """Return what tools may use; calls go out to this machine alone."""
    made: dict[str, Any] = {
        "tenant_id": "t",
        "user": "u",
        "http": values.get("http") or make_http(allow),
        "sandbox": PlainSandbox(),
        "offload": InlineOffload(),
        "files": NamedFiles(),
        "cancel": Cancel(),
    }
    return ToolContext(**{**made, **values})


def call(tool: Tool, given: JSONObject, *, timeout_s: float = 30.0, **context: Any) -> ToolOutput:
    """Return what a tool gives."""
    made = make_context(**context)
    try:
        return call_tool(tool, given, made, timeout_s=timeout_s)
    finally:
        made.http.close()


def builtin_tool(provider: str, name: str) -> Tool:
    """Return a built-in tool."""
    return TOOL_PROVIDERS[provider].tools[name]


def use(provider: str, name: str, /, **given: JSONValue) -> ToolOutput:
    """Call a built-in tool."""
    return call(builtin_tool(provider, name), given)
