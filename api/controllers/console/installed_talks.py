"""Doors of what members said to apps they use: conversations, messages, answers that are kept.

As the web app has them, with the member's account as the user. Tests of apps in
the console are not among them.
"""

from functools import partial

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http import sse, swagger
from api.controllers.http.auth import console
from api.controllers.http.door import base_url, render, runtime, transactional
from api.controllers.http.parsing import parse
from api.controllers.schemas.chat import COMPLETION_ANSWER
from api.controllers.schemas.conversation import (
    CONVERSATION,
    CONVERSATION_PAGE,
    MESSAGE_PAGE,
    ConversationsIn,
    MessagesIn,
    RenameIn,
    render_conversation,
    render_message,
)
from api.controllers.schemas.fields import RESULT, render_success
from api.controllers.schemas.installed_app import (
    OWN_CONVERSATIONS,
    OWN_MESSAGES,
    OWN_NAME,
    OWN_RATING,
    OwnRatingIn,
)
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
from api.core.apps.spec import AppSpec
from api.principal import Principal
from api.runtime import Session
from api.services import (
    conversations,
    files,
    generation,
    installed_apps,
    messages,
    more_like_this,
    saved_messages,
    suggestions,
    titles,
)

APP = "/installed-apps/<installed_id>"
NO_TALK = "There is no such app, or the member has no such conversation."
NO_MESSAGE = "There is no such app, or the member has no such message."

ns = Namespace("installed_talks", path="/", description="What members said to apps")


def _access_chat(session: Session, principal: Principal, installed_id: str) -> AppSpec:
    app = installed_apps.access_installed(runtime(), session, principal, installed_id)
    generation.check_chat_mode(app)
    return app


def _access_completion(session: Session, principal: Principal, installed_id: str) -> AppSpec:
    app = installed_apps.access_installed(runtime(), session, principal, installed_id)
    more_like_this.check_completion_app(app)
    return app


def _open_chat(principal: Principal, installed_id: str) -> AppSpec:
    with runtime().reading() as session:
        return _access_chat(session, principal, installed_id)


@ns.route(f"{APP}/conversations")
class OwnConversations(Resource):
    """The member's conversations with an app."""

    @ns.expect(OWN_CONVERSATIONS)
    @ns.response(200, "One page of conversations.", CONVERSATION_PAGE)
    @ns.response(404, NO_TALK)
    @console()
    @transactional
    def get(self, session: Session, principal: Principal, installed_id: str) -> Response:
        """List conversations, latest change first unless said otherwise."""
        app, asked = _access_chat(session, principal, installed_id), parse(OWN_CONVERSATIONS, ConversationsIn)
        page, has_more = conversations.load_conversations(
            session,
            principal,
            app.id,
            last_id=asked.last_id,
            limit=asked.limit,
            sort_by=asked.sort_by,
            is_pinned=asked.pinned,
            invoke_from=installed_apps.INSTALLED,
        )
        data = [render_conversation(item) for item in page]
        return render({"limit": asked.limit, "has_more": has_more, "data": data})


@ns.route(f"{APP}/conversations/<string:conversation_id>")
class OwnConversation(Resource):
    """One conversation."""

    @ns.response(204, "Deleted.")
    @ns.response(404, NO_TALK)
    @console()
    @transactional
    def delete(
        self, session: Session, principal: Principal, installed_id: str, conversation_id: str
    ) -> Response:
        """Delete a conversation with all its messages."""
        app = _access_chat(session, principal, installed_id)
        conversations.delete_conversation(runtime(), session, principal, app.id, conversation_id)
        return Response(status=204)


@ns.route(f"{APP}/conversations/<string:conversation_id>/name")
class OwnConversationName(Resource):
    """A conversation's name."""

    @ns.expect(OWN_NAME)
    @ns.response(200, "The conversation with its new name.", CONVERSATION)
    @ns.response(404, NO_TALK)
    @console()
    def post(self, principal: Principal, installed_id: str, conversation_id: str) -> Response:
        """Rename a conversation, or let the app's model find a name."""
        app, asked = _open_chat(principal, installed_id), parse(OWN_NAME, RenameIn)
        item = titles.rename(
            runtime(), app, principal, conversation_id, name=asked.name, is_automatic=asked.auto_generate
        )
        return render(render_conversation(item))


@ns.route(f"{APP}/conversations/<string:conversation_id>/<any(pin,unpin):action>")
class OwnConversationPin(Resource):
    """Whether a conversation stands above the others."""

    @ns.response(200, "Done.", RESULT)
    @ns.response(404, NO_TALK)
    @console()
    @transactional
    def patch(
        self, session: Session, principal: Principal, installed_id: str, conversation_id: str, action: str
    ) -> Response:
        """Pin a conversation, or let it go."""
        app = _access_chat(session, principal, installed_id)
        conversations.pin_conversation(session, principal, app.id, conversation_id, is_pinned=action == "pin")
        return render(render_success())


