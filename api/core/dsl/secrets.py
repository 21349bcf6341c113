"""What must not leave with a file, nor come with one: credentials and things of one workspace.

Everything here returns new JSON and leaves what it is given as it is.
"""

from collections.abc import Callable
from copy import deepcopy

from api.core.ports import JSONObject, JSONValue
from api.core.workflow.templates import references

Rename = Callable[[str], str | None]
"""Returns what a dataset is called on the other side; None where it is not known there."""

NEW_SCHEDULE: JSONObject = {
    "mode": "visual",
    "frequency": "daily",
    "cron_expression": "",
    "visual_config": {"time": "12:00 AM", "on_minute": 0, "weekdays": ["sun"], "monthly_days": [1]},
}


def bare_graph(graph: JSONObject, rename: Rename, *, has_secrets: bool = False) -> JSONObject:
    """Return a graph without what belongs to its workspace.

    Datasets get another name or go. Addresses and subscriptions of triggers go
    and schedules begin anew. Credentials go unless they are wanted: those of
    tools, and keys written into HTTP nodes as they are.
    """
    bare = deepcopy(graph)
    for data in node_data(bare):
        _localize(data, rename)
        if not has_secrets:
            _strip(data)
    return bare


def bare_config(config: JSONObject, rename: Rename, *, has_secrets: bool = False) -> JSONObject:
    """Return the configuration of a chat, completion or agent app without what belongs to its workspace."""
    bare = deepcopy(config)
    for key in ("created_by", "created_at", "updated_by", "updated_at", "annotation_reply"):
        bare.pop(key, None)
    named = _object(_object(bare.get("dataset_configs")).get("datasets"))
    if isinstance(named.get("datasets"), list):
        named["datasets"] = _renamed(named["datasets"], rename)
    agent = _object(bare.get("agent_mode"))
    if isinstance(agent.get("tools"), list):
        agent["tools"] = _renamed(agent["tools"], rename)
        if not has_secrets:
            _drop_credentials(agent["tools"])
    return bare


def node_data(graph: JSONObject) -> list[JSONObject]:
    """Return the data of the nodes of a graph."""
    nodes = graph.get("nodes")
    return [
        data
        for item in (nodes if isinstance(nodes, list) else [])
        if isinstance(item, dict) and isinstance(data := item.get("data"), dict)
    ]


def _localize(data: JSONObject, rename: Rename) -> None:
    match data.get("type"):
        case "knowledge-retrieval":
            ids = data.get("dataset_ids")
            known = [rename(str(item)) for item in ids] if isinstance(ids, list) else []
            data["dataset_ids"] = [item for item in known if item is not None]
        case "trigger-schedule":
            data |= deepcopy(NEW_SCHEDULE)
        case "trigger-webhook":
            data |= {"webhook_url": "", "webhook_debug_url": ""}
        case "trigger-plugin":
            data["subscription_id"] = ""


def _strip(data: JSONObject) -> None:
    data.pop("credential_id", None)
    if data.get("type") == "agent":
        _drop_credentials(data.get("agent_parameters"))
    if data.get("type") == "http-request":
        settings = _object(_object(data.get("authorization")).get("config"))
        key = settings.get("api_key")
        if isinstance(key, str) and not references(key):
            settings["api_key"] = ""


def _drop_credentials(value: JSONValue) -> None:
    """Take ``credential_id`` out of a value, at any depth."""
    waiting = [value]
    while waiting:
        match waiting.pop():
            case dict() as found:
                found.pop("credential_id", None)
                waiting += found.values()
            case list() as found:
                waiting += found


def _renamed(items: JSONValue, rename: Rename) -> list[JSONValue]:
    """Return items whose datasets have another name; those whose dataset is not known are left out."""
    kept: list[JSONValue] = []
    for item in items if isinstance(items, list) else []:
        if not isinstance(item, dict) or not isinstance(dataset := item.get("dataset"), dict):
            kept.append(item)
        elif (known := rename(str(dataset.get("id")))) is not None:
            kept.append({**item, "dataset": {**dataset, "id": known}})
    return kept


def _object(value: JSONValue) -> JSONObject:
    return value if isinstance(value, dict) else {}
