"""A forgotten password: a code by mail, then a new one."""

from flask import Response, request
from flask_restx import Namespace, Resource

from api.controllers.http.door import public, render, runtime
from api.controllers.http.parsing import parse
from api.controllers.schemas.fields import RESULT, render_success
from api.controllers.schemas.member import CHECKED_CODE, SENT_CODE, render_checked_code, render_sent_code
from api.controllers.schemas.password_reset import (
    FORGOTTEN,
    NEW_PASSWORD,
    RESET_CODE,
    ForgottenIn,
    NewPasswordIn,
    ResetCodeIn,
)
from api.services import password_resets

ns = Namespace("password resets", path="/", description="A forgotten password")
for model in (RESULT, SENT_CODE, CHECKED_CODE):
    ns.add_model(model.name, model)


@ns.route("/forgot-password")
class ForgotPassword(Resource):
    """The code that lets a new password be chosen."""

    @ns.expect(FORGOTTEN)
    @ns.response(200, "Sent, if somebody has the address, which is not told.", SENT_CODE)
    @ns.response(400, "No mail is sent here: email_not_setup.")
    @ns.response(429, "Too many codes were asked for: email_send_ip_limit.")
    @public
    def post(self) -> Response:
        """Have a code sent to an address."""
        asked = parse(FORGOTTEN, ForgottenIn)
        token = password_resets.begin(runtime(), email=asked.email, address=request.remote_addr or "")
        return render(render_sent_code(token))


@ns.route("/reset-password")
class ResetPassword(ForgotPassword):
    """The same by its other name."""


@ns.route("/forgot-password/validity")
class ForgotPasswordCheck(Resource):
    """Checking that code."""

    @ns.expect(RESET_CODE)
    @ns.response(200, "Right; the token is for the new password.", CHECKED_CODE)
    @ns.response(400, "A wrong code: email_code_error; a used or old one: invalid_or_expired_token.")
    @public
    def post(self) -> Response:
        """Check a code."""
        asked = parse(RESET_CODE, ResetCodeIn)
        token = password_resets.confirm(runtime(), token=asked.token, code=asked.code, email=asked.email)
        return render(render_checked_code(token, asked.email))


@ns.route("/forgot-password/resets")
class NewPassword(Resource):
    """The new password."""

    @ns.expect(NEW_PASSWORD)
    @ns.response(200, "Set; every session of the account has ended.", RESULT)
    @ns.response(400, "password_mismatch, invalid_or_expired_token, or too weak.")
    @public
    def post(self) -> Response:
        """Set a new password."""
        asked = parse(NEW_PASSWORD, NewPasswordIn)
        password_resets.finish(
            runtime(), token=asked.token, new=asked.new_password, repeated=asked.password_confirm
        )
        return render(render_success())
