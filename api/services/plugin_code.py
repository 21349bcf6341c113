"""The code of a workspace's installed plugins: read once for each package, for one never changes."""

from dataclasses import dataclass
from functools import partial

import orjson
from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from api.core.plugins.manifest import Manifest
from api.core.plugins.runner import PluginCode
from api.models.plugin import PluginInstallation
from api.runtime import Runtime

ICON_PATH = "/console/api/workspaces/current/plugin/icon"


@dataclass(frozen=True, slots=True)
class InstalledCode:
    """A plugin's declarations, and how it is run."""

    manifest: Manifest
    code: PluginCode


def installed_ids(tenant_id: str) -> Select[str]:
    """Return the query of the rows of installed plugins, in the order of their names."""
    return (
        select(PluginInstallation.id)
        .where(PluginInstallation.tenant_id == tenant_id, PluginInstallation.is_installed)
        .order_by(PluginInstallation.plugin_id)
    )


def load_code(runtime: Runtime, session: Session, row_id: str) -> InstalledCode:
    """Return what a row's package declares, and how it is run; no statement where this process knows it."""
    key = ("plugin", row_id)
    known: InstalledCode | None = runtime.memory.get(key)
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
        known = InstalledCode(manifest, code)
        runtime.memory.put(key, known)
    return known


def icon_name(manifest: Manifest, digest: str) -> str:
    """Return what the picture of a package is called, empty where it has none."""
    extension = manifest.icon.rpartition(".")[2].lower()
    return f"{digest}.{extension}" if manifest.icon else ""


def _fetch(runtime: Runtime, storage_key: str) -> bytes:
    with runtime.storage.open(storage_key) as content:
        return content.read()
