"""Providers of tools a workspace makes of OpenAPI documents."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http.auth import console
from api.controllers.http.door import render, runtime, transactional
from api.controllers.http.parsing import parse
from api.controllers.schemas.custom_tool import (
    CUSTOM_CHANGE,
    CUSTOM_MODEL,
    CUSTOM_NAME,
    CUSTOM_QUERY,
    DOCUMENT_MODEL,
    MODELS,
    NEW_CUSTOM,
    PARSED_MODEL,
    REMOTE,
    SCHEMA_CHECK,
    TRIAL,
    TRIAL_MODEL,
    CustomIn,
    CustomNameIn,
    RemoteIn,
    SchemaIn,
    TrialIn,
    render_custom_provider,
    render_parsed,
    render_tools,
)
from api.controllers.schemas.fields import RESULT, render_success
from api.controllers.schemas.tool import TOOL_MODEL
from api.principal import Principal, Role
from api.runtime import Session
from api.services import custom_tools

API = "/workspaces/current/tool-provider/api"

ns = Namespace("custom_tools", path="/", description="Tools of OpenAPI documents")
for model in (*MODELS, RESULT, TOOL_MODEL):
    ns.add_model(model.name, model)


@ns.route(f"{API}/add")
class NewCustomTool(Resource):
    """A new provider of custom tools."""

    @ns.expect(NEW_CUSTOM)
    @ns.response(200, "Kept.", RESULT)
    @console(Role.ADMIN)
    def post(self, principal: Principal) -> Response:
        """Make tools of a document."""
        custom_tools.create_provider(runtime(), principal, parse(NEW_CUSTOM, CustomIn).to_provider())
        return render(render_success())


@ns.route(f"{API}/update")
class CustomToolChange(Resource):
    """A changed provider of custom tools."""

    @ns.expect(CUSTOM_CHANGE)
    @ns.response(200, "It is so now.", RESULT)
    @console(Role.ADMIN)
    def post(self, principal: Principal) -> Response:
        """Replace a provider's document, credentials and looks."""
        asked = parse(CUSTOM_CHANGE, CustomIn)
        custom_tools.update_provider(runtime(), principal, asked.original_provider, asked.to_provider())
        return render(render_success())


@ns.route(f"{API}/delete")
class CustomToolDeletion(Resource):
    """A forgotten provider of custom tools."""

    @ns.expect(CUSTOM_NAME)
    @ns.response(200, "Forgotten.", RESULT)
    @console(Role.ADMIN)
    @transactional
    def post(self, session: Session, principal: Principal) -> Response:
        """Forget a provider and its tools."""
        custom_tools.delete_provider(session, principal, parse(CUSTOM_NAME, CustomNameIn).provider)
        return render(render_success())


@ns.route(f"{API}/get")
class CustomTool(Resource):
    """A provider of custom tools."""

    @ns.expect(CUSTOM_QUERY)
    @ns.response(200, "The provider, its key masked.", CUSTOM_MODEL)
    @console()
    def get(self, principal: Principal) -> Response:
        """Show a provider with its document."""
        asked = parse(CUSTOM_QUERY, CustomNameIn)
        return render(render_custom_provider(custom_tools.get_provider(runtime(), principal, asked.provider)))


@ns.route(f"{API}/tools")
class ToolsOfCustom(Resource):
    """The tools of a provider of custom tools."""

    @ns.expect(CUSTOM_QUERY)
    @ns.response(200, "The tools.", [TOOL_MODEL])
    @console()
    def get(self, principal: Principal) -> Response:
        """List the tools of a provider."""
        asked = parse(CUSTOM_QUERY, CustomNameIn)
        return render(render_tools(custom_tools.get_provider(runtime(), principal, asked.provider)))


@ns.route(f"{API}/remote")
class RemoteDocument(Resource):
    """A document at an address."""

    @ns.expect(REMOTE)
    @ns.response(200, "The document's text.", DOCUMENT_MODEL)
    @console(Role.EDITOR)
    def get(self, _principal: Principal) -> Response:
        """Fetch a document."""
        return render({"schema": custom_tools.fetch_document(runtime(), parse(REMOTE, RemoteIn).url)})


@ns.route(f"{API}/schema")
class ParsedDocument(Resource):
    """What a document comes to."""

    @ns.expect(SCHEMA_CHECK)
    @ns.response(200, "Its operations as tools.", PARSED_MODEL)
    @console(Role.EDITOR)
    def post(self, _principal: Principal) -> Response:
        """Read a document; nothing is stored."""
        kind, operations = custom_tools.parse_document(runtime(), parse(SCHEMA_CHECK, SchemaIn).schema)
        return render(render_parsed(kind, operations))


@ns.route(f"{API}/test/pre")
class CustomToolTrial(Resource):
    """A call of a tool, to see whether it works."""

    @ns.expect(TRIAL)
    @ns.response(200, "What the tool answered, or why it did not.", TRIAL_MODEL)
    @console(Role.ADMIN)
    def post(self, principal: Principal) -> Response:
        """Call a tool of a document; nothing is stored."""
        return render(custom_tools.try_tool(runtime(), principal, parse(TRIAL, TrialIn).to_trial()))
