"""Doors to the variables beside a draft, as an account's tests left them."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http.auth import console
from api.controllers.http.door import render, runtime, transactional
from api.controllers.http.parsing import parse
from api.controllers.schemas.draft_variable import (
    PAGE,
    VARIABLE,
    VARIABLE_CHANGE,
    VARIABLE_ITEM,
    VARIABLE_PAGE,
    VARIABLES,
    PageIn,
    parse_change,
    render_item,
    render_variable,
)
from api.core.workflow.variables import SYSTEM
from api.principal import Principal, Role
from api.runtime import Session
from api.services import draft_variables

ns = Namespace("draft_variables", path="/", description="Variables beside a draft")
for model in (VARIABLE_ITEM, VARIABLE, VARIABLES, VARIABLE_PAGE, VARIABLE_CHANGE):
    ns.add_model(model.name, model)
DRAFT = "/apps/<app_id>/workflows/draft"
NO_DRAFT = "There is no such app, or it has no draft yet."
NO_VARIABLE = "There is no such app or variable."


@ns.route(f"{DRAFT}/variables")
class Variables(Resource):
    """All that the tests of an account left."""

    @ns.expect(PAGE)
    @ns.response(200, "A page of variables without their values.", VARIABLE_PAGE)
    @ns.response(404, NO_DRAFT)
    @console(Role.EDITOR)
    @transactional
    def get(self, session: Session, principal: Principal, app_id: str) -> Response:
        """List the variables of all nodes."""
        asked = parse(PAGE, PageIn)
        found, total = draft_variables.load_page(
            session, principal, app_id, page=asked.page, limit=asked.limit
        )
        return render({"items": [render_item(variable) for variable in found], "total": total})

    @ns.response(204, "Forgotten.")
    @ns.response(404, NO_DRAFT)
    @console(Role.EDITOR)
    @transactional
    def delete(self, session: Session, principal: Principal, app_id: str) -> Response:
        """Forget all variables."""
        draft_variables.delete_variables(session, principal, app_id)
        return Response(status=204)


@ns.route(f"{DRAFT}/nodes/<string:node_id>/variables")
class NodeVariables(Resource):
    """What one node left."""

    @ns.response(200, "The variables.", VARIABLES)
    @ns.response(404, NO_DRAFT)
    @console(Role.EDITOR)
    @transactional
    def get(self, session: Session, principal: Principal, app_id: str, node_id: str) -> Response:
        """Return the variables of a node with their values."""
        found = draft_variables.load_of_node(session, principal, app_id, node_id)
        return render({"items": [render_variable(variable) for variable in found]})

    @ns.response(204, "Forgotten.")
    @ns.response(404, NO_DRAFT)
    @console(Role.EDITOR)
    @transactional
    def delete(self, session: Session, principal: Principal, app_id: str, node_id: str) -> Response:
        """Forget the variables of a node."""
        draft_variables.delete_variables(session, principal, app_id, node_id=node_id)
        return Response(status=204)


@ns.route(f"{DRAFT}/variables/<uuid:variable_id>")
class OneVariable(Resource):
    """One variable."""

    @ns.response(200, "The variable.", VARIABLE)
    @ns.response(404, NO_VARIABLE)
    @console(Role.EDITOR)
    @transactional
    def get(self, session: Session, principal: Principal, app_id: str, variable_id: object) -> Response:
        """Return a variable with its value."""
        found = draft_variables.get_variable(session, principal, app_id, str(variable_id))
        return render(render_variable(found))

    @ns.expect(VARIABLE_CHANGE)
    @ns.response(200, "The variable as it is now.", VARIABLE)
    @ns.response(400, "A value of another type, or a name that is taken.")
    @ns.response(404, NO_VARIABLE)
    @console(Role.EDITOR)
    @transactional
    def patch(self, session: Session, principal: Principal, app_id: str, variable_id: object) -> Response:
        """Give a variable another value, or another name; its id is another then."""
        change = parse_change()
        changed = draft_variables.update_variable(
            runtime(),
            session,
            principal,
            app_id,
            str(variable_id),
            name=change.name,
            value=change.value,
        )
        return render(render_variable(changed))

    @ns.response(204, "Forgotten.")
    @ns.response(404, NO_VARIABLE)
    @console(Role.EDITOR)
    @transactional
    def delete(self, session: Session, principal: Principal, app_id: str, variable_id: object) -> Response:
        """Forget a variable."""
        draft_variables.delete_variable(session, principal, app_id, str(variable_id))
        return Response(status=204)


@ns.route(f"{DRAFT}/variables/<uuid:variable_id>/reset")
class VariableReset(Resource):
    """One variable as it was."""

    @ns.response(200, "The variable as its run left it.", VARIABLE)
    @ns.response(204, "No run is known that left it; it is forgotten.")
    @ns.response(404, NO_VARIABLE)
    @console(Role.EDITOR)
    def put(self, principal: Principal, app_id: str, variable_id: object) -> Response:
        """Take back what was edited."""
        found = draft_variables.reset_variable(runtime(), principal, app_id, str(variable_id))
        return Response(status=204) if found is None else render(render_variable(found))


@ns.route(f"{DRAFT}/conversation-variables")
class ConversationVariables(Resource):
    """What conversations hold."""

    @ns.response(200, "The variables.", VARIABLES)
    @ns.response(404, NO_DRAFT)
    @console(Role.EDITOR)
    @transactional
    def get(self, session: Session, principal: Principal, app_id: str) -> Response:
        """Return the conversation variables that the draft declares."""
        found = draft_variables.load_conversation(session, principal, app_id)
        return render({"items": [render_variable(variable) for variable in found]})


@ns.route(f"{DRAFT}/system-variables")
class SystemVariables(Resource):
    """What the last run brought."""

    @ns.response(200, "The variables.", VARIABLES)
    @ns.response(404, NO_DRAFT)
    @console(Role.EDITOR)
    @transactional
    def get(self, session: Session, principal: Principal, app_id: str) -> Response:
        """Return the system variables of the last test."""
        found = draft_variables.load_of_node(session, principal, app_id, SYSTEM)
        return render({"items": [render_variable(variable) for variable in found]})


@ns.route(f"{DRAFT}/environment-variables")
class EnvironmentVariables(Resource):
    """What the workflow brings."""

    @ns.response(200, "The variables, secrets as masks.", VARIABLES)
    @ns.response(404, NO_DRAFT)
    @console(Role.EDITOR)
    @transactional
    def get(self, session: Session, principal: Principal, app_id: str) -> Response:
        """Return the environment variables that the draft declares."""
        found = draft_variables.load_environment(runtime(), session, principal, app_id)
        return render({"items": [render_variable(variable) for variable in found]})
