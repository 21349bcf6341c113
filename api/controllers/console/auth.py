"""Signing in, staying signed in, signing out: tokens in the body for programs, cookies for browsers.

Wire: docs/wire/authentication.md.
"""

from flask import Response, request
from flask_restx import Namespace, Resource

from api.controllers.http.auth import ACCESS_COOKIE, CSRF_COOKIE, REFRESH_COOKIE, console_token
from api.controllers.http.door import public, render, runtime
from api.controllers.http.parsing import parse
from api.controllers.http.sign_in import answer_with, set_cookie
from api.controllers.schemas.auth import (
    LOGIN,
    LOGOUT,
    REFRESH,
    SIGNED_IN,
    TOKENS,
    LoginIn,
    LogoutIn,
    RefreshIn,
    render_no_workspace,
    render_tokens,
)
from api.controllers.schemas.fields import RESULT, render_success
from api.controllers.schemas.member import SENT_CODE, render_sent_code
from api.controllers.schemas.password_reset import CODE_LOGIN, FORGOTTEN, CodeLoginIn, ForgottenIn
from api.services import code_logins, logins, sessions
from api.services.session_tokens import Tokens

ns = Namespace("auth", path="/", description="Signing in and out")
for model in (RESULT, SENT_CODE, TOKENS, SIGNED_IN):
    ns.add_model(model.name, model)


@ns.route("/login")
class Login(Resource):
    """Signing in with e-mail and password."""

    @ns.expect(LOGIN)
    @ns.response(200, "The tokens, in the body and as cookies.", SIGNED_IN)
    @ns.response(401, "Wrong e-mail or password: authentication_failed; no owner yet: not_setup.")
    @ns.response(429, "Too many failures: email_code_login_limit, with Retry-After.")
    @public
    def post(self) -> Response:
        """Sign in; the password may be sent in base64."""
        asked = parse(LOGIN, LoginIn)
        tokens = logins.login(
            runtime(),
            email=asked.email,
            password=asked.password,
            address=request.remote_addr or "",
            invite_token=asked.invite_token,
        )
        return _signed_in(tokens)


@ns.route("/email-code-login")
class CodeLogin(Resource):
    """The code to sign in with, instead of a password."""

    @ns.expect(FORGOTTEN)
    @ns.response(200, "Sent, if somebody has the address, which is not told.", SENT_CODE)
    @ns.response(400, "No mail is sent here: email_not_setup.")
    @ns.response(429, "Too many codes: email_code_login_rate_limit_exceeded, email_send_ip_limit.")
    @public
    def post(self) -> Response:
        """Have a code sent to an address."""
        asked = parse(FORGOTTEN, ForgottenIn)
        token = code_logins.begin(runtime(), email=asked.email, address=request.remote_addr or "")
        return render(render_sent_code(token))


@ns.route("/email-code-login/validity")
class CodeLoginCheck(Resource):
    """Signing in with that code."""

    @ns.expect(CODE_LOGIN)
    @ns.response(200, "The tokens, in the body and as cookies.", SIGNED_IN)
    @ns.response(400, "A wrong code: email_code_error; a used or old one: invalid_or_expired_token.")
    @public
    def post(self) -> Response:
        """Sign in; the code may be sent in base64."""
        asked = parse(CODE_LOGIN, CodeLoginIn)
        tokens = code_logins.finish(
            runtime(),
            email=asked.email,
            code=asked.code,
            token=asked.token,
            address=request.remote_addr or "",
        )
        return _signed_in(tokens)


@ns.route("/refresh-token")
class RefreshToken(Resource):
    """Staying signed in."""

    @ns.expect(REFRESH)
    @ns.response(200, "New tokens, in the body and as cookies.", SIGNED_IN)
    @ns.response(401, "The token is missing, unknown, expired or used.")
    @public
    def post(self) -> Response:
        """Exchange the refresh token, from the body or the cookie, for new tokens."""
        asked = parse(REFRESH, RefreshIn) if request.get_data() else RefreshIn()
        tokens = sessions.refresh(runtime(), asked.refresh_token or _cookie(REFRESH_COOKIE))
        return answer_with(tokens, render_tokens(tokens, runtime().limits.access_ttl_s))


@ns.route("/logout")
class Logout(Resource):
    """Signing out."""

    @ns.expect(LOGOUT)
    @ns.response(200, "Signed out; also where nobody was signed in.", RESULT)
    @public
    def post(self) -> Response:
        """End this session, or with ``all`` every session of the account, at once."""
        asked = parse(LOGOUT, LogoutIn) if request.get_data() else LogoutIn()
        access_token, _ = console_token(request)
        sessions.logout(
            runtime(),
            access_token=access_token,
            refresh_token=_cookie(REFRESH_COOKIE),
            is_everywhere=asked.is_everywhere,
        )
        response = render(render_success())
        for name in (ACCESS_COOKIE, REFRESH_COOKIE, CSRF_COOKIE):
            set_cookie(response, name, "", 0)
        return response


def _signed_in(tokens: Tokens | None) -> Response:
    if tokens is None:
        return render(render_no_workspace())
    return answer_with(tokens, render_tokens(tokens, runtime().limits.access_ttl_s))


def _cookie(name: str) -> str | None:
    return request.cookies.get(name) or request.cookies.get(f"__Host-{name}")