@ns.route(f"{APP}/messages")
class OwnMessages(Resource):
    """The history of a conversation."""

    @ns.expect(OWN_MESSAGES)
    @ns.response(200, "One page of messages.", MESSAGE_PAGE)
    @ns.response(404, NO_TALK)
    @console()
    @transactional
    def get(self, session: Session, principal: Principal, installed_id: str) -> Response:
        """List messages, the latest page first, oldest message first inside it."""
        app, asked = _access_chat(session, principal, installed_id), parse(OWN_MESSAGES, MessagesIn)
        page, has_more = messages.load_messages(
            session,
            principal,
            app.id,
            str(asked.conversation_id),
            first_id=asked.first_id,
            limit=asked.limit,
        )
        link = partial(files.sign_url, runtime(), base_url=base_url())
        data = [render_message(item, link) for item in page]
        return render({"limit": asked.limit, "has_more": has_more, "data": data})


@ns.route(f"{APP}/messages/<string:message_id>/feedbacks")
class OwnRating(Resource):
    """A member's judgement of an answer."""

    @ns.expect(OWN_RATING)
    @ns.doc(params=swagger.IDEMPOTENCY_HEADER)
    @ns.response(200, "Kept, or taken back.", RESULT)
    @ns.response(404, NO_MESSAGE)
    @console()
    @transactional
    def post(self, session: Session, principal: Principal, installed_id: str, message_id: str) -> Response:
        """Rate an answer, change the rating, or take it back."""
        app = installed_apps.access_installed(runtime(), session, principal, installed_id)
        asked = parse(OWN_RATING, OwnRatingIn)
        messages.rate_message(
            session, principal, app.id, message_id, rating=asked.rating, content=asked.content
        )
        return render(render_success())


@ns.route(f"{APP}/messages/<string:message_id>/suggested-questions")
class OwnNextQuestions(Resource):
    """Questions that may follow a message."""

    @ns.response(200, "Three questions as a rule; none where the model has none.", PAGE_QUESTIONS)
    @ns.response(403, "The app has none: app_suggested_questions_after_answer_disabled.")
    @ns.response(404, NO_MESSAGE)
    @console()
    def get(self, principal: Principal, installed_id: str, message_id: str) -> Response:
        """Have a model write what the member may want to ask next."""
        app = _open_chat(principal, installed_id)
        return render({"data": suggestions.suggest_on_page(runtime(), app, principal, message_id)})


@ns.route(f"{APP}/messages/<string:message_id>/more-like-this")
class OwnMoreLikeThis(Resource):
    """Other answers to what a message asked."""

    @ns.expect(AGAIN)
    @ns.doc(produces=swagger.ANSWER_OR_STREAM)
    @ns.response(200, "Another answer, or its events as they come.", COMPLETION_ANSWER)
    @ns.response(403, "The app gives one answer: app_more_like_this_disabled.")
    @ns.response(404, NO_MESSAGE)
    @console()
    def get(self, principal: Principal, installed_id: str, message_id: str) -> Response:
        """Ask a completion app again what a message asked it."""
        app, asked = installed_apps.open_app(runtime(), principal, installed_id), parse(AGAIN, AgainIn)
        log = more_like_this.answer_again(
            runtime(),
            app,
            principal,
            message_id,
            key_id=None,
            invoke_from=installed_apps.INSTALLED,
            is_watched=asked.response_mode == "streaming",
        )
        return sse.respond(log, asked.response_mode, "continue", principal)


@ns.route(f"{APP}/saved-messages")
class OwnSavedMessages(Resource):
    """Answers the member keeps."""

    @ns.expect(SAVED)
    @ns.response(200, "One page of them, the last kept first.", SAVED_PAGE)
    @ns.response(404, "There is no such app, or the member does not keep the message last_id.")
    @console()
    @transactional
    def get(self, session: Session, principal: Principal, installed_id: str) -> Response:
        """List the answers of a completion app that the member keeps."""
        app, asked = _access_completion(session, principal, installed_id), parse(SAVED, SavedIn)
        page, has_more = saved_messages.load_saved(
            session, principal, app.id, last_id=asked.last_id, limit=asked.limit
        )
        link = partial(files.sign_url, runtime(), base_url=base_url())
        data = [render_saved(item, link) for item in page]
        return render({"limit": asked.limit, "has_more": has_more, "data": data})

    @ns.expect(SAVE)
    @ns.doc(params=swagger.IDEMPOTENCY_HEADER)
    @ns.response(200, "Kept.", RESULT)
    @ns.response(404, NO_MESSAGE)
    @console()
    @transactional
    def post(self, session: Session, principal: Principal, installed_id: str) -> Response:
        """Keep an answer of a completion app."""
        app, asked = _access_completion(session, principal, installed_id), parse(SAVE, SaveIn)
        saved_messages.save_message(session, principal, app.id, asked.message_id)
        return render(render_success())


@ns.route(f"{APP}/saved-messages/<string:message_id>")
class OwnSavedMessage(Resource):
    """One answer the member keeps."""

    @ns.response(204, "Kept no longer.")
    @ns.response(404, "There is no such app, or the member does not keep the message.")
    @console()
    @transactional
    def delete(self, session: Session, principal: Principal, installed_id: str, message_id: str) -> Response:
        """Keep an answer no longer."""
        app = _access_completion(session, principal, installed_id)
        saved_messages.delete_saved(session, principal, app.id, message_id)
        return Response(status=204)
