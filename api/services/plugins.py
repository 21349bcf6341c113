"""Plugins of a workspace: what may be installed, and installing, changing and removing it.

Packages come from the operator's index or from an upload. They are read and
stored while no connection is held; the row that knows of one is written last,
so that a row without a package cannot be. What must stay true: a workspace
installs only what the index lists, or what was uploaded to it.
"""

import io
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import orjson
from sqlalchemy import ColumnElement, Select, delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, defer

from api.core.plugins.declarations import BadPackage
from api.core.plugins.index import Listing
from api.core.plugins.manifest import Manifest, version_key
from api.core.plugins.package import MAX_PACKAGE_BYTES, Package, PluginName, read_package, to_name
from api.core.ports import Cancel
from api.core.rag.waiting import within
from api.errors import BadRequest, InvalidRequest, NotFound, TooLarge, Unavailable
from api.models.base import new_id, utc_now
from api.models.plugin import PluginInstallation
from api.models.provider import CustomModel, DefaultModel, ProviderCredential
from api.models.tool import ToolCredential
from api.principal import Principal
from api.runtime import Runtime, on_commit
from api.services.access import is_id
from api.services.constraints import is_duplicate
from api.services.provider_snapshot import bump_version
from api.services.uploads import IncomingFile

logger = logging.getLogger(__name__)

MAX_PLUGINS = 200
"""Packages a workspace may have, installed or not."""
INDEX_S = 30.0
READ_S = 60.0
TRIES = 3
UNSIGNED = "The package is not signed with the key that this server asks for."
UNIQUE = (("tenant_id", "identifier"), ("tenant_id", "plugin_id"))


class TooManyPlugins(BadRequest):
    """The workspace has as many plugins as it may have."""

    code = "limit_exceeded"


class TakenMeanwhile(Exception):
    """Another request installed the plugin, or gave the package, a moment ago."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """A package of a workspace; ``latest`` is the newest that the workspace was given."""

    id: str
    tenant_id: str
    name: PluginName
    manifest: Manifest
    is_verified: bool
    is_installed: bool
    created_at: datetime
    installed_at: datetime | None
    latest: PluginName


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A plugin that may be installed: its newest version, and the one that is installed."""

    name: PluginName
    manifest: Manifest
    is_verified: bool
    has_icon: bool
    installed_version: str | None


def load_offers(
    runtime: Runtime, principal: Principal, *, category: str | None = None, search: str = ""
) -> list[Offer]:
    """Return what may be installed and what is, by its name; every plugin once. Raises Unavailable.

    ``category`` and ``search`` (in name, description and author) narrow it down.
    """
    with within(INDEX_S, Cancel()) as cancel:
        listed = runtime.plugin_index.load(cancel)
    with runtime.reading() as session:
        rows = session.scalars(_of(principal.tenant_id)).all()
    known = [*listed, *map(_to_listing, rows)]
    installed = {row.plugin_id: _manifest(row).version for row in rows if row.is_installed}
    newest: dict[str, Offer] = {}
    for listing in known:
        offer = _to_offer(listing, installed)
        best = newest.get(offer.name.plugin_id)
        if best is None or version_key(best.name.version) <= version_key(offer.name.version):
            newest[offer.name.plugin_id] = offer
    found = [
        each
        for each in newest.values()
        if (category is None or category in each.manifest.categories) and _is_found(each.manifest, search)
    ]
    return sorted(found, key=lambda each: (each.manifest.label.en_US.lower(), each.name.plugin_id))


def load_latest(runtime: Runtime, principal: Principal, plugin_ids: Sequence[str]) -> list[Offer]:
    """Return the newest version of some plugins, of those that are known. Raises Unavailable."""
    return [each for each in load_offers(runtime, principal) if each.name.plugin_id in plugin_ids]


