"""What the services of an app's external data tools say, asked when the app runs; no connection is held."""

from collections.abc import Mapping
from dataclasses import dataclass

from api.core.apps.config import ExternalDataTool
from api.core.apps.extension import Extension, Point
from api.core.apps.external_data import fill_in
from api.core.apps.moderation import Asked
from api.core.apps.prompting import to_text
from api.core.apps.spec import AppSpec
from api.core.ports import Cancel, JSONObject
from api.errors import ExtensionFailed
from api.runtime import Runtime
from api.services import api_extensions


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asking:
    """What an app is asked, for which services are asked."""

    runtime: Runtime
    app: AppSpec
    asked: Asked
    extensions: Mapping[str, Extension]

    def query(self, tool: ExternalDataTool, cancel: Cancel) -> str:
        """Return what a tool's service says. Raises ExtensionFailed, EgressDenied, Cancelled."""
        extension = self.extensions[tool.config.api_based_extension_id.lower()]
        params: JSONObject = {
            "app_id": self.app.id,
            "tool_variable": tool.variable,
            "inputs": self.asked.inputs,
            "query": self.asked.query,
        }
        said = api_extensions.consult(self.runtime, extension, Point.QUERY, params, cancel)
        if said.get("result") is None:
            raise ExtensionFailed(f"{extension.name!r} gave no result for {tool.variable!r}.")
        return to_text(said["result"]).replace("\0", "")


def filled(runtime: Runtime, app: AppSpec, asked: Asked, cancel: Cancel) -> JSONObject:
    """Return the values of an app's variables with those that services fill in."""
    config = app.configured()
    if not config.data_tools:
        return asked.inputs
    ids = [tool.config.api_based_extension_id for tool in config.data_tools]
    extensions = api_extensions.open_extensions(runtime, app.tenant_id, ids)
    asking = _Asking(runtime=runtime, app=app, asked=asked, extensions=extensions)
    return fill_in(config, asked.inputs, asking.query, cancel)
