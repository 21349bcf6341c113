"""One call of a tool: arguments read, time bounded, every failure told as one kind.

What must stay true: a call ends within a second of its time, with what the tool
gave or ToolFailed; within 300 ms of a stop, with Cancelled.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from api.core.http import Cancelled, HTTPFailure
from api.core.ports import Cancel, CodeFailed, JSONObject, JSONValue
from api.core.rag.waiting import within
from api.core.tools.arguments import read_arguments
from api.core.tools.tool import (
    FileMessage,
    JSONMessage,
    TextMessage,
    Tool,
    ToolContext,
    ToolFailed,
    ToolMessage,
    VariableMessage,
)
from api.errors import AppError


@dataclass(slots=True, kw_only=True)
class ToolOutput:
    """All that a tool gave: its text, its JSON values, its files and its own variables."""

    text: str = ""
    json: list[JSONValue] = field(default_factory=list)
    files: list[FileMessage] = field(default_factory=list)
    variables: JSONObject = field(default_factory=dict)


def call_tool(tool: Tool, given: JSONObject, context: ToolContext, *, timeout_s: float) -> ToolOutput:
    """Return what a tool gives for what it was given; its own time counts before ``timeout_s``.

    Raises ToolFailed, or Cancelled when ``context.cancel`` was set.
    """
    arguments = read_arguments(tool.schema.parameters, given)
    limit_s = timeout_s if tool.schema.timeout_s is None else tool.schema.timeout_s
    with within(limit_s, context.cancel) as cancel:
        late = ToolFailed(
            f"The tool {tool.schema.name} gave no answer within {limit_s:g} s.", error_type="ToolTimeout"
        )
        try:
            return _folded(tool.invoke(arguments, replace(context, cancel=cancel)), cancel, late)
        except ToolFailed as exc:
            raise _reason(exc, cancel, late) from exc
        except (HTTPFailure, CodeFailed, TimeoutError) as exc:
            raise _reason(ToolFailed(str(exc)), cancel, late) from exc
        except AppError as exc:
            raise _reason(ToolFailed(exc.message), cancel, late) from exc


def _folded(messages: Iterable[ToolMessage], cancel: Cancel, late: ToolFailed) -> ToolOutput:
    output = ToolOutput()
    pieces: list[str] = []
    for message in messages:
        match message:
            case TextMessage(text):
                pieces.append(text)
            case JSONMessage(value):
                output.json.append(value)
            case FileMessage():
                output.files.append(message)
            case VariableMessage(name, value):
                output.variables[name] = value
        if cancel.is_set():
            raise Cancelled
        if cancel.is_overdue():
            raise late
    output.text = "".join(pieces)
    return output


def _reason(failure: ToolFailed, cancel: Cancel, late: ToolFailed) -> Exception:
    """Return what ended a call: whatever fails once it is to end fails because of that."""
    if cancel.is_set():
        return Cancelled()
    return late if cancel.is_overdue() else failure
