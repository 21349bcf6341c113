"""What a plugin's package holds for people to look at: its picture, other pictures, and what to read first.

Boundary: shows files of packages, runs nothing. What must stay true: only
pictures are given out as they are, and whoever shows them keeps them from acting.
"""

from dataclasses import dataclass, field

import orjson
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.core.model_runtime.provider import PROVIDERS, short_id
from api.core.plugins.declarations import BadPackage
from api.core.plugins.manifest import Manifest
from api.core.plugins.package import ICON_TYPES, read_file, to_name
from api.core.ports import Cancel
from api.core.rag.waiting import within
from api.errors import InvalidRequest, NotFound, Unavailable
from api.models.plugin import PluginInstallation
from api.principal import Principal
from api.runtime import Runtime
from api.services.access import is_id

FETCH_S = 30.0
READ_S = 30.0
ASSETS = "_assets"
SVG = ICON_TYPES["svg"]


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture, as it is sent."""

    mime_type: str
    content: bytes = field(repr=False)


def get_icon(runtime: Runtime, tenant_id: str, file_name: str) -> Picture:
    """Return a plugin's picture by its name, which holds the hash of its package. Raises NotFound."""
    digest, _, extension = file_name.partition(".")
    if not is_id(tenant_id) or extension not in ICON_TYPES or not digest.isalnum():
        raise NotFound("There is no such picture.")
    with runtime.reading() as session:
        icon = session.scalar(
            select(PluginInstallation.icon).where(
                PluginInstallation.tenant_id == tenant_id.lower(), PluginInstallation.digest == digest
            )
        )
    content = icon or runtime.plugin_index.icon(digest)
    if not content:
        raise NotFound("There is no such picture.")
    return Picture(ICON_TYPES[extension], content)


def get_provider_icon(runtime: Runtime, tenant_id: str, provider: str) -> Picture:
    """Return a model provider's picture: its own, or that of its plugin. Raises NotFound."""
    known = PROVIDERS.get(short_id(provider))
    if known is not None:
        return Picture(f"{SVG}; charset=utf-8", known.schema.icon_svg.encode())
    row = None
    if is_id(tenant_id) and "\0" not in provider:
        with runtime.reading() as session:
            row = session.execute(
                select(PluginInstallation.manifest, PluginInstallation.icon).where(
                    PluginInstallation.tenant_id == tenant_id.lower(),
                    PluginInstallation.plugin_id == provider.rpartition("/")[0],
                    PluginInstallation.is_installed,
                )
            ).one_or_none()
    if row is None or not row.icon:
        raise NotFound(f"There is no picture of a model provider {provider[:100]!r}.")
    manifest = Manifest.from_row(orjson.loads(row.manifest))
    return Picture(ICON_TYPES[manifest.icon.rpartition(".")[2].lower()], row.icon)


def get_asset(runtime: Runtime, principal: Principal, identifier: str, file_name: str) -> Picture:
    """Return a picture of a package's ``_assets``. Raises NotFound, InvalidRequest, Unavailable."""
    mime_type = ICON_TYPES.get(file_name.rpartition(".")[2].lower())
    content = _read(runtime, principal, identifier, [f"{ASSETS}/{file_name}"]) if mime_type else None
    if mime_type is None or content is None:
        raise NotFound("The plugin has no such picture.")
    return Picture(mime_type, content)


def get_readme(runtime: Runtime, principal: Principal, identifier: str, language: str) -> str:
    """Return what a package tells people to read, in a language where it can; empty where it has nothing.

    Raises NotFound, InvalidRequest, Unavailable.
    """
    places = [f"readme/README_{language}.md"] if language.isidentifier() else []
    content = _read(runtime, principal, identifier, [*places, "README.md"])
    return (content or b"").decode("utf-8", "replace").replace("\0", "")


def _read(runtime: Runtime, principal: Principal, identifier: str, paths: list[str]) -> bytes | None:
    """Return the first of some files that a package has, one of the workspace's own or of the index."""
    package = _package(runtime, principal, identifier)
    try:
        for path in paths:
            found = runtime.offload.call(read_file, package, path, timeout_s=READ_S)
            if found is not None:
                return found
    except TimeoutError as exc:
        raise Unavailable("The package could not be read in time; try again.") from exc
    return None


def _package(runtime: Runtime, principal: Principal, identifier: str) -> bytes:
    if to_name(identifier) is None:
        raise InvalidRequest(
            "plugin_unique_identifier must have the form author/name:version@sha256",
            field="plugin_unique_identifier",
            fault="invalid_format",
        )
    with runtime.reading() as session:
        key = _storage_key(session, principal, identifier)
    if key is not None:
        with runtime.storage.open(key) as stored:
            return stored.read()
    with within(FETCH_S, Cancel()) as cancel:
        try:
            package, _ = runtime.plugin_index.fetch(identifier, cancel)
        except BadPackage as exc:
            raise NotFound("There is no such plugin here.") from exc
    return package.content


def _storage_key(session: Session, principal: Principal, identifier: str) -> str | None:
    row = session.scalars(
        select(PluginInstallation).where(
            PluginInstallation.tenant_id == principal.tenant_id, PluginInstallation.identifier == identifier
        )
    ).one_or_none()
    return None if row is None else row.storage_key
