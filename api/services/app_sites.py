"""How an app presents itself to end users, as its editors set it; its public code, made anew."""

from typing import TypedDict

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.errors import Forbidden
from api.models.app import Site
from api.principal import Principal
from api.services import apps, sites
from api.services.access import access_app


class SiteChanges(TypedDict, total=False):
    """What a change of a site may set; a key left out stays as it is."""

    title: str
    icon_type: str | None
    icon: str | None
    icon_background: str | None
    description: str | None
    default_language: str
    chat_color_theme: str | None
    chat_color_theme_inverted: bool
    customize_domain: str | None
    copyright: str | None
    privacy_policy: str | None
    custom_disclaimer: str
    input_placeholder: str | None
    customize_token_strategy: str
    prompt_public: bool
    show_workflow_steps: bool
    use_icon_as_answer_icon: bool


def update_site(session: Session, principal: Principal, app_id: str, changes: SiteChanges) -> None:
    """Change what ``changes`` names of an app's site.

    Raises AppNotFound, and InvalidRequest for an icon that does not fit its kind.
    """
    site = _access_site(session, principal, app_id)
    values: dict[str, object] = {**changes}
    icon, icon_type = changes.get("icon") or site.icon, changes.get("icon_type") or site.icon_type
    if (icon, icon_type) != (site.icon, site.icon_type):
        kind, shown = apps.check_icon(session, principal, changes.get("icon_type"), icon or apps.DEFAULT_ICON)
        values |= {"icon_type": kind, "icon": shown}
    else:
        values |= {"icon_type": site.icon_type, "icon": site.icon}
    for name, value in values.items():
        setattr(site, name, value)
    site.updated_by = principal.id


def reset_code(session: Session, principal: Principal, app_id: str) -> None:
    """Give an app's site another public code; its old address and its guests' passports end. AppNotFound."""
    site = _access_site(session, principal, app_id)
    site.code = sites.new_code()
    site.updated_by = principal.id


def _access_site(session: Session, principal: Principal, app_id: str) -> Site:
    app = access_app(session, principal, app_id)
    site = session.scalars(
        select(Site).where(Site.tenant_id == app.tenant_id, Site.app_id == app.id)
    ).one_or_none()
    if site is None:
        raise Forbidden("The app has no site.")
    return site
