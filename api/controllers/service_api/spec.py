"""What the public API says of itself: a welcome, an OpenAPI document, a page to read and try it."""

from typing import cast

from flask import Response, render_template, url_for
from flask_restx import Namespace, Resource

from api import __version__
from api.controllers.http.door import public, render
from api.controllers.http.swagger import DescribedApi
from api.controllers.schemas.info import WELCOME

ns = Namespace("spec", path="/", description="The API itself")


@ns.route("/")
class Welcome(Resource):
    """The root of the mount."""

    @ns.response(200, "A greeting and the version.", WELCOME)
    @public
    def get(self) -> Response:
        """Say what answers here."""
        return render({"welcome": "Slipway service API", "api_version": "v1", "server_version": __version__})


@ns.route("/openapi.json", doc=False)
class OpenAPIDocument(Resource):
    """The API as OpenAPI 3.0.3."""

    @public
    def get(self) -> Response:
        """Return the description, made on the first request for it."""
        return render(self.api.openapi)


@ns.route("/docs", doc=False)
class Docs(Resource):
    """Swagger UI on that document; its files are flask-restx's, under /swaggerui."""

    @public
    def get(self) -> Response:
        """Return the page."""
        document = url_for(f".{ns.name}_open_api_document")
        page = render_template("swagger-ui.html", title=self.api.title, specs_url=document)
        return Response(page, mimetype="text/html")


class PublicApi(DescribedApi):
    """The public API; flask-restx takes the rule of its root before any door can."""

    def render_root(self) -> Response:
        """Answer at the root."""
        return cast("Response", Welcome(self).get())
