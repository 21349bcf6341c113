"""Which tools an agent is to have, as apps and the nodes of workflows name them. Pure.

Both have been written in several forms over the years; all of them are read.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from api.core.ports import JSONObject, JSONValue

BY_NAME = {
    "current_datetime": ("time", "current_time"),
    "web_reader": ("webscraper", "webscraper"),
}
"""Tools of old configurations, which had one key each, as they are known now."""
DRAWN = ("constant", "mixed", "variable")


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedTool:
    """A tool by its provider and its name. ``fixed`` are arguments its author has set."""

    kind: str
    provider: str
    name: str
    provider_name: str = ""
    credential_id: str | None = None
    description: str = ""
    fixed: JSONObject = field(default_factory=dict)


def read_wanted(raw: Mapping[str, JSONValue]) -> WantedTool | None:
    """Return the tool an entry names; None for one that is off, a dataset, or not known any more."""
    for old, (provider, name) in BY_NAME.items():
        switch = raw.get(old)
        if isinstance(switch, dict):
            return WantedTool(kind="builtin", provider=provider, name=name) if switch.get("enabled") else None
    name = _text(raw, "tool_name")
    if raw.get("enabled") is False or not name:
        return None
    provider_name = _text(raw, "provider_name")
    return WantedTool(
        kind=_text(raw, "provider_type") or _text(raw, "type") or "builtin",
        provider=_text(raw, "provider_id") or provider_name or _text(raw, "provider"),
        name=name,
        provider_name=provider_name,
        credential_id=_text(raw, "credential_id") or None,
        description=_text(_object(raw.get("extra")), "description"),
        fixed=_fixed(raw),
    )


def _fixed(raw: Mapping[str, JSONValue]) -> JSONObject:
    """Return what the author has set; what is empty is the model's to fill in, or has its default."""
    given = [_object(raw.get(key)) for key in ("tool_parameters", "parameters", "settings")]
    values = {name: _set_value(value) for each in given for name, value in each.items()}
    return {name: value for name, value in values.items() if value not in (None, "")}


def _set_value(value: JSONValue) -> JSONValue:
    """Return a value without the words around it; None where the model is to choose it."""
    if isinstance(value, dict) and "auto" in value:
        return None if value["auto"] else _set_value(value.get("value"))
    if isinstance(value, dict) and "value" in value and value.get("type", "constant") in DRAWN:
        return _set_value(value["value"])
    return value


def _object(value: JSONValue) -> JSONObject:
    return value if isinstance(value, dict) else {}


def _text(raw: Mapping[str, JSONValue], key: str) -> str:
    value = raw.get(key)
    return value if isinstance(value, str) else ""
