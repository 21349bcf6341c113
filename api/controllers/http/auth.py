"""Who is calling: from a console token or an API key to a principal.

Flask-Login's request loader reads the console's two transports (Bearer, or
cookies with a CSRF token); nothing below a door knows of it. The guards here
are what doors are declared with (docs/wire/authentication.md).
"""

import hmac
from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import Flask, Request, g, request
from flask_login import LoginManager, UserMixin, current_user

from api import traces
from api.controllers.http import entrance, limits
from api.controllers.http.door import Guard, guarded, present_request, runtime
from api.controllers.http.parsing import json_body
from api.errors import Forbidden, Unauthorized
from api.principal import Principal, Role, works_for
from api.services import passports, plugin_settings, sessions, tokens
from api.services.tokens import KeyCaller

EDITOR_NEEDED = "需要编辑权限"
ACCESS_COOKIE = "access_token"
REFRESH_COOKIE = "refresh_token"
CSRF_COOKIE = "csrf_token"
GUESTS_MOUNT = "seed"
KEY_STARTS = ("app-", "dataset-")


class SignedIn(UserMixin):
    """Flask-Login's user: our principal and the session it came by."""

    def __init__(self, identity: sessions.Identity) -> None:
        self.identity = identity


def install_login(app: Flask) -> None:
    """Let Flask-Login load console callers from the request alone; no server-side Flask session."""
    manager = LoginManager()
    manager.session_protection = None
    manager.request_loader(_load)
    # As the manager's own init_app does, which has a cookie to remember by looked for after each request too.
    app.login_manager = manager  # type: ignore[attr-defined]


def _load(req: Request) -> SignedIn | None:
    """Return the caller, or None; the reason is kept for the guard's answer."""
    token, is_cookie = console_token(req)
    if token is None:
        return None
    try:
        identity = sessions.identify(runtime(), token)
        if is_cookie:
            _check_csrf(req, identity.principal)
    except Unauthorized as exc:
        g.refusal = exc
        return None
    return SignedIn(identity)


def console_token(req: Request) -> tuple[str | None, bool]:
    """Return the console token and whether a cookie brought it; the header wins where both are there.

    A header cannot be sent by a foreign page, a cookie can.
    """
    scheme, _, token = req.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip(), False
    for name in (ACCESS_COOKIE, f"__Host-{ACCESS_COOKIE}"):
        if name in req.cookies:
            return req.cookies[name], True
    return None, False


def _check_csrf(req: Request, principal: Principal) -> None:
    """Raise Unauthorized unless the X-CSRF-Token header repeats the cookie and belongs to the caller."""
    cookie = req.cookies.get(CSRF_COOKIE) or req.cookies.get(f"__Host-{CSRF_COOKIE}") or ""
    sent = req.headers.get("X-CSRF-Token", "")
    if not sent or not hmac.compare_digest(sent.encode(), cookie.encode()):
        raise Unauthorized("CSRF token is missing or invalid.")
    sessions.check_csrf(runtime(), sent, principal.id)


