"""The tools that installed plugins bring, as the workspace's other tools are used."""

from functools import partial

import orjson
from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from api.core.plugins.manifest import Manifest
from api.core.plugins.runner import PluginCode
from api.core.plugins.tools import to_provider
from api.core.tools.provider import ToolProvider
from api.models.plugin import PluginInstallation
from api.runtime import Runtime

ICON_PATH = "/console/api/workspaces/current/plugin/icon"


def load_providers(runtime: Runtime, session: Session, tenant_id: str) -> list[ToolProvider]:
    """Return the providers of tools of all installed plugins of a workspace."""
    ids = session.scalars(_installed(tenant_id)).all()
    return [provider for row_id in ids for provider in _providers(runtime, session, row_id)]


def find_provider(
    runtime: Runtime, session: Session, tenant_id: str, provider_id: str
) -> ToolProvider | None:
    """Return the provider of an installed plugin by ``author/plugin/provider``, None where there is none."""
    plugin_id, _, name = provider_id.rpartition("/")
    if plugin_id.count("/") != 1 or not name or "\0" in provider_id:
        return None
    row = session.execute(
        _installed(tenant_id).where(PluginInstallation.plugin_id == plugin_id)
    ).one_or_none()
    found = _providers(runtime, session, *row) if row else []
    return next((each for each in found if each.schema.id == provider_id), None)


def _installed(tenant_id: str) -> Select[str]:
    return (
        select(PluginInstallation.id)
        .where(PluginInstallation.tenant_id == tenant_id, PluginInstallation.is_installed)
        .order_by(PluginInstallation.plugin_id)
    )


def _providers(runtime: Runtime, session: Session, row_id: str) -> list[ToolProvider]:
    """Return what a package declares; it is read once, for a package never changes."""
    key = ("plugin", row_id)
    known: list[ToolProvider] | None = runtime.memory.get(key)
    if known is None:
        row = session.get_one(PluginInstallation, row_id)
        manifest = Manifest.from_row(orjson.loads(row.manifest))
        code = PluginCode(
            tenant_id=row.tenant_id,
            digest=row.digest,
            entrypoint=manifest.meta.runner.entrypoint,
            memory_bytes=manifest.resource.memory,
            fetch=partial(_fetch, runtime, row.storage_key),
        )
        icon = f"{ICON_PATH}?tenant_id={row.tenant_id}&filename={icon_name(manifest, row.digest)}"
        known = [
            to_provider(manifest, each, code, runtime.plugins, icon_path=icon if manifest.icon else "")
            for each in manifest.providers
        ]
        runtime.memory.put(key, known)
    return known


def icon_name(manifest: Manifest, digest: str) -> str:
    """Return what the picture of a package is called, empty where it has none."""
    extension = manifest.icon.rpartition(".")[2].lower()
    return f"{digest}.{extension}" if manifest.icon else ""


def _fetch(runtime: Runtime, storage_key: str) -> bytes:
    with runtime.storage.open(storage_key) as content:
        return content.read()
