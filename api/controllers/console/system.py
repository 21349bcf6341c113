"""What the console asks of the server before anybody signs in."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http.door import public, render, runtime
from api.controllers.http.parsing import parse
from api.controllers.schemas.system import (
    PONG,
    SYSTEM_FEATURES,
    VERSION,
    VERSION_OUT,
    VersionIn,
    render_pong,
    render_system_features,
    render_version,
)

ns = Namespace("system", path="/", description="What this installation is")
for model in (PONG, VERSION_OUT, SYSTEM_FEATURES):
    ns.add_model(model.name, model)


@ns.route("/ping")
class Ping(Resource):
    """Whether the server is there."""

    @ns.response(200, "It is.", PONG)
    @public
    def get(self) -> Response:
        """Answer."""
        return render(render_pong())


@ns.route("/version")
class Version(Resource):
    """Whether the console is current."""

    @ns.expect(VERSION)
    @ns.response(200, "The version to use.", VERSION_OUT)
    @public
    def get(self) -> Response:
        """Return the asking console's own version; nothing outside is asked for a newer one."""
        return render(render_version(parse(VERSION, VersionIn).current_version))


@ns.route("/system-features")
class SystemFeatures(Resource):
    """What this installation offers."""

    @ns.response(200, "Switches of the sign-in page and the console.", SYSTEM_FEATURES)
    @public
    def get(self) -> Response:
        """Return which ways to sign in and which parts of the console there are."""
        return render(render_system_features(has_mail=runtime().mailer is not None))
