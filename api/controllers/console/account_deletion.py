"""One's own account, deleted for good. Wire: docs/wire/workspace.md#deleting-an-account."""

from flask import Response, request
from flask_restx import Namespace, Resource

from api.controllers.http import limits
from api.controllers.http.auth import console
from api.controllers.http.door import public, render, runtime
from api.controllers.http.parsing import parse
from api.controllers.schemas.email_change import FEEDBACK, FeedbackIn
from api.controllers.schemas.fields import RESULT, render_success
from api.controllers.schemas.member import (
    CODE_CHECK,
    SENT_CODE,
    CodeCheckIn,
    render_sent_code,
)
from api.principal import Principal, Role
from api.services import account_deletion

ns = Namespace("account deletion", path="/", description="One's own account, deleted for good")
for model in (RESULT, SENT_CODE):
    ns.add_model(model.name, model)
member = console(Role.DATASET_OPERATOR)


@ns.route("/account/delete/verify")
class DeletionCode(Resource):
    """The code that proves one means it."""

    @ns.response(200, "Sent to one's own address.", SENT_CODE)
    @ns.response(400, "No mail is sent here: email_not_setup.")
    @ns.response(409, "account_owns_workspace, or last_account of the installation.")
    @ns.response(429, "Too many codes were asked for.")
    @member
    def get(self, principal: Principal) -> Response:
        """Have a code sent to oneself."""
        token = account_deletion.send_code(runtime(), principal, address=request.remote_addr or "")
        return render(render_sent_code(token))


@ns.route("/account/delete")
class Deletion(Resource):
    """The deletion."""

    @ns.expect(CODE_CHECK)
    @ns.response(200, "Deleted; every session has ended.", RESULT)
    @ns.response(400, "email_code_error or invalid_or_expired_token.")
    @ns.response(409, "account_owns_workspace, or last_account of the installation.")
    @member
    def post(self, principal: Principal) -> Response:
        """Delete one's account with the code that was sent."""
        asked = parse(CODE_CHECK, CodeCheckIn)
        account_deletion.delete_own(runtime(), principal, token=asked.token, code=asked.code)
        return render(render_success())


@ns.route("/account/delete/feedback")
class DeletionFeedback(Resource):
    """Why one left; told by who has no account any more."""

    @ns.expect(FEEDBACK)
    @ns.response(200, "In the operator's log.", RESULT)
    @ns.response(429, "Too many calls from this address in a minute.")
    @public
    def post(self) -> Response:
        """Write a reason into the operator's log, without the address."""
        limits.count_address(request.remote_addr or "")
        account_deletion.note_feedback(parse(FEEDBACK, FeedbackIn).feedback)
        return render(render_success())
