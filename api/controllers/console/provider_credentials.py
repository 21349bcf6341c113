"""Credentials of the workspace's model providers: shown masked, saved once the provider accepts them."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http.auth import console
from api.controllers.http.door import claim, render, runtime, transactional
from api.controllers.http.parsing import parse
from api.controllers.schemas.provider import (
    CREDENTIAL,
    CREDENTIAL_CHANGE,
    CREDENTIAL_CHOICE,
    CREDENTIAL_QUERY,
    CredentialChangeIn,
    CredentialIdIn,
    CredentialIn,
    CredentialQuery,
    render_check,
)
from api.principal import Principal, Role
from api.runtime import Session
from api.services import provider_credentials

PROVIDER = "/workspaces/current/model-providers/<path:provider>"

ns = Namespace("provider_credentials", path="/", description="Credentials of model providers")


@ns.route(PROVIDER)
class Provider(Resource):
    """All credentials of a provider; the form older consoles use."""

    @ns.expect(CREDENTIAL)
    @ns.response(201, "Saved; the provider accepted them.")
    @console(Role.ADMIN)
    def post(self, principal: Principal, provider: str) -> Response:
        """Replace the credentials in use, or store the first ones."""
        asked = parse(CREDENTIAL, CredentialIn)
        provider_credentials.save_current_credential(runtime(), principal, provider, asked.credentials)
        return render({"result": "success"}, 201)

    @ns.response(204, "Forgotten.")
    @console(Role.ADMIN)
    @transactional
    def delete(self, session: Session, principal: Principal, provider: str) -> Response:
        """Forget all credentials of a provider."""
        provider_credentials.delete_credentials(runtime(), session, principal, provider)
        return Response(status=204)


@ns.route(f"{PROVIDER}/credentials")
class Credentials(Resource):
    """Stored credentials of a provider."""

    @ns.expect(CREDENTIAL_QUERY)
    @ns.response(200, "The fields, secrets masked; null when none are in use.")
    @console()
    @transactional
    def get(self, session: Session, principal: Principal, provider: str) -> Response:
        """Show credentials, secrets masked."""
        asked = parse(CREDENTIAL_QUERY, CredentialQuery)
        shown = provider_credentials.get_credential(
            runtime(), session, principal, provider, asked.credential_id
        )
        return render({"credentials": shown})

    @ns.expect(CREDENTIAL)
    @ns.response(201, "Saved; the provider accepted them.")
    @console(Role.ADMIN)
    def post(self, principal: Principal, provider: str) -> Response:
        """Store more credentials; they are used at once if none were in use."""
        asked = parse(CREDENTIAL, CredentialIn)
        provider_credentials.create_credential(
            runtime(),
            principal,
            provider,
            sent=asked.credentials,
            name=asked.name,
            claim=claim(principal.tenant_id, principal.id),
        )
        return render({"result": "success"}, 201)

    @ns.expect(CREDENTIAL_CHANGE)
    @ns.response(200, "Saved; the provider accepted them.")
    @console(Role.ADMIN)
    def put(self, principal: Principal, provider: str) -> Response:
        """Replace stored credentials."""
        asked = parse(CREDENTIAL_CHANGE, CredentialChangeIn)
        provider_credentials.update_credential(
            runtime(), principal, provider, asked.credential_id, sent=asked.credentials, name=asked.name
        )
        return render({"result": "success"})

    @ns.expect(CREDENTIAL_CHOICE)
    @ns.response(204, "Forgotten.")
    @console(Role.ADMIN)
    @transactional
    def delete(self, session: Session, principal: Principal, provider: str) -> Response:
        """Forget credentials; if they were in use, none are until others are switched to."""
        asked = parse(CREDENTIAL_CHOICE, CredentialIdIn)
        provider_credentials.delete_credential(runtime(), session, principal, provider, asked.credential_id)
        return Response(status=204)


@ns.route(f"{PROVIDER}/credentials/switch")
class CredentialSwitch(Resource):
    """Which credentials are in use."""

    @ns.expect(CREDENTIAL_CHOICE)
    @ns.response(200, "Switched.")
    @console(Role.ADMIN)
    @transactional
    def post(self, session: Session, principal: Principal, provider: str) -> Response:
        """Use other stored credentials from now on."""
        asked = parse(CREDENTIAL_CHOICE, CredentialIdIn)
        provider_credentials.switch_credential(runtime(), session, principal, provider, asked.credential_id)
        return render({"result": "success"})


@ns.route(f"{PROVIDER}/credentials/validate")
class CredentialCheck(Resource):
    """Trying credentials out."""

    @ns.expect(CREDENTIAL)
    @ns.response(200, "Whether the provider accepts them, and what it said if not.")
    @console(Role.ADMIN)
    def post(self, principal: Principal, provider: str) -> Response:
        """Ask the provider whether it accepts credentials; stores nothing."""
        asked = parse(CREDENTIAL, CredentialIn)
        fault = provider_credentials.find_fault(
            runtime(), principal, provider, asked.credentials, asked.credential_id
        )
        return render(render_check(fault))
