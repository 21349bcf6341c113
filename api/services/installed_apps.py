"""Apps as those who use them find them: every app of a workspace is installed there, under its own id."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from api.core.apps.spec import AppSpec
from api.errors import BadRequest
from api.models.app import App
from api.principal import Principal
from api.runtime import Runtime
from api.services import app_specs, files
from api.services.access import AppNotFound, access_app, is_id

MAX_APPS = 1000
INSTALLED = "installed-app"
"""Where runs and conversations of members come from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledApp:
    """An app of the workspace; ``icon_url`` is signed and set for uploaded icons."""

    app: App
    icon_url: str | None


def load_installed(
    runtime: Runtime, session: Session, principal: Principal, *, app_id: str | None = None
) -> Sequence[InstalledApp]:
    """Return the apps of the workspace whose page is open, pinned ones first, then the newest.

    With ``app_id`` only that one.
    """
    query = select(App).where(App.tenant_id == principal.tenant_id, App.enable_site)
    if app_id is not None:
        if not is_id(app_id):
            return ()
        query = query.where(App.id == app_id.lower())
    rows = session.scalars(
        query.order_by(App.is_pinned.desc(), App.created_at.desc(), App.id.desc()).limit(MAX_APPS)
    )
    return [InstalledApp(app=row, icon_url=_icon_url(runtime, row)) for row in rows]


def pin_app(session: Session, principal: Principal, installed_id: str, *, is_pinned: bool) -> None:
    """Put an app above the others of its workspace, or back among them; raises AppNotFound."""
    row = _access_open(session, principal, installed_id)
    session.execute(
        update(App)
        .where(App.tenant_id == row.tenant_id, App.id == row.id)
        .values(is_pinned=is_pinned, updated_at=App.updated_at)
    )


def check_installed(session: Session, principal: Principal, app_id: str) -> None:
    """Raise AppNotFound unless an app can be used, which all of a workspace's own can whose page is open."""
    _access_open(session, principal, app_id)


def check_uninstalled(session: Session, principal: Principal, installed_id: str) -> None:
    """Raise BadRequest for an app of the workspace's own, which is there as long as it is; or AppNotFound."""
    _access_open(session, principal, installed_id)
    raise BadRequest("You can't uninstall an app owned by the current tenant")


def access_installed(runtime: Runtime, session: Session, principal: Principal, installed_id: str) -> AppSpec:
    """Return an app for a member to use; raises AppNotFound, also where its page is closed."""
    row = _access_open(session, principal, installed_id)
    return app_specs.load_spec(runtime, session, principal.tenant_id, row.id)


def open_app(runtime: Runtime, principal: Principal, installed_id: str) -> AppSpec:
    """Return what ``access_installed`` does, for what holds no session."""
    with runtime.reading() as session:
        return access_installed(runtime, session, principal, installed_id)


def _access_open(session: Session, principal: Principal, app_id: str) -> App:
    row = access_app(session, principal, app_id)
    if not row.enable_site:
        raise AppNotFound("App not found.")
    return row


def _icon_url(runtime: Runtime, app: App) -> str | None:
    return files.sign_icon(runtime, app.icon) if app.icon_type == "image" and app.icon else None
