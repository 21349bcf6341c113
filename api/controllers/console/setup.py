"""The first start: is there an owner, and making one."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http.door import public, render, runtime, transactional
from api.controllers.http.parsing import parse
from api.controllers.schemas.fields import RESULT, render_success
from api.controllers.schemas.setup import (
    INIT,
    INIT_STATE,
    SETUP,
    SETUP_STATE,
    InitIn,
    SetupIn,
    render_init,
    render_setup,
)
from api.runtime import Session
from api.services import setup

ns = Namespace("setup", path="/", description="The first start")
for model in (RESULT, INIT_STATE, SETUP_STATE):
    ns.add_model(model.name, model)


@ns.route("/setup")
class Setup(Resource):
    """The owner of the installation."""

    @ns.response(200, "Whether there is an owner.", SETUP_STATE)
    @public
    @transactional
    def get(self, session: Session) -> Response:
        """Tell whether there is an owner, and since when."""
        return render(render_setup(setup.get_setup_time(session)))

    @ns.expect(SETUP)
    @ns.response(201, "The owner and a workspace were made.", RESULT)
    @ns.response(403, "There is an owner already: already_setup.")
    @public
    def post(self) -> Response:
        """Make the owner, with a workspace; works once."""
        asked = parse(SETUP, SetupIn)
        setup.set_up(
            runtime(), email=asked.email, name=asked.name, password=asked.password, language=asked.language
        )
        return render(render_success(), 201)


@ns.route("/init")
class Init(Resource):
    """The password some installations ask for before POST /setup; here there is none."""

    @ns.response(200, "Nothing guards the first start.", INIT_STATE)
    @public
    def get(self) -> Response:
        """Tell that no password is asked for."""
        return render(render_init())

    @ns.expect(INIT)
    @ns.response(201, "Go on with POST /setup.", RESULT)
    @ns.response(403, "There is an owner already: already_setup.")
    @public
    @transactional
    def post(self, session: Session) -> Response:
        """Accept any password while there is no owner."""
        parse(INIT, InitIn)
        setup.check_not_set_up(session)
        return render(render_success(), 201)
