"""What a plugin in Python is written with: ``from slipway_plugin import Call, ToolFailed, serve``.

Handed to every plugin by the program that runs it (child.py beside this file);
needs only the standard library, and nothing of the server. It speaks the lines
of docs/adr/0010-plugins-are-processes.md, which a plugin may also write by itself.
"""

import base64
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Blob", "Call", "ToolFailed", "serve"]


class ToolFailed(Exception):
    """A tool could not do its work; the sentence is for whoever called it."""


@dataclass(frozen=True)
class Call:
    """One call of a tool: its arguments, and the credentials of its provider."""

    arguments: dict[str, Any]
    credentials: dict[str, str] = field(repr=False)
    user: str = ""


@dataclass(frozen=True)
class Blob:
    """A file that a tool gives."""

    name: str
    mime_type: str
    content: bytes


Tool = Callable[[Call], Iterable[Any]]
"""Gives texts (str), values (dict, list, numbers) and files (Blob), in the order in which they are sent."""
Check = Callable[[Mapping[str, str]], None]
"""Proves credentials, or raises ToolFailed."""


def serve(tools: Mapping[str, Tool], check: Check | None = None) -> None:
    """Answer calls until there are no more; ``tools`` by their names, or ``provider/name``."""
    output = sys.stdout
    sys.stdout = sys.stderr  # what a plugin prints is no answer
    for line in sys.stdin:
        asked = json.loads(line)
        if asked.get("event") != "request":
            continue
        session, data = asked["session_id"], asked["data"]

        def send(kind: str, value: object, session_id: str = session) -> None:
            told = {"event": "session", "session_id": session_id, "data": {"type": kind, "data": value}}
            output.write(json.dumps(told, ensure_ascii=False) + "\n")
            output.flush()

        try:
            for message in _answer(data, tools, check):
                send("stream", message)
        except ToolFailed as exc:
            send("error", {"error_type": "ToolFailed", "message": str(exc)})
        except Exception as exc:  # noqa: BLE001  # one call's failure is not the next one's
            send("error", {"error_type": type(exc).__name__, "message": f"{type(exc).__name__}: {exc}"})
        else:
            send("end", {})


def _answer(data: Mapping[str, Any], tools: Mapping[str, Tool], check: Check | None) -> Iterable[object]:
    if data["action"] == "validate_tool_credentials":
        if check is not None:
            check(data["credentials"])
        return
    tool = tools.get(f"{data['provider']}/{data['tool']}") or tools.get(data["tool"])
    if tool is None:
        raise ToolFailed(f"The plugin has no tool {data['tool']!r}.")
    call = Call(data["tool_parameters"], data["credentials"], data.get("user_id", ""))
    for given in tool(call):
        yield _message(given)


def _message(given: object) -> dict[str, object]:
    if isinstance(given, str):
        return {"type": "text", "message": {"text": given}}
    if isinstance(given, Blob):
        content = base64.b64encode(given.content).decode()
        return {
            "type": "blob",
            "message": {"blob": content},
            "meta": {"mime_type": given.mime_type, "filename": given.name},
        }
    return {"type": "json", "message": {"json_object": given}}
