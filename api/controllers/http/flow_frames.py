"""The events of workflows on the wire: what stands in ``data``, and what ``/api`` repeats beside it.

Wire: docs/wire/workflows.md#events.
"""

from collections.abc import Callable
from typing import Any

from api.core.events import (
    AgentLogged,
    Event,
    FormAsked,
    FormClosed,
    NodeFinished,
    NodeStarted,
    RoundStarted,
    RunFinished,
    RunHeader,
    RunPaused,
    RunStarted,
    TextChunk,
    TextReplaced,
)
from api.core.ports import JSONObject, JSONValue

CONTAINERS = ("iteration", "loop")
FLAT: dict[str, tuple[str, ...]] = {
    "node_started": ("node_id", "node_type", "title"),
    "node_finished": ("node_id", "node_type", "status", "outputs", "error"),
}
"""What the seed's dialect shows beside ``data`` as well."""
NODE_EVENTS = frozenset(
    {"node_started", "node_finished", "node_retry"}
    | {f"{kind}_{step}" for kind in CONTAINERS for step in ("started", "next", "completed")}
)
HIDDEN = (
    "inputs",
    "outputs",
    "process_data",
    "execution_metadata",
    "pre_iteration_output",
    "pre_loop_output",
)
"""What guests of an app's page do not see of its nodes."""


def flow_payload(
    event: Event, header: RunHeader, envelope: JSONObject, *, is_flat: bool
) -> JSONObject | None:
    """Return the JSON of a workflow's event; None for an event that is none."""
    write = WRITERS.get(type(event))
    if write is None:
        return None
    name, data = write(event, header)
    flat: JSONObject = {key: data[key] for key in FLAT.get(name, ())} if is_flat else {}
    return {"event": name, **envelope, "workflow_run_id": header.workflow_run_id, "data": data, **flat}


def hide_details(payload: JSONObject) -> JSONObject:
    """Return an event of a workflow as guests see it: without what goes into its nodes and comes out."""
    data = payload.get("data")
    if payload["event"] == "agent_log" and isinstance(data, dict):
        return {**payload, "data": {**data, "data": {}, "metadata": {}, "error": None}}
    if payload["event"] not in NODE_EVENTS or not isinstance(data, dict):
        return payload
    hidden: JSONObject = {key: None for key in HIDDEN if key in data}
    return {**payload, "data": {**data, **hidden}, **{key: None for key in HIDDEN if key in payload}}


def text_payload(event: TextChunk | TextReplaced, envelope: JSONObject, *, is_flat: bool) -> JSONObject:
    """Return the JSON of a workflow's text; chat apps have events of their own for it."""
    if isinstance(event, TextReplaced):
        return {"event": "text_replace", **envelope, "data": {"text": event.text}}
    selector = event.selector or ("", "")
    flat: JSONObject = {"node_id": selector[0], "text": event.text} if is_flat else {}
    data: JSONObject = {"text": event.text, "from_variable_selector": list(selector)}
    return {"event": "text_chunk", **envelope, "data": data, **flat}


def run_result(event: RunFinished | RunPaused, header: RunHeader) -> JSONObject:
    """Return what a blocking answer tells of a run that has ended, or waits."""
    return _paused_result(event, header) if isinstance(event, RunPaused) else _run_finished(event, header)[1]


def _paused_result(event: RunPaused, header: RunHeader) -> JSONObject:
    return {
        "id": header.workflow_run_id,
        "workflow_id": header.workflow_id,
        "status": "paused",
        "outputs": event.outputs,
        "error": None,
        "elapsed_time": event.elapsed_s,
        "total_tokens": event.total_tokens,
        "total_steps": event.total_steps,
        "created_at": event.created_at,
        "finished_at": None,
        "created_by": header.created_by,
        "exceptions_count": 0,
        "files": [],
    }


def _run_started(event: RunStarted, header: RunHeader) -> tuple[str, JSONObject]:
    return "workflow_started", {
        "id": header.workflow_run_id,
        "workflow_id": header.workflow_id,
        "inputs": event.inputs,
        "created_at": event.created_at,
        "reason": event.reason,
    }


def _node_started(event: NodeStarted, _header: RunHeader) -> tuple[str, JSONObject]:
    if event.length is not None:
        return f"{event.node_type}_started", {
            "id": event.node_id,
            "node_id": event.node_id,
            "node_type": event.node_type,
            "title": event.title,
            "created_at": event.created_at,
            "extras": {},
            "metadata": {f"{event.node_type}_length": event.length},
            "inputs": event.inputs,
            "inputs_truncated": False,
            **_places(event),
        }
    return "node_started", {
        "id": event.execution_id,
        "node_id": event.node_id,
        "node_type": event.node_type,
        "title": event.title,
        "index": event.index,
        "predecessor_node_id": event.predecessor,
        "inputs": None,
        "inputs_truncated": False,
        "created_at": event.created_at,
        "extras": {},
        **_places(event),
    }


