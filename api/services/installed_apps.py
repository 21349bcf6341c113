"""Apps as those who use them find them: every app of a workspace is installed there, under its own id."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.core.apps.spec import AppSpec
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
    """Return the apps of the workspace whose page is open, newest first; with ``app_id`` only that one."""
    query = select(App).where(App.tenant_id == principal.tenant_id, App.enable_site)
    if app_id is not None:
        if not is_id(app_id):
            return ()
        query = query.where(App.id == app_id.lower())
    rows = session.scalars(query.order_by(App.created_at.desc(), App.id.desc()).limit(MAX_APPS))
    return [InstalledApp(app=row, icon_url=_icon_url(runtime, row)) for row in rows]


def access_installed(runtime: Runtime, session: Session, principal: Principal, installed_id: str) -> AppSpec:
    """Return an app for a member to use; raises AppNotFound, also where its page is closed."""
    row = access_app(session, principal, installed_id)
    if not row.enable_site:
        raise AppNotFound("App not found.")
    return app_specs.load_spec(runtime, session, principal.tenant_id, row.id)


def open_app(runtime: Runtime, principal: Principal, installed_id: str) -> AppSpec:
    """Return what ``access_installed`` does, for what holds no session."""
    with runtime.reading() as session:
        return access_installed(runtime, session, principal, installed_id)


def _icon_url(runtime: Runtime, app: App) -> str | None:
    return files.sign_icon(runtime, app.icon) if app.icon_type == "image" and app.icon else None
