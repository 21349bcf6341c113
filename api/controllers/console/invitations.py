"""Taking up an invitation: by whoever has its link, signed in or not."""

from flask import Response, request
from flask_restx import Namespace, Resource

from api.controllers.http.door import public, render, runtime, transactional
from api.controllers.http.parsing import parse
from api.controllers.http.sign_in import answer_with
from api.controllers.schemas.auth import SIGNED_IN, render_tokens
from api.controllers.schemas.fields import render_success
from api.controllers.schemas.invitation import (
    ACTIVATE,
    OFFER,
    OFFER_QUERY,
    OFFERED,
    ActivateIn,
    OfferIn,
    render_offer,
)
from api.runtime import Session
from api.services import invitations
from api.services.invitations import Newcomer

ns = Namespace("invitations", path="/", description="Invitations into workspaces")
for model in (OFFER, OFFERED, SIGNED_IN):
    ns.add_model(model.name, model)


@ns.route("/activate/check")
class ActivateCheck(Resource):
    """What an invitation offers."""

    @ns.expect(OFFER_QUERY)
    @ns.response(200, "The workspace and the address, while it is good.", OFFER)
    @public
    @transactional
    def get(self, session: Session) -> Response:
        """Tell what an invitation offers."""
        asked = parse(OFFER_QUERY, OfferIn)
        offer = invitations.find_offer(
            runtime(), session, asked.token, tenant_id=asked.workspace_id, email=asked.email
        )
        return render(render_offer(offer))


@ns.route("/activate")
class Activate(Resource):
    """Taking up an invitation."""

    @ns.expect(ACTIVATE)
    @ns.response(200, "A member now; who has an account already gets no tokens.", SIGNED_IN)
    @ns.response(403, "The invitation is no longer good: already_activate.")
    @public
    def post(self) -> Response:
        """Take up an invitation; an account is made where the address has none."""
        asked = parse(ACTIVATE, ActivateIn)
        newcomer = Newcomer(
            name=asked.name,
            language=asked.interface_language,
            timezone=asked.timezone,
            password=asked.password,
        )
        tokens = invitations.take_up(
            runtime(),
            asked.token,
            newcomer,
            tenant_id=asked.workspace_id,
            email=asked.email,
            address=request.remote_addr or "",
        )
        if tokens is None:
            return render(render_success())
        return answer_with(tokens, render_tokens(tokens, runtime().limits.access_ttl_s))
