"""The web app: one static page for every app whose site is open, at the address its code makes.

The page's program speaks to /api as any guest does (docs/wire/web-app.md).
What must stay true: nothing on it comes from another server, and no text that
a model or a guest wrote becomes code.
"""

from pathlib import Path
from urllib.parse import quote, urlsplit

from flask import Blueprint, Response, send_from_directory

from api.controllers.http.auth import visitor
from api.controllers.http.door import public, runtime
from api.errors import NotFound
from api.services import passports

STATIC = Path(__file__).parent / "static"
ASSETS = {
    *("activate.js", "answer.js", "app.css", "app.js"),
    *("client.js", "form.js", "markdown.js", "texts.js", "view.js"),
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:{files}; form-action 'none'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)

FILES = '<meta name="files" content="{}">'
NO_FILES = FILES.format("")
"""Where files lie besides at the page's own address; its program and its policy name the same place."""

blueprint = Blueprint("web", __name__, url_prefix="/chat")


@blueprint.get("/<string:code>")
@visitor
def page(code: str) -> Response:
    """Give the page of an app, or one that says that there is none."""
    is_open = passports.is_open(runtime(), code)
    name, status = ("index.html", 200) if is_open else ("closed.html", 404)
    text = (STATIC / name).read_text(encoding="utf-8")
    return guarded_page(Response(with_files(text), status, mimetype="text/html"))


@blueprint.get("/assets/<string:name>")
@public
def asset(name: str) -> Response:
    """Give a part of the page."""
    if name not in ASSETS:
        raise NotFound("There is no such part of the page.")
    return guarded_page(send_from_directory(STATIC, name))


def with_files(text: str) -> str:
    """Return a page that knows where files lie."""
    return text.replace(NO_FILES, FILES.format(_files()), 1)


def guarded_page(response: Response) -> Response:
    """Let a browser run and load nothing but what this server has, and ask for it anew when it changed."""
    files = _files()
    response.headers["Content-Security-Policy"] = POLICY.format(files=files and f" {files}")
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cache-Control"] = "no-cache"
    return response


def _files() -> str:
    """Return where files lie at the address this server is known by; empty where it is known by none."""
    known = urlsplit(runtime().limits.public_url.rstrip("/"))
    path = quote(known.path, safe="/%")
    return f"{known.scheme}://{known.netloc}{path}/files/" if known.netloc else ""
