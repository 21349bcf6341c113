"""One call of a tool: arguments read, time bounded, every failure told as one kind.

What must stay true: a call ends within a second of its time, with what the tool
gave or ToolFailed; within 300 ms of a stop, with Cancelled.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import orjson

from api import traces
from api.core.http import Cancelled, HTTPFailure
from api.core.model_runtime.types import Usage
from api.core.ports import Cancel, CodeFailed, JSONObject, JSONValue
from api.core.rag.waiting import within
from api.core.text.found_json import MAX_DEPTH, is_deep
from api.core.tools.arguments import read_arguments
from api.core.tools.tool import (
    FileMessage,
    JSONMessage,
    KeptFileMessage,
    TextMessage,
    Tool,
    ToolContext,
    ToolFailed,
    ToolMessage,
    UsageMessage,
    VariableMessage,
)
from api.errors import AppError


@dataclass(slots=True, kw_only=True)
class ToolOutput:
    """All that a tool gave: its text, its JSON values, its files and its own variables.

    ``kept_files`` are files as variables hold them, ``usage`` is what it used of models.
    """

    text: str = ""
    json: list[JSONValue] = field(default_factory=list)
    files: list[FileMessage] = field(default_factory=list)
    kept_files: list[JSONObject] = field(default_factory=list)
    variables: JSONObject = field(default_factory=dict)
    usage: Usage | None = None


def call_tool(tool: Tool, given: JSONObject, context: ToolContext, *, timeout_s: float) -> ToolOutput:
    """Return what a tool gives for what it was given; its own time counts before ``timeout_s``.

    Raises ToolFailed, or Cancelled when ``context.cancel`` was set.
    """
    facts = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": tool.schema.name}
    with traces.span(f"execute_tool {tool.schema.name}", facts):
        return _called(tool, read_arguments(tool.schema.parameters, given), context, timeout_s)


def _called(tool: Tool, arguments: JSONObject, context: ToolContext, timeout_s: float) -> ToolOutput:
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
                pieces.append(text.replace("\0", ""))
            case JSONMessage(value):
                output.json.append(_checked(value))
            case FileMessage():
                output.files.append(message)
            case KeptFileMessage(value):
                output.kept_files.append(value)
            case VariableMessage(name, value):
                output.variables[name] = _checked(value)
            case UsageMessage(usage):
                output.usage = usage if output.usage is None else output.usage.plus(usage)
        if cancel.is_set():
            raise Cancelled
        if cancel.is_overdue():
            raise late
    output.text = "".join(pieces)
    return output


def _checked(value: JSONValue) -> JSONValue:
    """Return a value that can be kept and sent on. Raises ToolFailed for any other."""
    if is_deep(value):
        raise ToolFailed(f"The tool gave JSON that is nested more than {MAX_DEPTH} deep.")
    try:
        orjson.dumps(value)
    except TypeError as exc:
        raise ToolFailed(f"The tool gave JSON that cannot be kept: {exc}.") from exc
    return value


def _reason(failure: ToolFailed, cancel: Cancel, late: ToolFailed) -> Exception:
    """Return what ended a call: whatever fails once it is to end fails because of that."""
    if cancel.is_set():
        return Cancelled()
    return late if cancel.is_overdue() else failure