def load_installed(session: Session, principal: Principal) -> list[Installed]:
    """Return the installed plugins of a workspace, those that were installed last first."""
    rows = session.scalars(_of(principal.tenant_id)).all()
    latest: dict[str, PluginName] = {}
    for row in rows:
        name, best = _name(row), latest.get(row.plugin_id)
        if best is None or version_key(best.version) < version_key(name.version):
            latest[row.plugin_id] = name
    found = [_to_installed(row, latest[row.plugin_id]) for row in rows if row.is_installed]
    return sorted(found, key=lambda each: (each.installed_at or each.created_at, each.id), reverse=True)


def get_offer(runtime: Runtime, principal: Principal, identifier: str) -> Offer:
    """Return a package that may be installed, or is. Raises NotFound, InvalidRequest, Unavailable."""
    _read_identifier(identifier)
    with runtime.reading() as session:
        row = session.scalars(_identified(principal.tenant_id, identifier)).one_or_none()
    if row is not None:
        return _to_offer(_to_listing(row), {row.plugin_id: _name(row).version} if row.is_installed else {})
    with within(INDEX_S, Cancel()) as cancel:
        for listing in runtime.plugin_index.load(cancel):
            if listing.identifier == identifier:
                return _to_offer(listing, {})
    raise NotFound("There is no such plugin here.")


def upload(runtime: Runtime, principal: Principal, sent: IncomingFile) -> Installed:
    """Take a package, to be installed by its identifier; one that is there already is left as it is.

    Raises TooLarge, BadRequest for a package that cannot be used, TooManyPlugins.
    """
    if sent.size_bytes > MAX_PACKAGE_BYTES:
        raise TooLarge(f"A package has at most {MAX_PACKAGE_BYTES // 1024 // 1024} MB.")
    content = sent.content.read()
    try:
        package = runtime.offload.call(read_package, content, timeout_s=READ_S)
    except BadPackage as exc:
        raise BadRequest(exc.message) from exc
    except TimeoutError as exc:
        raise Unavailable("The package could not be read in time; try again.") from exc
    is_verified = _check_signature(runtime, package, is_trusted=False)

    def add() -> Installed:
        row = _add(runtime, principal, package, is_verified=is_verified, is_installed=False)
        return _to_installed(row, _name(row))

    return _tried(add)


def install(runtime: Runtime, principal: Principal, identifier: str) -> Installed:
    """Install a package, in the place of another version; one that is installed already is left as it is.

    Raises InvalidRequest for a malformed identifier, NotFound, Unavailable,
    BadRequest for a package that cannot be used, or an older version than is
    installed.
    """
    _read_identifier(identifier)
    return _tried(lambda: _install(runtime, principal, identifier))


def upgrade(runtime: Runtime, principal: Principal, original: str, identifier: str) -> Installed:
    """Install a package in the place of the one that is installed. Raises as install does."""
    _read_identifier(original)
    wanted = _read_identifier(identifier)
    with runtime.reading() as session:
        row = session.scalars(_identified(principal.tenant_id, original)).one_or_none()
    if row is None or not row.is_installed:
        raise NotFound("The plugin is not installed here.")
    if row.plugin_id != wanted.plugin_id:
        raise BadRequest("A plugin is upgraded to another version of itself.")
    return install(runtime, principal, identifier)


def uninstall(runtime: Runtime, session: Session, principal: Principal, install_id: str) -> None:
    """Remove a plugin with its package, and what is configured of its tools and models. Raises NotFound."""
    row = None
    if is_id(install_id):
        bump_version(session, principal.tenant_id)
        _take_turn(session, principal, PluginInstallation.id == install_id.lower())
        query = _of(principal.tenant_id).where(PluginInstallation.id == install_id.lower())
        row = session.scalars(query).one_or_none()
    if row is None or not row.is_installed:
        raise NotFound("The plugin is not installed here.")
    _forget(runtime, session, row)
    for table in (ToolCredential, ProviderCredential, CustomModel, DefaultModel):
        own = table.provider.startswith(f"{row.plugin_id}/", autoescape=True)
        session.execute(delete(table).where(table.tenant_id == principal.tenant_id, own))


