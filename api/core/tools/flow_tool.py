"""A workflow as a tool: its inputs are the arguments, its outputs text, JSON, files and variables."""

import json
from collections.abc import Iterator
from functools import partial

from api.core.ports import JSONObject
from api.core.tools.tool import (
    JSONMessage,
    KeptFileMessage,
    TextMessage,
    Tool,
    ToolContext,
    ToolMessage,
    ToolSchema,
    UsageMessage,
    VariableMessage,
)

RESERVED = frozenset({"text", "json", "files"})
"""Outputs that every tool has; a workflow's own of these names are in its JSON alone."""


def to_tool(schema: ToolSchema, app_id: str, workflow_id: str) -> Tool:
    """Return the tool that runs a published version of an app's workflow."""
    return Tool(schema, partial(_run, app_id, workflow_id))


def _run(app_id: str, workflow_id: str, arguments: JSONObject, context: ToolContext) -> Iterator[ToolMessage]:
    answer = context.flows.run(app_id, workflow_id, arguments, context.cancel)
    if answer.usage is not None:
        yield UsageMessage(answer.usage)
    yield TextMessage(json.dumps(answer.outputs, ensure_ascii=False))
    yield JSONMessage(answer.outputs)
    yield from (KeptFileMessage(file) for file in answer.files)
    for name, value in answer.outputs.items():
        if name not in RESERVED:
            yield VariableMessage(name, value)
