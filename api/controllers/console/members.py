"""Members of the workspace: listed, invited, given roles, removed; and its owner, who may hand it over.

Wire: docs/wire/members.md.
"""

from flask import Response, request
from flask_restx import Namespace, Resource

from api.controllers.http.auth import console
from api.controllers.http.door import base_url, render, runtime, transactional
from api.controllers.http.parsing import parse
from api.controllers.schemas.fields import RESULT, render_success
from api.controllers.schemas.member import (
    CHECKED_CODE,
    CODE_CHECK,
    INVITATION_RESULT,
    INVITE,
    INVITED,
    MEMBER,
    MEMBER_ROLE,
    MEMBERS,
    REMOVED,
    SENT_CODE,
    TRANSFER,
    CodeCheckIn,
    InviteIn,
    MemberRoleIn,
    TransferIn,
    render_checked_code,
    render_invited,
    render_members,
    render_sent_code,
)
from api.principal import Principal, Role
from api.runtime import Session
from api.services import invitations, members

HERE = "/workspaces/current/members"
ns = Namespace("members", path="/", description="Members of the workspace")
for model in (RESULT, MEMBER, MEMBERS, INVITATION_RESULT, INVITED, REMOVED, SENT_CODE, CHECKED_CODE):
    ns.add_model(model.name, model)


@ns.route(HERE)
class Members(Resource):
    """Who belongs to the workspace."""

    @ns.response(200, "Members in the order of joining, then who is invited.", MEMBERS)
    @console(Role.DATASET_OPERATOR)
    @transactional
    def get(self, session: Session, principal: Principal) -> Response:
        """List the members."""
        return render(render_members(runtime(), members.load_members(session, principal)))


@ns.route("/workspaces/current/dataset-operators")
class DatasetOperators(Resource):
    """Members who work on knowledge alone."""

    @ns.response(200, "The dataset operators.", MEMBERS)
    @console(Role.DATASET_OPERATOR)
    @transactional
    def get(self, session: Session, principal: Principal) -> Response:
        """List the dataset operators."""
        return render(render_members(runtime(), members.load_dataset_operators(session, principal)))


@ns.route(f"{HERE}/invite-email")
class Invite(Resource):
    """Inviting people."""

    @ns.expect(INVITE)
    @ns.response(201, "What became of each address.", INVITED)
    @ns.response(400, "A role nobody can be given: invalid-role.")
    @console(Role.ADMIN)
    @transactional
    def post(self, session: Session, principal: Principal) -> Response:
        """Invite addresses, by mail, or, where none is sent, by a link to pass on."""
        asked = parse(INVITE, InviteIn)
        invited = invitations.invite(
            runtime(),
            session,
            principal,
            emails=asked.emails,
            role=asked.role,
            language=asked.language or "en-US",
        )
        return render(render_invited(runtime(), base_url(), principal.tenant_id, invited), 201)


@ns.route(f"{HERE}/<string:member_id>")
class Member(Resource):
    """One member."""

    @ns.response(200, "Removed.", REMOVED)
    @ns.response(400, "Oneself: cannot-operate-self.")
    @ns.response(404, "No such member: member-not-found.")
    @ns.response(409, "Changed by somebody else meanwhile: conflict.")
    @console(Role.ADMIN)
    @transactional
    def delete(self, session: Session, principal: Principal, member_id: str) -> Response:
        """Remove a member, or take an invitation back."""
        members.remove_member(session, principal, member_id)
        return render({"result": "success", "tenant_id": principal.tenant_id})


@ns.route(f"{HERE}/<string:member_id>/update-role")
class MemberRole(Resource):
    """A member's role."""

    @ns.expect(MEMBER_ROLE)
    @ns.response(200, "It counts with their next call.", RESULT)
    @ns.response(400, "A role nobody can be given: invalid-role; oneself: cannot-operate-self.")
    @ns.response(404, "No such member: member-not-found.")
    @ns.response(409, "Changed by somebody else meanwhile: conflict.")
    @console(Role.ADMIN)
    @transactional
    def put(self, session: Session, principal: Principal, member_id: str) -> Response:
        """Give a member another role."""
        members.change_role(session, principal, member_id, parse(MEMBER_ROLE, MemberRoleIn).role)
        return render(render_success())


@ns.route(f"{HERE}/send-owner-transfer-confirm-email")
class TransferCode(Resource):
    """The code that confirms that the workspace is handed over."""

    @ns.response(200, "Sent; the token goes with the code.", SENT_CODE)
    @ns.response(400, "No mail is sent here: email_not_setup.")
    @console(Role.OWNER)
    @transactional
    def post(self, session: Session, principal: Principal) -> Response:
        """Send the owner a code."""
        token = members.send_transfer_code(runtime(), session, principal, address=request.remote_addr or "")
        return render(render_sent_code(token))


@ns.route(f"{HERE}/owner-transfer-check")
class TransferCheck(Resource):
    """Checking that code."""

    @ns.expect(CODE_CHECK)
    @ns.response(200, "Right; the token is for the transfer.", CHECKED_CODE)
    @ns.response(400, "A wrong code: email_code_error; a used or old one: invalid_or_expired_token.")
    @console(Role.OWNER)
    def post(self, principal: Principal) -> Response:
        """Check the code the owner was sent."""
        asked = parse(CODE_CHECK, CodeCheckIn)
        token, email = members.check_transfer_code(runtime(), principal, token=asked.token, code=asked.code)
        return render(render_checked_code(token, email))


@ns.route(f"{HERE}/<string:member_id>/owner-transfer")
class Transfer(Resource):
    """Handing the workspace over."""

    @ns.expect(TRANSFER)
    @ns.response(200, "The member is the owner now.", RESULT)
    @ns.response(400, "invalid_or_expired_token, current_password_incorrect, cannot-operate-self.")
    @ns.response(404, "No such member: member-not-found.")
    @ns.response(409, "Changed by somebody else meanwhile: conflict.")
    @console(Role.OWNER)
    def post(self, principal: Principal, member_id: str) -> Response:
        """Make another member the owner, by a confirmed code or one's password; one becomes an admin."""
        asked = parse(TRANSFER, TransferIn)
        members.transfer_ownership(
            runtime(), principal, member_id, token=asked.token, password=asked.password
        )
        return render(render_success())
