"""The models of one provider: those it has, those added by name, and credentials of their own."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http.auth import console
from api.controllers.http.door import render, runtime, transactional
from api.controllers.http.parsing import parse
from api.controllers.schemas.provider import (
    MODEL,
    MODEL_CREDENTIAL,
    MODEL_CREDENTIAL_CHANGE,
    MODEL_CREDENTIAL_CHOICE,
    MODEL_QUERY,
    ModelCredentialChangeIn,
    ModelCredentialIdIn,
    ModelCredentialIn,
    ModelIn,
    render_check,
    render_model,
    render_model_credential,
)
from api.principal import Principal, Role
from api.runtime import Session
from api.services import custom_models, providers

PROVIDER = "/workspaces/current/model-providers/<path:provider>"

ns = Namespace("custom_models", path="/", description="Models of one provider")


@ns.route(f"{PROVIDER}/models")
class Models(Resource):
    """The models of one provider."""

    @ns.response(200, "The models.")
    @console()
    @transactional
    def get(self, session: Session, principal: Principal, provider: str) -> Response:
        """List a provider's models, those the workspace added included."""
        view = providers.get_provider(runtime(), session, principal, provider)
        return render({"data": [render_model(model) for model in view.models]})

    @ns.expect(MODEL)
    @ns.response(200, "Added, or there already.")
    @console(Role.ADMIN)
    @transactional
    def post(self, session: Session, principal: Principal, provider: str) -> Response:
        """Add a model that uses the provider's credentials."""
        asked = parse(MODEL, ModelIn)
        custom_models.add_model(
            runtime(), session, principal, provider, model=asked.model, kind=asked.model_type
        )
        return render({"result": "success"})

    @ns.expect(MODEL)
    @ns.response(204, "Removed.")
    @console(Role.ADMIN)
    @transactional
    def delete(self, session: Session, principal: Principal, provider: str) -> Response:
        """Remove an added model with its credentials."""
        asked = parse(MODEL, ModelIn)
        custom_models.remove_model(
            runtime(), session, principal, provider, model=asked.model, kind=asked.model_type
        )
        return Response(status=204)


@ns.route(f"{PROVIDER}/models/credentials")
class ModelCredentials(Resource):
    """Credentials of an added model's own."""

    @ns.expect(MODEL_QUERY)
    @ns.response(200, "The fields, secrets masked.")
    @console()
    @transactional
    def get(self, session: Session, principal: Principal, provider: str) -> Response:
        """Show a model's own credentials, secrets masked."""
        asked = parse(MODEL_QUERY, ModelIn)
        added, masked = custom_models.get_model_credential(
            runtime(), session, principal, provider, model=asked.model, kind=asked.model_type
        )
        return render(render_model_credential(added, masked))

    @ns.expect(MODEL_CREDENTIAL)
    @ns.response(201, "Saved; the provider accepted them.")
    @console(Role.ADMIN)
    def post(self, principal: Principal, provider: str) -> Response:
        """Give a model credentials of its own, adding it where it was not there."""
        asked = parse(MODEL_CREDENTIAL, ModelCredentialIn)
        custom_models.save_model_credential(
            runtime(),
            principal,
            provider,
            asked.credentials,
            model=asked.model,
            kind=asked.model_type,
        )
        return render({"result": "success"}, 201)

    @ns.expect(MODEL_CREDENTIAL_CHANGE)
    @ns.response(200, "Saved; the provider accepted them.")
    @console(Role.ADMIN)
    def put(self, principal: Principal, provider: str) -> Response:
        """Replace a model's own credentials."""
        asked = parse(MODEL_CREDENTIAL_CHANGE, ModelCredentialChangeIn)
        custom_models.save_model_credential(
            runtime(),
            principal,
            provider,
            asked.credentials,
            model=asked.model,
            kind=asked.model_type,
            credential_id=asked.credential_id,
        )
        return render({"result": "success"})

    @ns.expect(MODEL_CREDENTIAL_CHOICE)
    @ns.response(204, "Forgotten.")
    @console(Role.ADMIN)
    @transactional
    def delete(self, session: Session, principal: Principal, provider: str) -> Response:
        """Forget a model's own credentials, and with them the model."""
        asked = parse(MODEL_CREDENTIAL_CHOICE, ModelCredentialIdIn)
        custom_models.delete_model_credential(
            runtime(),
            session,
            principal,
            provider,
            asked.credential_id,
            model=asked.model,
            kind=asked.model_type,
        )
        return Response(status=204)


@ns.route(f"{PROVIDER}/models/credentials/validate")
class ModelCredentialCheck(Resource):
    """Trying a model's credentials out."""

    @ns.expect(MODEL_CREDENTIAL)
    @ns.response(200, "Whether the provider accepts them, and what it said if not.")
    @console(Role.ADMIN)
    def post(self, principal: Principal, provider: str) -> Response:
        """Ask the provider whether it accepts a model's credentials; stores nothing."""
        asked = parse(MODEL_CREDENTIAL, ModelCredentialIn)
        fault = custom_models.find_model_fault(
            runtime(),
            principal,
            provider,
            asked.credentials,
            model=asked.model,
            kind=asked.model_type,
        )
        return render(render_check(fault))
