"""Copies of apps: the draft or the configuration under a new name; no conversations, no keys, no versions."""

from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from api.core.apps.spec import AppMode
from api.core.dsl.document import DEFAULT_ICON, AppDocument
from api.errors import InvalidRequest
from api.models.app import App
from api.models.base import new_id
from api.principal import Principal
from api.runtime import Runtime
from api.services import app_exports, app_imports, idempotency
from api.services.access import access_app
from api.services.app_exports import DraftMissing
from api.services.app_imports import AppFile, Import


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyChanges:
    """What of a copy is to be other than of its original; None is as the original has it."""

    name: str | None = None
    description: str | None = None
    icon_type: str | None = None
    icon: str | None = None
    icon_background: str | None = None


def copy_app(
    runtime: Runtime,
    principal: Principal,
    app_id: str,
    changes: CopyChanges,
    claim: idempotency.Claim | None = None,
) -> str:
    """Copy an app within its workspace, secrets included, and return the copy's id.

    A name that is taken gets a number. A workflow that was not drawn yet is
    copied as such. A repeated claim gives the first copy. Raises AppNotFound,
    and InvalidRequest where a change has a bad value.
    """
    with runtime.reading() as session:
        app = access_app(session, principal, app_id)
        document = _document_of(runtime, session, app)
    begun = Import(id=new_id(), status="completed", app_mode=document.mode.value)
    made = app_imports.make_app(runtime, principal, begun, _file_of(app, changes), document, claim=claim)
    if made.app_id is None:
        raise InvalidRequest(made.error)
    return made.app_id


def _document_of(runtime: Runtime, session: Session, app: App) -> AppDocument:
    """Return an app as its copy is made of; secrets stay within the workspace that sealed them."""
    try:
        document = app_exports.to_document(runtime, session, app, None, has_secrets=True, is_sealed=False)
    except DraftMissing:
        document = AppDocument(name=app.name, mode=AppMode(app.mode), description=app.description)
    return replace(document, icon_type="emoji", icon=DEFAULT_ICON)


def _file_of(app: App, changes: CopyChanges) -> AppFile:
    """Return what the copy is called and how it looks, which an uploaded icon is part of here."""
    shown = changes if changes.icon else app
    return AppFile(
        mode="copy",
        name=changes.name or app.name,
        description=app.description if changes.description is None else changes.description,
        icon_type=shown.icon_type,
        icon=shown.icon,
        icon_background=changes.icon_background or app.icon_background,
    )
