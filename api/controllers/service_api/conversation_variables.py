"""Doors of a conversation's variables: what they hold, and what they are to hold."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http.auth import app_key
from api.controllers.http.door import render, runtime
from api.controllers.http.parsing import parse
from api.controllers.schemas.conversation_variable import (
    VARIABLE,
    VARIABLE_PAGE,
    VARIABLE_SET,
    VARIABLES,
    VariableIn,
    VariablesIn,
    render_variable,
)
from api.services import conversation_variables, generation
from api.services.tokens import KeyCaller

ns = Namespace("conversation_variables", path="/", description="Variables of conversations with chatflows")


@ns.route("/conversations/<string:conversation_id>/variables")
class ConversationVariables(Resource):
    """The variables of a conversation."""

    @ns.expect(VARIABLES)
    @ns.response(200, "One page of variables; chat apps have none.", VARIABLE_PAGE)
    @app_key("chat")
    def get(self, caller: KeyCaller, conversation_id: str) -> Response:
        """List what the variables of a conversation hold, in the order the workflow declares them."""
        generation.check_chat_mode(caller.app)
        asked = parse(VARIABLES, VariablesIn)
        page, has_more = conversation_variables.load_variables(
            runtime(),
            caller.app,
            caller.end_user(asked.user),
            conversation_id,
            name=asked.variable_name,
            last_id=asked.last_id,
            limit=asked.limit,
        )
        data = [render_variable(item) for item in page]
        return render({"limit": asked.limit, "has_more": has_more, "data": data})


@ns.route("/conversations/<string:conversation_id>/variables/<string:variable_id>")
class ConversationVariable(Resource):
    """One variable of a conversation."""

    @ns.expect(VARIABLE_SET)
    @ns.response(200, "The variable with its new value.", VARIABLE)
    @ns.response(400, "The value is not of the variable's type.")
    @app_key("chat")
    def put(self, caller: KeyCaller, conversation_id: str, variable_id: str) -> Response:
        """Set what a variable holds; the conversation's next message reads it."""
        generation.check_chat_mode(caller.app)
        asked = parse(VARIABLE_SET, VariableIn)
        item = conversation_variables.set_variable(
            runtime(), caller.app, caller.end_user(asked.user), conversation_id, variable_id, asked.value
        )
        return render(render_variable(item))
