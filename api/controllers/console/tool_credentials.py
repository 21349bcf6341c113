"""One provider of tools, built in or of a plugin: what it is, and the workspace's credentials for it."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http.auth import console
from api.controllers.http.door import base_url, public, render, runtime, transactional
from api.controllers.http.parsing import parse
from api.controllers.schemas.fields import RESULT, render_success
from api.controllers.schemas.tool import (
    CREDENTIAL_CHANGE,
    CREDENTIAL_CHOICE,
    CREDENTIAL_MODEL,
    DEFAULT,
    NEW_CREDENTIAL,
    PROVIDER_MODEL,
    TOOL_MODEL,
    CredentialChangeIn,
    CredentialIdIn,
    DefaultIn,
    NewCredentialIn,
    render_builtin,
    render_credential,
    render_form,
    render_tools,
)
from api.principal import Principal, Role
from api.runtime import Session
from api.services import tool_credentials

BUILTIN = "/workspaces/current/tool-provider/builtin/<path:provider>"
ICON_HEADERS = {
    "Cache-Control": "public, max-age=86400",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "X-Content-Type-Options": "nosniff",
}

ns = Namespace("tool_credentials", path="/", description="Built-in tools and their credentials")
for model in (RESULT, TOOL_MODEL, PROVIDER_MODEL, CREDENTIAL_MODEL):
    ns.add_model(model.name, model)


@ns.route(f"{BUILTIN}/tools")
class BuiltinTools(Resource):
    """The tools of a built-in provider."""

    @ns.response(200, "The tools.", [TOOL_MODEL])
    @console()
    @transactional
    def get(self, session: Session, principal: Principal, provider: str) -> Response:
        """List the tools of a built-in provider."""
        found = tool_credentials.get_provider(runtime(), session, principal, provider)
        return render(render_tools(found))


@ns.route(f"{BUILTIN}/info")
class BuiltinInfo(Resource):
    """A built-in provider."""

    @ns.response(200, "The provider with its tools.", PROVIDER_MODEL)
    @console()
    @transactional
    def get(self, session: Session, principal: Principal, provider: str) -> Response:
        """Show a built-in provider."""
        found = tool_credentials.get_provider(runtime(), session, principal, provider)
        credentials = tool_credentials.load_credentials(runtime(), session, principal, provider)
        return render(render_builtin(found, credentials, base_url(), with_tools=True))


@ns.route(f"{BUILTIN}/icon")
class BuiltinIcon(Resource):
    """The icon of a built-in provider."""

    @ns.produces(["image/svg+xml"])
    @ns.response(200, "The icon.")
    @public
    def get(self, provider: str) -> Response:
        """Fetch a provider's icon; it is the same for every workspace."""
        icon = tool_credentials.get_builtin_icon(provider)
        return Response(icon, headers=ICON_HEADERS, content_type="image/svg+xml; charset=utf-8")


@ns.route(f"{BUILTIN}/credentials")
class BuiltinCredentials(Resource):
    """The credentials of a built-in provider."""

    @ns.response(200, "The credentials, secrets masked.", [CREDENTIAL_MODEL])
    @console()
    @transactional
    def get(self, session: Session, principal: Principal, provider: str) -> Response:
        """List the workspace's credentials for a provider, oldest first."""
        found = tool_credentials.load_credentials(runtime(), session, principal, provider)
        return render([render_credential(view) for view in found])


@ns.route(f"{BUILTIN}/credential/info")
class BuiltinCredentialInfo(Resource):
    """How a built-in provider may be given credentials, and which there are."""

    @ns.response(200, "The kinds of credentials, and those there are.")
    @console()
    @transactional
    def get(self, session: Session, principal: Principal, provider: str) -> Response:
        """Show the kinds of credentials a provider takes, and those the workspace has."""
        known = tool_credentials.get_provider(runtime(), session, principal, provider)
        has_form = bool(known.schema.credential_fields)
        found = tool_credentials.load_credentials(runtime(), session, principal, provider)
        return render(
            {
                "supported_credential_types": ["api-key"] if has_form else [],
                "credentials": [render_credential(view) for view in found],
                "is_oauth_custom_client_enabled": False,
            }
        )


@ns.route(f'{BUILTIN}/credential/schema/<any("api-key"):kind>')
class BuiltinCredentialForm(Resource):
    """The form of a built-in provider's credentials."""

    @ns.response(200, "The fields.")
    @console()
    @transactional
    def get(self, session: Session, principal: Principal, provider: str, kind: str) -> Response:
        """Show the form of a provider's credentials."""
        del kind
        found = tool_credentials.get_provider(runtime(), session, principal, provider)
        return render(render_form(found.schema.credential_fields))


@ns.route(f"{BUILTIN}/add")
class NewBuiltinCredential(Resource):
    """New credentials of a built-in provider."""

    @ns.expect(NEW_CREDENTIAL)
    @ns.response(200, "Stored; the provider accepted them.", RESULT)
    @console(Role.ADMIN)
    def post(self, principal: Principal, provider: str) -> Response:
        """Store credentials, once the provider has accepted them."""
        asked = parse(NEW_CREDENTIAL, NewCredentialIn)
        tool_credentials.create_credential(
            runtime(), principal, provider, sent=asked.credentials, name=asked.name
        )
        return render(render_success())


@ns.route(f"{BUILTIN}/update")
class BuiltinCredentialChange(Resource):
    """Changed credentials of a built-in provider."""

    @ns.expect(CREDENTIAL_CHANGE)
    @ns.response(200, "They are so now.", RESULT)
    @console(Role.ADMIN)
    def post(self, principal: Principal, provider: str) -> Response:
        """Replace or rename stored credentials."""
        asked = parse(CREDENTIAL_CHANGE, CredentialChangeIn)
        tool_credentials.update_credential(
            runtime(), principal, provider, asked.credential_id, sent=asked.credentials, name=asked.name
        )
        return render(render_success())


@ns.route(f"{BUILTIN}/delete")
class BuiltinCredentialDeletion(Resource):
    """Forgotten credentials of a built-in provider."""

    @ns.expect(CREDENTIAL_CHOICE)
    @ns.response(200, "Forgotten.", RESULT)
    @console(Role.ADMIN)
    @transactional
    def post(self, session: Session, principal: Principal, provider: str) -> Response:
        """Forget stored credentials."""
        asked = parse(CREDENTIAL_CHOICE, CredentialIdIn)
        tool_credentials.delete_credential(runtime(), session, principal, provider, asked.credential_id)
        return render(render_success())


@ns.route(f"{BUILTIN}/default-credential")
class BuiltinDefault(Resource):
    """The credentials of a built-in provider that are used where none are named."""

    @ns.expect(DEFAULT)
    @ns.response(200, "They are the default now.", RESULT)
    @console(Role.ADMIN)
    @transactional
    def post(self, session: Session, principal: Principal, provider: str) -> Response:
        """Choose the default among stored credentials."""
        asked = parse(DEFAULT, DefaultIn)
        tool_credentials.choose_default(runtime(), session, principal, provider, asked.id)
        return render(render_success())
