"""The icons of an agent's tools, by the tools' names."""

from collections.abc import Mapping
from typing import cast

import orjson
from sqlalchemy.orm import Session

from api.core.agent.wanted import WantedTool, read_wanted
from api.core.apps.spec import AppMode, AppSpec
from api.core.ports import JSONObject, JSONValue
from api.core.tools.provider import TOOL_PROVIDERS, short_id
from api.models.tool import ToolProvider
from api.services import tool_calls
from api.services.tool_calls import ToolRef

BUILTIN_ICON = "/console/api/workspaces/current/tool-provider/builtin/{provider}/icon"


def builtin_icon(base_url: str, provider: str) -> str:
    """Return the address of a built-in provider's icon, which is open to all."""
    return f"{base_url}{BUILTIN_ICON.format(provider=provider)}"


def tool_icons(session: Session, app: AppSpec, base_url: str) -> JSONObject:
    """Return the icons of an agent's tools that are there; none for an app of another mode."""
    if app.mode is not AppMode.AGENT_CHAT or app.config is None:
        return {}
    read = (read_wanted(tool.model_dump()) for tool in app.config.agent_mode.tools)
    wanted = [one for one in read if one is not None]
    own = tool_calls.own_providers(session, app.tenant_id, [_to_ref(one) for one in wanted])
    found = {one.name: _icon(one, own, base_url) for one in wanted}
    return {name: icon for name, icon in found.items() if icon is not None}


def _icon(wanted: WantedTool, own: Mapping[ToolRef, ToolProvider], base_url: str) -> JSONValue:
    if wanted.kind in tool_calls.BUILTIN:
        provider = short_id(wanted.provider)
        return builtin_icon(base_url, provider) if provider in TOOL_PROVIDERS else None
    row = own.get(_to_ref(wanted))
    return None if row is None else cast("JSONObject", orjson.loads(row.details)).get("icon")


def _to_ref(wanted: WantedTool) -> ToolRef:
    return ToolRef(
        kind=wanted.kind, provider=wanted.provider, name=wanted.name, provider_name=wanted.provider_name
    )
