"""Doors of models: which of a type a dataset can be set up with."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http.auth import dataset_key
from api.controllers.http.door import base_url, render, runtime, transactional
from api.controllers.schemas.provider import USABLE_MODELS, render_usable
from api.controllers.schemas.provider import model_type as to_model_type
from api.principal import Principal
from api.runtime import Session
from api.services import providers

ns = Namespace("models", path="/", description="Models of the workspace")


@ns.route("/workspaces/current/models/model-types/<string:model_type>")
class UsableModels(Resource):
    """The models of a type that can be called now."""

    @ns.response(200, "Providers in use, with those of their models that can be called.", USABLE_MODELS)
    @dataset_key()
    @transactional
    def get(self, session: Session, principal: Principal, model_type: str) -> Response:
        """List the usable models of a type by provider."""
        views = providers.load_providers(runtime(), session, principal, to_model_type(model_type))
        return render({"data": [render_usable(view, base_url()) for view in views if view.usable_models]})
