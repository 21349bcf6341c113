"""The page a mailed form is answered on, and what it asks: open to whoever has the link, for that form alone.

Wire: docs/wire/workflows.md#forms-by-mail.
"""

from flask import Blueprint, Response

from api.controllers.http.auth import visitor
from api.controllers.http.door import base_url, render, runtime
from api.controllers.http.parsing import parse
from api.controllers.http.uploads import sent_file, takes_files
from api.controllers.schemas.file import render_file
from api.controllers.schemas.human_input import (
    LINK_ANSWER,
    RECIPIENT,
    LinkAnswerIn,
    RecipientIn,
    render_form,
)
from api.controllers.web.pages import STATIC, guarded_page, with_files
from api.services import files, form_mails, forms, uploads
from api.services.form_mails import Linked

blueprint = Blueprint("forms", __name__, url_prefix="/form")


@blueprint.get("/<string:token>")
@visitor
def page(token: str) -> Response:
    """Give the page; whether the link is good it finds out for itself."""
    del token
    text = (STATIC / "answer.html").read_text(encoding="utf-8")
    return guarded_page(Response(with_files(text), mimetype="text/html"))


@blueprint.get("/<string:token>/asked")
@visitor
def asked(token: str) -> Response:
    """Show the form."""
    linked = _open(token)
    return render(render_form(forms.get_form(runtime(), linked.app, linked.form_token)))


@blueprint.post("/<string:token>/files")
@takes_files
@visitor
def upload(token: str) -> Response:
    """Keep a file for one of the form's fields."""
    linked = _open(token)
    forms.check_takes_files(forms.get_form(runtime(), linked.app, linked.form_token))
    file = uploads.create_upload(runtime(), linked.principal, sent_file())
    return render(render_file(file, files.sign_url(runtime(), file.id, base_url=base_url())), 201)


@blueprint.post("/<string:token>/answer")
@visitor
def answer(token: str) -> Response:
    """Answer the form and let its run go on."""
    linked, given = _open(token), parse(LINK_ANSWER, LinkAnswerIn)
    forms.answer_form(
        runtime(),
        linked.app,
        linked.principal,
        linked.form_token,
        action=given.action,
        inputs=given.inputs,
    )
    return render({})


def _open(token: str) -> Linked:
    return form_mails.open_link(runtime(), token, parse(RECIPIENT, RecipientIn).to)
