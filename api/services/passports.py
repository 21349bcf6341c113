"""Passports: what lets a guest's browser use the page of an app. No password, no row until the first run.

A passport is a JWT we signed. It names the site's code it was given for, so
that a new code ends all passports of the old one, and the guest's session,
which its conversations and files hang on. Wire: docs/wire/web-app.md.
"""

import time
from dataclasses import dataclass
from typing import Any

import jwt
from sqlalchemy import Row, bindparam, select

from api.core.vault import Vault
from api.errors import Forbidden, InvalidRequest, NotFound, Unauthorized
from api.models.account import Tenant
from api.models.annotation import AnnotationSetting
from api.models.app import App, AppModelConfig, Site
from api.models.base import new_id
from api.runtime import Runtime
from api.services import app_specs, end_users, remembered
from api.services.tokens import KeyCaller

SUBJECT = "Web API Passport"
PURPOSE = "web app passport"
ALGORITHM = "HS256"
LEEWAY_S = 30
"""So much may the clocks of two servers differ."""

_SITE = (
    select(
        Site.code,
        App.status.label("app_status"),
        App.enable_site,
        Tenant.status.label("tenant_status"),
        *app_specs.COLUMNS,
    )
    .select_from(Site)
    .join(App, App.id == Site.app_id)
    .join(Tenant, Tenant.id == App.tenant_id)
    .outerjoin(AppModelConfig, AppModelConfig.id == App.app_model_config_id)
    .outerjoin(AnnotationSetting, AnnotationSetting.app_id == App.id)
    .where(Site.code == bindparam("code"))
)
"""Built once: every call of a guest runs it."""


@dataclass(frozen=True, slots=True)
class SiteCode:
    """Key under which a process remembers the app of a site for a second."""

    code: str


def issue_passport(runtime: Runtime, code: str, user: str | None) -> str:
    """Return a passport for the app whose page has a code: of a new guest, or of one the page names.

    Raises NotFound where there is no such page or it is closed, InvalidRequest
    for a name that looks like a session of ours.
    """
    record = _site(runtime, code)
    if record is None or _refusal(record) is not None:
        raise NotFound("Site not found.")
    if user is not None and user.startswith(end_users.GUEST):
        raise InvalidRequest("Parameter 'user_id' must not begin with 'guest-'", field="user_id")
    session_id = user or f"{end_users.GUEST}{new_id()}"
    guest = end_users.browser_principal(record.tenant_id, record.app_id, session_id)
    claims = {
        "iss": record.app_id,
        "sub": SUBJECT,
        "app_id": record.app_id,
        "app_code": code,
        "end_user_id": guest.id,
        "session_id": session_id,
        "iat": int(time.time()),
    }
    return jwt.encode(claims, _key(runtime.vault), ALGORITHM)


def authenticate_guest(runtime: Runtime, passport: str, code: str | None) -> KeyCaller:
    """Return the guest a passport belongs to, with its app as configured now, or a second ago.

    ``code`` is the site's, where the caller names it. Raises Unauthorized for a
    passport that is none or whose site has another code by now, Forbidden where
    the page, the app or its workspace is closed.
    """
    claims = _claims(runtime.vault, passport)
    named = str(claims["app_code"])
    if code not in (None, named):
        raise Unauthorized("The passport is for another site.")
    record = _site(runtime, named)
    if record is None or record.app_id != claims["app_id"]:
        raise Unauthorized("The passport's site is no longer there.")
    refusal = _refusal(record)
    if refusal is not None:
        raise Forbidden(refusal)
    guest = end_users.browser_principal(record.tenant_id, record.app_id, str(claims["session_id"]))
    return KeyCaller(key_id=guest.id, app=app_specs.to_spec(runtime, record), guest=guest)


def is_open(runtime: Runtime, code: str) -> bool:
    """Tell whether an app's page has this code and is open."""
    record = _site(runtime, code)
    return record is not None and _refusal(record) is None


def _site(runtime: Runtime, code: str) -> Row[Any] | None:
    """Return a site with its app, as they are now, or were a second ago; None where there is none."""
    return remembered.recall(runtime, SiteCode(code), lambda: _find_site(runtime, code))


def _find_site(runtime: Runtime, code: str) -> Row[Any] | None:
    with runtime.reading() as session:
        return session.connection().execute(_SITE, {"code": code}).one_or_none()


def _refusal(record: Row[Any]) -> str | None:
    """Return why a site lets nobody in; None where it does."""
    if record.tenant_status != "normal":
        return "The workspace's status is archived."
    if record.app_status != "normal":
        return "The app's status is abnormal."
    return None if record.enable_site else "The app's page has been closed."


def _claims(vault: Vault, passport: str) -> dict[str, Any]:
    required = ["app_id", "app_code", "session_id"]
    try:
        claims: dict[str, Any] = jwt.decode(
            passport,
            _key(vault),
            [ALGORITHM],
            subject=SUBJECT,
            leeway=LEEWAY_S,
            options={"require": ["sub", *required]},
        )
    except jwt.InvalidTokenError:
        raise Unauthorized("The passport is not valid.") from None
    return claims


def _key(vault: Vault) -> bytes:
    return vault.derive(PURPOSE)
