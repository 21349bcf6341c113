"""Doors of single messages: what people think of them, and what end users may ask next."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http import swagger
from api.controllers.http.auth import app_key
from api.controllers.http.door import render, runtime, transactional
from api.controllers.http.parsing import parse
from api.controllers.schemas.conversation import QUESTIONS, USER_NEEDED, UserQuery
from api.controllers.schemas.feedback import (
    FEEDBACK,
    FEEDBACK_LIST,
    FEEDBACKS,
    FeedbackIn,
    FeedbacksIn,
    render_feedback,
)
from api.controllers.schemas.fields import RESULT
from api.runtime import Session
from api.services import generation, messages, suggestions
from api.services.tokens import KeyCaller

ns = Namespace("messages", path="/", description="Single messages")


@ns.route("/messages/<string:message_id>/feedbacks")
class MessageFeedbacks(Resource):
    """An end user's judgement of a message."""

    @ns.expect(FEEDBACK)
    @ns.doc(params=swagger.IDEMPOTENCY_HEADER)
    @ns.response(200, "Kept, or taken back.", RESULT)
    @app_key(has_guests=True)
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


@ns.route("/app/feedbacks")
class Feedbacks(Resource):
    """All that was thought of the app's messages."""

    @ns.expect(FEEDBACKS)
    @ns.response(200, "One page of feedback.", FEEDBACK_LIST)
    @app_key()
    @transactional
    def get(self, session: Session, caller: KeyCaller) -> Response:
        """List the feedback of end users and of the console, latest first."""
        asked = parse(FEEDBACKS, FeedbacksIn)
        page = messages.load_feedbacks(
            session, caller.app.tenant_id, caller.app.id, page=asked.page, limit=asked.limit
        )
        return render({"data": [render_feedback(item) for item in page]})


@ns.route("/messages/<string:message_id>/suggested")
class MessageSuggestions(Resource):
    """Questions that may follow a message."""

    @ns.expect(USER_NEEDED)
    @ns.response(200, "Three questions as a rule; none where the model has none.", QUESTIONS)
    @ns.response(400, "The app does not suggest questions, or its model does not answer.")
    @app_key("chat")
    def get(self, caller: KeyCaller, message_id: str) -> Response:
        """Have a model write what the end user may want to ask next."""
        generation.check_chat_mode(caller.app)
        principal = caller.end_user(parse(USER_NEEDED, UserQuery).user)
        questions = suggestions.suggest_questions(
            runtime(), caller.app, principal, message_id, key_id=caller.key_id
        )
        return render({"result": "success", "data": questions})
