"""Doors to the messages of an app: read and judged by its team."""

from functools import partial

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http import swagger
from api.controllers.http.auth import console
from api.controllers.http.door import base_url, render, runtime, transactional
from api.controllers.http.parsing import parse
from api.controllers.schemas.agent_log import AGENT_LOG, AGENT_LOG_QUERY, AgentLogIn, render_log
from api.controllers.schemas.app_message import (
    MESSAGE_DETAIL,
    TEAM_FEEDBACK,
    TeamFeedbackIn,
    render_detail,
)
from api.controllers.schemas.conversation_variable import (
    TEAM_VARIABLE_PAGE,
    TEAM_VARIABLES,
    TeamVariablesIn,
    render_variable,
)
from api.controllers.schemas.feedback_export import (
    CONTENT_TYPES,
    EXPORT_QUERY,
    FeedbackExportIn,
    render_export,
)
from api.controllers.schemas.fields import RESULT, render_success
from api.principal import Principal, Role
from api.runtime import Session
from api.services import agent_logs, app_messages, conversation_variables, feedback_exports, files

ns = Namespace("app_messages", path="/", description="Messages of apps")
NO_MESSAGE = "There is no such app, or it has no such message."


@ns.route("/apps/<app_id>/messages/<string:message_id>")
class AppMessage(Resource):
    """One message of an app."""

    @ns.response(200, "The message.", MESSAGE_DETAIL)
    @ns.response(404, NO_MESSAGE)
    @console(Role.EDITOR)
    @transactional
    def get(self, session: Session, principal: Principal, app_id: str, message_id: str) -> Response:
        """Show a message of any user of the app."""
        detail = app_messages.get_detail(session, principal, app_id, message_id)
        return render(render_detail(detail, partial(files.sign_url, runtime(), base_url=base_url())))


@ns.route("/apps/<app_id>/agent/logs")
class AgentLogs(Resource):
    """What an agent did before it answered."""

    @ns.expect(AGENT_LOG_QUERY)
    @ns.response(200, "Its rounds; none for a message no agent answered.", AGENT_LOG)
    @ns.response(404, NO_MESSAGE)
    @console(Role.EDITOR)
    @transactional
    def get(self, session: Session, principal: Principal, app_id: str) -> Response:
        """Show the rounds of an agent behind a message of any user of the app."""
        asked = parse(AGENT_LOG_QUERY, AgentLogIn)
        log = agent_logs.get_log(
            session,
            principal,
            app_id,
            conversation_id=asked.conversation_id,
            message_id=asked.message_id,
        )
        return render(render_log(log, partial(files.sign_url, runtime(), base_url=base_url()), base_url()))


@ns.route("/apps/<app_id>/conversation-variables")
class AppConversationVariables(Resource):
    """What a chatflow remembers of a conversation."""

    @ns.expect(TEAM_VARIABLES)
    @ns.response(200, "All of them, in one page.", TEAM_VARIABLE_PAGE)
    @ns.response(404, "There is no such app, or it has no such conversation.")
    @console(Role.EDITOR)
    def get(self, principal: Principal, app_id: str) -> Response:
        """List the variables of any conversation with an app, as its draft declares them."""
        asked = parse(TEAM_VARIABLES, TeamVariablesIn)
        items = conversation_variables.load_for_team(runtime(), principal, app_id, asked.conversation_id)
        data = [render_variable(item) for item in items]
        return render({"limit": 100, "page": 1, "total": len(data), "has_more": False, "data": data})


@ns.route("/apps/<app_id>/feedbacks")
class AppFeedbacks(Resource):
    """What an app's team thinks of its messages."""

    @ns.expect(TEAM_FEEDBACK)
    @ns.doc(params=swagger.IDEMPOTENCY_HEADER)
    @ns.response(200, "Kept, or taken back.", RESULT)
    @ns.response(404, NO_MESSAGE)
    @console(Role.EDITOR)
    @transactional
    def post(self, session: Session, principal: Principal, app_id: str) -> Response:
        """Rate a message for the app's team, change the rating, or take it back."""
        asked = parse(TEAM_FEEDBACK, TeamFeedbackIn)
        app_messages.rate(
            session, principal, app_id, asked.message_id, rating=asked.rating, content=asked.content
        )
        return render(render_success())


@ns.route("/apps/<app_id>/feedbacks/export")
class AppFeedbackExport(Resource):
    """All that was thought of an app's messages, as a file."""

    @ns.expect(EXPORT_QUERY)
    @ns.produces(list(CONTENT_TYPES.values()))
    @ns.response(200, "A table, or {feedback_data, export_info}; newest first.")
    @ns.response(404, "There is no such app.")
    @console(Role.EDITOR)
    def get(self, principal: Principal, app_id: str) -> Response:
        """Return the judgements of end users and of the team, with what was asked and answered."""
        asked = parse(EXPORT_QUERY, FeedbackExportIn)
        export = feedback_exports.export(runtime(), principal, app_id, asked.to_choice())
        answer = Response(render_export(export, asked.format), content_type=CONTENT_TYPES[asked.format])
        answer.headers["Content-Disposition"] = (
            f'attachment; filename="feedback-{export.app_id}.{asked.format}"'
        )
        return answer