def knowledge(*, may_edit: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Guard a knowledge method of the console: open to every member, and with ``may_edit`` to those who edit.

    Editors and above edit, and dataset operators, who open nothing else; which
    datasets, their own permissions say. The method gets the Principal.
    """

    def decorate(method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def wrapper(self: object, *args: Any, **kwargs: Any) -> Any:
            principal = signed_in().principal
            if may_edit and principal.role is Role.NORMAL:
                raise Forbidden(EDITOR_NEEDED)
            limits.count_account(principal)
            return method(self, principal, *args, **kwargs)

        return guarded(Guard("console", "knowledge" if may_edit else "member"), wrapper)

    return decorate


def console(role: Role = Role.NORMAL) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Guard a method for console members of at least ``role``; it gets their Principal."""

    def decorate(method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def wrapper(self: object, *args: Any, **kwargs: Any) -> Any:
            principal = signed_in().principal
            if principal.role < role:
                raise Forbidden(EDITOR_NEEDED if role is Role.EDITOR else f"This needs the role {role.wire}.")
            limits.count_account(principal)
            return method(self, principal, *args, **kwargs)

        need = "member" if role is Role.DATASET_OPERATOR else role.wire
        return guarded(Guard("console", need), wrapper)

    return decorate


def installer() -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Guard a method for console members whom the workspace lets install plugins; it gets their Principal."""

    def decorate(method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def wrapper(self: object, principal: Principal, *args: Any, **kwargs: Any) -> Any:
            plugin_settings.check_may_install(runtime(), principal)
            return method(self, principal, *args, **kwargs)

        return guarded(Guard("console", "installer"), console()(wrapper))

    return decorate


def signed_in() -> sessions.Identity:
    """Return the console caller; raises Unauthorized (``not_setup`` before there is an owner)."""
    user = current_user._get_current_object()  # noqa: SLF001  # flask-login's documented way to the user itself
    if isinstance(user, SignedIn):
        _admit(user.identity.principal.tenant_id)
        return user.identity
    with runtime().transaction() as session:
        sessions.check_setup(session)
    raise g.get("refusal") or Unauthorized("Invalid Authorization token.")


def app_key(
    scope: str | None = None, *, has_guests: bool = False
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Guard a method for API keys that may do ``scope`` (None: any app key); it gets a KeyCaller.

    ``has_guests`` opens it to guests of the app's page too, at /api.
    """

    def decorate(method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def wrapper(self: object, *args: Any, **kwargs: Any) -> Any:
            asked = present_request()
            caller = passport_of(asked) if has_guests else None
            if caller is None:
                token = _key_of(asked)
                caller = tokens.authenticate(runtime(), token, scope=scope, app_hint=_app_hint)
            _admit(caller.app.tenant_id, caller.app.id)
            limits.count_app(caller.app)
            return method(self, caller, *args, **kwargs)

        return guarded(Guard("key", scope or "app"), wrapper)

    return decorate


def guest() -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Guard a method for guests of an app's page, who have a passport; it gets a KeyCaller."""

    def decorate(method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def wrapper(self: object, *args: Any, **kwargs: Any) -> Any:
            caller = passport_of(request)
            if caller is None:
                raise Unauthorized("A passport must be provided in X-App-Passport.")
            _admit(caller.app.tenant_id, caller.app.id)
            limits.count_app(caller.app)
            return method(self, caller, *args, **kwargs)

        return guarded(Guard("key", "passport"), wrapper)

    return decorate


def visitor(method: Callable[..., Any]) -> Callable[..., Any]:
    """Declare a method of apps' pages open to anyone; its calls are counted by the address they come from."""

    @wraps(method)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        limits.count_address(request.remote_addr or "")
        return method(*args, **kwargs)

    return guarded(Guard("public"), wrapper)


def passport_of(req: Request) -> KeyCaller | None:
    """Return the guest whose passport the request carries; None where it carries none, or a key.

    Passports are for the mount at /api alone, where browsers look for the page's
    API. Raises Unauthorized for a bad one, Forbidden where the page is closed.
    """
    scheme, _, token = req.headers.get("Authorization", "").strip().partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" else ""
    passport = req.headers.get("X-App-Passport") or (bearer if bearer.count(".") == 2 else "")
    if req.blueprint != GUESTS_MOUNT or not passport or bearer.startswith(KEY_STARTS):
        return None
    caller = passports.authenticate_guest(runtime(), passport, req.headers.get("X-App-Code"))
    g.guest = caller.guest
    return caller


def is_guest(req: Request) -> bool:
    """Tell whether the request carries a passport that opens its page now."""
    try:
        return passport_of(req) is not None
    except (Unauthorized, Forbidden):
        return False


def dataset_key() -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Guard a method for dataset keys; it gets the Principal whose rights the key has."""

    def decorate(method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def wrapper(self: object, *args: Any, **kwargs: Any) -> Any:
            caller = tokens.authenticate_dataset(runtime(), _key_of(request))
            _admit(caller.principal.tenant_id)
            limits.count_workspace(caller.principal.tenant_id, caller.plan)
            return method(self, caller.principal, *args, **kwargs)

        return guarded(Guard("key", "dataset"), wrapper)

    return decorate


def _admit(tenant_id: str | None, app_id: str | None = None) -> None:
    """Note for whom the request is; raises RateLimited where that workspace holds too many connections."""
    if tenant_id is not None:
        works_for.set(tenant_id)
        entrance.enter(tenant_id)
    traces.current.get().tell({"slipway.tenant_id": tenant_id, "slipway.app_id": app_id})


def _key_of(req: Request) -> str:
    header = req.headers.get("Authorization")
    if header is None or " " not in header.strip():
        hint = " The api_key query parameter is not accepted." if "api_key" in req.args else ""
        raise Unauthorized(f"Authorization header must be provided and start with 'Bearer'.{hint}")
    scheme, _, token = header.strip().partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthorized("Authorization scheme must be 'Bearer'.")
    return token.strip()


def _app_hint() -> str | None:
    """Return which app a workspace key is used for: header, query, or body."""
    named: object = request.headers.get("X-App-Id") or request.args.get("app_id")
    if named is None and request.content_length:
        named = (json_body() if request.is_json else request.form).get("app_id")
    return named if isinstance(named, str) and named else None
