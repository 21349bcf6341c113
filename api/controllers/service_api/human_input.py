"""Doors of the forms that runs wait for: see one, answer it."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http.auth import app_key
from api.controllers.http.door import render, runtime
from api.controllers.http.parsing import parse
from api.controllers.schemas.human_input import ANSWERED, FORM, FORM_ANSWER, FormAnswerIn, render_form
from api.services import forms
from api.services.tokens import KeyCaller

ns = Namespace("human_input", path="/", description="Forms that runs wait for")
NO_FORM = "The app has no such form."
OVER = "It has been answered, its time is over, or its run has ended."


@ns.route("/form/human_input/<string:form_token>")
class HumanInputForm(Resource):
    """A form."""

    @ns.response(200, "The form.", FORM)
    @ns.response(404, NO_FORM)
    @ns.response(412, OVER)
    @app_key()
    def get(self, caller: KeyCaller, form_token: str) -> Response:
        """Show a form that waits for an answer."""
        return render(render_form(forms.get_form(runtime(), caller.app, form_token)))

    @ns.expect(FORM_ANSWER)
    @ns.response(200, "Answered; the run goes on.", ANSWERED)
    @ns.response(400, "An answer that does not fit the form.")
    @ns.response(404, NO_FORM)
    @ns.response(412, OVER)
    @app_key()
    def post(self, caller: KeyCaller, form_token: str) -> Response:
        """Answer a form and let its run go on."""
        answer = parse(FORM_ANSWER, FormAnswerIn)
        forms.answer_form(
            runtime(),
            caller.app,
            caller.end_user(answer.user),
            form_token,
            action=answer.action,
            inputs=answer.inputs,
        )
        return render({})
