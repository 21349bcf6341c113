"""The configuration of chat, completion and agent apps."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http.auth import console
from api.controllers.http.door import render, runtime, transactional
from api.controllers.http.parsing import json_body
from api.controllers.schemas.app_config import CONFIG_MODEL
from api.principal import Principal, Role
from api.runtime import Session
from api.services import app_configs

ns = Namespace("app_config", path="/", description="Configurations of apps")
ns.add_model(CONFIG_MODEL.name, CONFIG_MODEL)


@ns.route("/apps/<app_id>/model-config")
class ModelConfig(Resource):
    """The configuration in use."""

    @ns.expect(CONFIG_MODEL)
    @ns.response(200, "Saved; the app uses it from now on.")
    @console(Role.EDITOR)
    @transactional
    def post(self, session: Session, principal: Principal, app_id: str) -> Response:
        """Give the app a new configuration; what the body leaves out takes its default."""
        app_configs.save_config(runtime(), session, principal, app_id, json_body())
        return render({"result": "success"})