def _node_finished(event: NodeFinished, _header: RunHeader) -> tuple[str, JSONObject]:
    is_container = event.node_type in CONTAINERS and event.status != "retry"
    data: JSONObject = {
        "id": event.node_id if is_container else event.execution_id,
        "node_id": event.node_id,
        "node_type": event.node_type,
        "title": event.title,
        "index": event.index,
        "predecessor_node_id": event.predecessor,
        "inputs": event.inputs,
        "inputs_truncated": False,
        "process_data": event.process_data,
        "process_data_truncated": False,
        "outputs": event.outputs,
        "outputs_truncated": False,
        "status": event.status,
        "error": event.error,
        "elapsed_time": event.elapsed_s,
        "execution_metadata": event.metadata,
        "created_at": event.created_at,
        "finished_at": event.finished_at,
        "files": _files(event.outputs),
        **_places(event),
    }
    if event.status == "retry":
        return "node_retry", {**data, "retry_index": event.retry_index}
    if is_container:
        tokens = event.metadata.get("total_tokens", 0)
        more: JSONObject = {"extras": {}, "steps": event.steps, "total_tokens": tokens}
        return f"{event.node_type}_completed", {**data, **more}
    return "node_finished", data


def _round_started(event: RoundStarted, _header: RunHeader) -> tuple[str, JSONObject]:
    data: JSONObject = {
        "id": event.node_id,
        "node_id": event.node_id,
        "node_type": event.node_type,
        "title": event.title,
        "index": event.index,
        "created_at": event.created_at,
        "extras": {},
    }
    if event.previous is not None:
        data["pre_loop_output"] = event.previous
    return f"{event.node_type}_next", data


def _agent_logged(event: AgentLogged, _header: RunHeader) -> tuple[str, JSONObject]:
    return "agent_log", {
        "node_execution_id": event.execution_id,
        "id": event.id,
        "label": event.label,
        "parent_id": event.parent_id,
        "error": event.error,
        "status": event.status,
        "data": event.told or {},
        "metadata": event.metadata or {},
        "node_id": event.node_id,
    }


def _form_asked(event: FormAsked, _header: RunHeader) -> tuple[str, JSONObject]:
    return "human_input_required", {
        "form_id": event.form_id,
        "form_token": event.token,
        "node_id": event.node_id,
        "node_title": event.title,
        "form_content": event.content,
        "inputs": list(event.fields),
        "actions": list(event.actions),
        "display_in_ui": True,
        "resolved_default_values": event.defaults,
        "expiration_time": event.expires_at,
    }


def _form_closed(event: FormClosed, _header: RunHeader) -> tuple[str, JSONObject]:
    told: JSONObject = {"node_id": event.node_id, "node_title": event.title}
    if event.action_id is None:
        return "human_input_form_timeout", {**told, "expiration_time": event.expires_at}
    return "human_input_form_filled", {
        **told,
        "action_id": event.action_id,
        "action_text": event.action_text,
        "rendered_content": event.content,
    }


def _run_paused(event: RunPaused, header: RunHeader) -> tuple[str, JSONObject]:
    return "workflow_paused", {
        "workflow_run_id": header.workflow_run_id,
        "status": "paused",
        "paused_nodes": list(event.node_ids),
        "reasons": [{"type": "human_input_required", "node_id": node_id} for node_id in event.node_ids],
        "outputs": event.outputs,
        "created_at": event.created_at,
        "elapsed_time": event.elapsed_s,
        "total_tokens": event.total_tokens,
        "total_steps": event.total_steps,
    }


def _run_finished(event: RunFinished, header: RunHeader) -> tuple[str, JSONObject]:
    return "workflow_finished", {
        "id": header.workflow_run_id,
        "workflow_id": header.workflow_id,
        "status": event.status,
        "outputs": event.outputs,
        "error": event.error,
        "elapsed_time": event.elapsed_s,
        "total_tokens": event.total_tokens,
        "total_steps": event.total_steps,
        "created_by": header.created_by,
        "created_at": event.created_at,
        "finished_at": event.finished_at,
        "exceptions_count": event.exceptions,
        "files": list(event.files),
    }


WRITERS: dict[type[Event], Callable[[Any, RunHeader], tuple[str, JSONObject]]] = {
    RunStarted: _run_started,
    NodeStarted: _node_started,
    NodeFinished: _node_finished,
    RoundStarted: _round_started,
    AgentLogged: _agent_logged,
    FormAsked: _form_asked,
    FormClosed: _form_closed,
    RunPaused: _run_paused,
    RunFinished: _run_finished,
}


def _places(event: NodeStarted | NodeFinished) -> JSONObject:
    """Return in which container a node runs, where it does."""
    named: JSONObject = {"iteration_id": event.iteration_id, "loop_id": event.loop_id}
    return {key: value for key, value in named.items() if value is not None}


def _files(outputs: JSONObject) -> list[JSONValue]:
    files = outputs.get("files")
    return files if isinstance(files, list) else []
