"""Doors to what guests of an app's page do with answers: keep them, ask for others, go on from them.

Only the mount at /api has these. Wire: docs/wire/web-app.md.
"""

from functools import partial

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http import sse, swagger
from api.controllers.http.auth import guest
from api.controllers.http.door import base_url, render, runtime, transactional
from api.controllers.http.parsing import parse
from api.controllers.schemas.fields import RESULT, render_success
from api.controllers.schemas.guest import GUEST_COMPLETION
from api.controllers.schemas.saved_message import (
    AGAIN,
    PAGE_QUESTIONS,
    SAVE,
    SAVED,
    SAVED_PAGE,
    AgainIn,
    SavedIn,
    SaveIn,
    render_saved,
)
from api.runtime import Session
from api.services import files, generation, more_like_this, saved_messages, suggestions
from api.services.tokens import KeyCaller

ns = Namespace("guest_messages", path="/", description="What guests do with answers")
NO_MESSAGE = "The guest has no such message."


@ns.route("/messages/<string:message_id>/more-like-this")
class MoreLikeThis(Resource):
    """Other answers to what a message asked."""

    @ns.expect(AGAIN)
    @ns.doc(produces=swagger.ANSWER_OR_STREAM)
    @ns.response(200, "Another answer, or its events as they come.", GUEST_COMPLETION)
    @ns.response(400, "An app of another mode, or a model that does not answer.")
    @ns.response(403, "The app gives one answer: app_more_like_this_disabled.")
    @ns.response(404, NO_MESSAGE)
    @guest()
    def get(self, caller: KeyCaller, message_id: str) -> Response:
        """Ask a completion app again what a message asked it."""
        asked, principal = parse(AGAIN, AgainIn), caller.end_user(None)
        log = more_like_this.answer_again(
            runtime(),
            caller.app,
            principal,
            message_id,
            key_id=caller.key_id,
            invoke_from=caller.invoke_from,
            is_watched=asked.response_mode == "streaming",
        )
        return sse.respond(log, asked.response_mode, "continue", principal)


@ns.route("/messages/<string:message_id>/suggested-questions")
class NextQuestions(Resource):
    """Questions that may follow a message."""

    @ns.response(200, "Three questions as a rule; none where the model has none.", PAGE_QUESTIONS)
    @ns.response(400, "An app without conversations, or a model that does not answer.")
    @ns.response(403, "The app has none: app_suggested_questions_after_answer_disabled.")
    @ns.response(404, NO_MESSAGE)
    @guest()
    def get(self, caller: KeyCaller, message_id: str) -> Response:
        """Have a model write what the guest may want to ask next."""
        generation.check_chat_mode(caller.app)
        questions = suggestions.suggest_on_page(runtime(), caller.app, caller.end_user(None), message_id)
        return render({"data": questions})


@ns.route("/saved-messages")
class SavedMessages(Resource):
    """Answers the guest keeps."""

    @ns.expect(SAVED)
    @ns.response(200, "One page of them, the last kept first.", SAVED_PAGE)
    @ns.response(404, "The guest does not keep the message last_id.")
    @guest()
    @transactional
    def get(self, session: Session, caller: KeyCaller) -> Response:
        """List the answers of a completion app that the guest keeps."""
        more_like_this.check_completion_app(caller.app)
        asked = parse(SAVED, SavedIn)
        page, has_more = saved_messages.load_saved(
            session, caller.end_user(None), caller.app.id, last_id=asked.last_id, limit=asked.limit
        )
        link = partial(files.sign_url, runtime(), base_url=base_url())
        data = [render_saved(item, link) for item in page]
        return render({"limit": asked.limit, "has_more": has_more, "data": data})

    @ns.expect(SAVE)
    @ns.doc(params=swagger.IDEMPOTENCY_HEADER)
    @ns.response(200, "Kept.", RESULT)
    @ns.response(404, NO_MESSAGE)
    @guest()
    @transactional
    def post(self, session: Session, caller: KeyCaller) -> Response:
        """Keep an answer of a completion app."""
        more_like_this.check_completion_app(caller.app)
        asked = parse(SAVE, SaveIn)
        saved_messages.save_message(session, caller.end_user(None), caller.app.id, asked.message_id)
        return render(render_success())


@ns.route("/saved-messages/<string:message_id>")
class SavedMessage(Resource):
    """One answer the guest keeps."""

    @ns.response(204, "Kept no longer.")
    @ns.response(404, "The guest does not keep it.")
    @guest()
    @transactional
    def delete(self, session: Session, caller: KeyCaller, message_id: str) -> Response:
        """Keep an answer no longer."""
        more_like_this.check_completion_app(caller.app)
        saved_messages.delete_saved(session, caller.end_user(None), caller.app.id, message_id)
        return Response(status=204)