def end_idle(runtime: Runtime) -> None:
    """End processes of plugins that were not called here for a while, and free what was not used for days."""
    runtime.plugins.close_idle()


def _tried(change: Callable[[], Installed]) -> Installed:
    """Return what a change gives; of two that come at once, the second is made again and sees the first."""
    for _ in range(TRIES):
        try:
            return change()
        except TakenMeanwhile:
            continue
    raise Unavailable("The plugin is being installed by others; try again.")


def _install(runtime: Runtime, principal: Principal, identifier: str) -> Installed:
    with runtime.reading() as session:
        known = session.scalars(_identified(principal.tenant_id, identifier)).one_or_none()
    if known is not None and known.is_installed:
        return _to_installed(known, _name(known))
    if known is None:
        row = _add_listed(runtime, principal, identifier)
        return _to_installed(row, _name(row))
    if runtime.limits.plugin_public_key and not known.is_verified:  # uploaded before a key was asked for
        raise BadRequest(UNSIGNED)
    with runtime.transaction() as session:
        bump_version(session, principal.tenant_id)
        _take_turn(session, principal, PluginInstallation.plugin_id == known.plugin_id)
        uploaded = session.scalars(_identified(principal.tenant_id, identifier)).one_or_none()
        if uploaded is None:
            raise TakenMeanwhile
        _replace(runtime, session, uploaded)
        _flush(session)
    return _to_installed(uploaded, _name(uploaded))


def _add_listed(runtime: Runtime, principal: Principal, identifier: str) -> PluginInstallation:
    with within(INDEX_S, Cancel()) as cancel:
        try:
            package, is_trusted = runtime.plugin_index.fetch(identifier, cancel)
        except BadPackage as exc:
            raise BadRequest(exc.message) from exc
    is_verified = _check_signature(runtime, package, is_trusted=is_trusted)
    return _add(runtime, principal, package, is_verified=is_verified, is_installed=True)


def _check_signature(runtime: Runtime, package: Package, *, is_trusted: bool) -> bool:
    """Tell whether a package is vouched for. Raises BadRequest for one that must be, and is not."""
    public_key = runtime.limits.plugin_public_key
    if is_trusted or not public_key:
        return is_trusted
    if not package.is_signed_by(public_key):
        raise BadRequest(UNSIGNED)
    return True


def _add(
    runtime: Runtime, principal: Principal, package: Package, *, is_verified: bool, is_installed: bool
) -> PluginInstallation:
    """Store a package, then the row that knows of it; return the one there is already, if there is."""
    row = PluginInstallation(
        id=new_id(),
        tenant_id=principal.tenant_id,
        plugin_id=package.name.plugin_id,
        identifier=str(package.name),
        digest=package.digest,
        manifest=orjson.dumps(package.manifest.to_row()),
        icon=package.icon,
        is_verified=is_verified,
        is_installed=False,
        created_by=principal.id,
        created_at=utc_now(),
    )
    runtime.storage.put(row.storage_key, io.BytesIO(package.content))
    key = row.storage_key
    try:
        with runtime.transaction() as session:
            bump_version(session, principal.tenant_id)
            _take_turn(session, principal, PluginInstallation.plugin_id == row.plugin_id)
            known = session.scalars(_identified(principal.tenant_id, row.identifier)).one_or_none()
            if known is None:
                _check_room(session, principal)
                session.add(row)
                _flush(session)
            if is_installed:
                _replace(runtime, session, known or row)
                _flush(session)
    except BaseException:
        runtime.storage.delete(key)
        raise
    if known is not None:
        runtime.storage.delete(key)
    return known or row


def _take_turn(session: Session, principal: Principal, which: ColumnElement[bool]) -> None:
    """Wait for others who change the same packages, so that what is read next stays so until the commit."""
    unchanged = {"is_installed": PluginInstallation.is_installed}
    named = update(PluginInstallation).where(PluginInstallation.tenant_id == principal.tenant_id, which)
    session.execute(named.values(unchanged).execution_options(synchronize_session=False))


