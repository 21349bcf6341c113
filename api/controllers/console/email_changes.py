"""Another e-mail address for one's account: a code to the present one, then one to the new one.

Wire: docs/wire/workspace.md#another-e-mail-address.
"""

from flask import Response, request
from flask_restx import Namespace, Resource

from api.controllers.http.auth import console, signed_in
from api.controllers.http.door import render, runtime, transactional
from api.controllers.http.parsing import parse
from api.controllers.schemas.account import ACCOUNT, render_account
from api.controllers.schemas.email_change import (
    ADDRESS,
    CHANGE,
    NEW_ADDRESS,
    AddressIn,
    ChangeIn,
    NewAddressIn,
)
from api.controllers.schemas.fields import RESULT, render_success
from api.controllers.schemas.member import CHECKED_CODE, SENT_CODE, render_checked_code, render_sent_code
from api.controllers.schemas.password_reset import RESET_CODE, ResetCodeIn
from api.principal import Principal, Role
from api.runtime import Session
from api.services import email_changes

HERE = "/account/change-email"
ns = Namespace("email changes", path="/", description="Another e-mail address for one's account")
for model in (ACCOUNT, RESULT, SENT_CODE, CHECKED_CODE):
    ns.add_model(model.name, model)
member = console(Role.DATASET_OPERATOR)


@ns.route(HERE)
class EmailChange(Resource):
    """The codes that prove who reads the present address, and the new one."""

    @ns.expect(CHANGE)
    @ns.response(200, "Sent.", SENT_CODE)
    @ns.response(400, "invalid_email, email_already_in_use, invalid_or_expired_token or email_not_setup.")
    @ns.response(429, "Too many codes: email_change_rate_limit_exceeded, email_send_ip_limit.")
    @member
    @transactional
    def post(self, session: Session, principal: Principal) -> Response:
        """Have a code sent to one's present address, or, with its confirmed token, to the new one."""
        asked = parse(CHANGE, ChangeIn)
        token = email_changes.send_code(
            runtime(),
            session,
            principal,
            email=asked.email,
            address=request.remote_addr or "",
            is_new=asked.is_new,
            token=asked.token,
        )
        return render(render_sent_code(token))


@ns.route(f"{HERE}/validity")
class EmailChangeCheck(Resource):
    """Checking those codes."""

    @ns.expect(RESET_CODE)
    @ns.response(200, "Right; the token is for the next step.", CHECKED_CODE)
    @ns.response(400, "A wrong code: email_code_error; a used or old one: invalid_or_expired_token.")
    @member
    def post(self, principal: Principal) -> Response:
        """Check the code of either address."""
        del principal
        asked = parse(RESET_CODE, ResetCodeIn)
        token = email_changes.confirm(runtime(), email=asked.email, code=asked.code, token=asked.token)
        return render(render_checked_code(token, asked.email))


@ns.route(f"{HERE}/check-email-unique")
class EmailUnique(Resource):
    """Whether an address can be taken."""

    @ns.expect(ADDRESS)
    @ns.response(200, "No account has it.", RESULT)
    @ns.response(400, "email_already_in_use, or invalid_email for what is no address.")
    @member
    @transactional
    def post(self, session: Session, principal: Principal) -> Response:
        """Tell whether an address can be taken."""
        del principal
        email_changes.check_free(session, parse(ADDRESS, AddressIn).email)
        return render(render_success())


@ns.route(f"{HERE}/reset")
class NewEmail(Resource):
    """The new address."""

    @ns.expect(NEW_ADDRESS)
    @ns.response(200, "The account as it is now.", ACCOUNT)
    @ns.response(400, "invalid_or_expired_token or email_already_in_use.")
    @member
    def post(self, principal: Principal) -> Response:
        """Take the new address; all other sessions of the account end."""
        del principal
        asked = parse(NEW_ADDRESS, NewAddressIn)
        profile = email_changes.finish(runtime(), signed_in(), email=asked.new_email, token=asked.token)
        return render(render_account(profile))
