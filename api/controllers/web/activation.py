"""The page an invitation leads to where there is no web console: static, it asks /console/api itself."""

from flask import Blueprint, Response

from api.controllers.http.door import public
from api.controllers.web.pages import STATIC, guarded_page

blueprint = Blueprint("activation", __name__)


@blueprint.get("/activate")
@public
def activate() -> Response:
    """Give the page; whether the link is still good it finds out for itself."""
    return guarded_page(Response((STATIC / "activate.html").read_bytes(), mimetype="text/html"))
