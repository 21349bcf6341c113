"""The tools that installed plugins bring, as the workspace's other tools are used."""

from sqlalchemy.orm import Session

from api.core.plugins.tools import to_provider
from api.core.tools.provider import ToolProvider
from api.models.plugin import PluginInstallation
from api.runtime import Runtime
from api.services.plugin_code import ICON_PATH, icon_name, installed_ids, load_code


def load_providers(runtime: Runtime, session: Session, tenant_id: str) -> list[ToolProvider]:
    """Return the providers of tools of all installed plugins of a workspace."""
    ids = session.scalars(installed_ids(tenant_id)).all()
    return [provider for row_id in ids for provider in _providers(runtime, session, row_id)]


def find_provider(
    runtime: Runtime, session: Session, tenant_id: str, provider_id: str
) -> ToolProvider | None:
    """Return the provider of an installed plugin by ``author/plugin/provider``, None where there is none."""
    plugin_id, _, name = provider_id.rpartition("/")
    if plugin_id.count("/") != 1 or not name or "\0" in provider_id:
        return None
    named = installed_ids(tenant_id).where(PluginInstallation.plugin_id == plugin_id)
    row_id = session.scalars(named).one_or_none()
    found = _providers(runtime, session, row_id) if row_id else []
    return next((each for each in found if each.schema.id == provider_id), None)


def _providers(runtime: Runtime, session: Session, row_id: str) -> list[ToolProvider]:
    key = ("plugin tools", row_id)
    known: list[ToolProvider] | None = runtime.memory.get(key)
    if known is None:
        installed = load_code(runtime, session, row_id)
        manifest, code = installed.manifest, installed.code
        name = icon_name(manifest, code.digest)
        icon = f"{ICON_PATH}?tenant_id={code.tenant_id}&filename={name}" if name else ""
        known = [
            to_provider(manifest, each, code, runtime.plugins, icon_path=icon) for each in manifest.providers
        ]
        runtime.memory.put(key, known)
    return known