def _replace(runtime: Runtime, session: Session, row: PluginInstallation) -> None:
    """Make a package the installed one of its plugin. Raises BadRequest where that is a newer one."""
    if row.is_installed:
        return
    query = _of(row.tenant_id).where(
        PluginInstallation.plugin_id == row.plugin_id,
        PluginInstallation.is_installed,
        PluginInstallation.id != row.id,
    )
    for old in session.scalars(query):
        if version_key(_manifest(old).version) > version_key(_manifest(row).version):
            raise BadRequest("A newer version of the plugin is installed; uninstall that first.")
        _forget(runtime, session, old)
    session.flush()
    row.is_installed, row.installed_at = True, utc_now()


def _forget(runtime: Runtime, session: Session, row: PluginInstallation) -> None:
    key, drop = row.storage_key, partial(runtime.plugins.drop, row.tenant_id, row.digest)
    session.delete(row)

    def clean() -> None:
        drop()
        try:
            runtime.storage.delete(key)
        except Unavailable:
            logger.warning("could not delete a plugin's package: %s", key)

    on_commit(session, clean)


def _check_room(session: Session, principal: Principal) -> None:
    held = session.scalar(
        select(func.count())
        .select_from(PluginInstallation)
        .where(PluginInstallation.tenant_id == principal.tenant_id)
    )
    if (held or 0) >= MAX_PLUGINS:
        raise TooManyPlugins(f"A workspace has at most {MAX_PLUGINS} plugins, uploaded ones included.")


def _flush(session: Session) -> None:
    try:
        session.flush()
    except IntegrityError as exc:
        if any(is_duplicate(exc, "plugin_installations", *columns) for columns in UNIQUE):
            raise TakenMeanwhile from exc
        raise


def _of(tenant_id: str) -> Select[PluginInstallation]:
    return (
        select(PluginInstallation)
        .where(PluginInstallation.tenant_id == tenant_id)
        .options(defer(PluginInstallation.icon, raiseload=True))
        .order_by(PluginInstallation.created_at, PluginInstallation.id)
    )


def _identified(tenant_id: str, identifier: str) -> Select[PluginInstallation]:
    return _of(tenant_id).where(PluginInstallation.identifier == identifier)


def _read_identifier(identifier: str) -> PluginName:
    name = to_name(identifier)
    if name is None:
        raise InvalidRequest(
            "plugin_unique_identifier must have the form author/name:version@sha256",
            field="plugin_unique_identifier",
            fault="invalid_format",
        )
    return name


def _name(row: PluginInstallation) -> PluginName:
    name = to_name(row.identifier)
    assert name is not None, "only well-formed identifiers are stored"
    return name


def _manifest(row: PluginInstallation) -> Manifest:
    return Manifest.from_row(orjson.loads(row.manifest))


def _to_installed(row: PluginInstallation, latest: PluginName) -> Installed:
    return Installed(
        id=row.id,
        tenant_id=row.tenant_id,
        name=_name(row),
        manifest=_manifest(row),
        is_verified=row.is_verified,
        is_installed=row.is_installed,
        created_at=row.created_at,
        installed_at=row.installed_at,
        latest=latest,
    )


def _to_listing(row: PluginInstallation) -> Listing:
    manifest = _manifest(row)
    return Listing(row.identifier, manifest, is_verified=row.is_verified, has_icon=bool(manifest.icon))


def _to_offer(listing: Listing, installed: dict[str, str]) -> Offer:
    name = to_name(listing.identifier)
    assert name is not None, "an index lists only well-formed identifiers"
    return Offer(
        name=name,
        manifest=listing.manifest,
        is_verified=listing.is_verified,
        has_icon=listing.has_icon,
        installed_version=installed.get(name.plugin_id),
    )


def _is_found(manifest: Manifest, search: str) -> bool:
    texts = (
        manifest.name,
        manifest.author,
        *(text for each in (manifest.label, manifest.description) for text in (each.en_US, each.zh_Hans)),
    )
    return any(search.lower() in text.lower() for text in texts)
