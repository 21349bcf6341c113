"""Doors of single messages: what end users think of them."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http import swagger
from api.controllers.http.auth import app_key
from api.controllers.http.door import render, transactional
from api.controllers.http.parsing import parse
from api.controllers.schemas.conversation import FEEDBACK, FeedbackIn
from api.controllers.schemas.fields import RESULT
from api.runtime import Session
from api.services import messages
from api.services.tokens import KeyCaller

ns = Namespace("messages", path="/", description="Single messages")


@ns.route("/messages/<string:message_id>/feedbacks")
class MessageFeedbacks(Resource):
    """An end user's judgement of a message."""

    @ns.expect(FEEDBACK)
    @ns.doc(params=swagger.IDEMPOTENCY_HEADER)
    @ns.response(200, "Kept, or taken back.", RESULT)
    @app_key()
    @transactional
    def post(self, session: Session, caller: KeyCaller, message_id: str) -> Response:
        """Rate a message, change the rating, or take it back."""
        asked = parse(FEEDBACK, FeedbackIn)
        messages.rate_message(
            session,
            caller.end_user(asked.user),
            caller.app.id,
            message_id,
            rating=asked.rating,
            content=asked.content,
        )
        return render({"result": "success"})
