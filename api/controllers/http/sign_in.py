"""Tokens of whoever just signed in, given in the body for programs and as cookies for browsers.

Wire: docs/wire/authentication.md.
"""

from flask import Response

from api.controllers.http.auth import ACCESS_COOKIE, CSRF_COOKIE, REFRESH_COOKIE
from api.controllers.http.door import base_url, render, runtime
from api.core.ports import JSONObject
from api.services.session_tokens import Tokens


def answer_with(tokens: Tokens, body: JSONObject) -> Response:
    """Return ``body``, which holds the tokens of whoever just signed in, with the cookies that do."""
    limits = runtime().limits
    response = render(body)
    set_cookie(response, ACCESS_COOKIE, tokens.access_token, limits.access_ttl_s)
    set_cookie(response, REFRESH_COOKIE, tokens.refresh_token, limits.refresh_ttl_s)
    set_cookie(response, CSRF_COOKIE, tokens.csrf_token, limits.access_ttl_s)
    response.headers["Cache-Control"] = "no-store"
    return response


def set_cookie(response: Response, name: str, value: str, max_age_s: int) -> None:
    """Set one of the console's cookies; only the CSRF cookie is for scripts to read.

    Behind https it is marked Secure, and bound to this very host by its prefix
    where no domain is configured.
    """
    limits = runtime().limits
    is_secure = base_url().startswith("https://")
    prefix = "__Host-" if is_secure and not limits.cookie_domain else ""
    response.set_cookie(
        prefix + name,
        value,
        max_age=max_age_s,
        path="/",
        domain=limits.cookie_domain or None,
        secure=is_secure,
        httponly=name != CSRF_COOKIE,
        samesite="Lax",
    )
