"""Forms that runs wait for: what is shown of one, and an answer."""

from dataclasses import dataclass

from flask_restx import fields

from api.controllers.http.model import Model
from api.controllers.http.parsing import Object, Text, json_field, parser, query_field, user_name
from api.core.events import FormAsked
from api.core.ports import JSONObject
from api.core.workflow.templates import to_text


@dataclass(frozen=True, slots=True, kw_only=True)
class FormAnswerIn:
    """An answer to a form."""

    inputs: JSONObject
    action: str
    user: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkAnswerIn:
    """An answer by the link of a mail."""

    inputs: JSONObject
    action: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientIn:
    """The address a link was sent to."""

    to: str


RECIPIENT = parser(query_field("to", Text(min_length=3, max_length=254), required=True))
ANSWER_FIELDS = (
    json_field("inputs", Object(takes_empty_list=True), required=True, help="Values of the form's fields."),
    json_field("action", Text(min_length=1, max_length=20), required=True, help="The id of an action."),
)
LINK_ANSWER = parser(*ANSWER_FIELDS)
FORM_ANSWER = parser(
    *ANSWER_FIELDS,
    json_field("user", user_name, required=True, help="Who answers, as the caller names it."),
)
ACTION = Model(
    "HumanInputAction",
    {
        "id": fields.String,
        "title": fields.String,
        "button_style": fields.String(enum=["primary", "default", "accent", "ghost"]),
    },
)
FORM = Model(
    "HumanInputForm",
    {
        "form_content": fields.String,
        "inputs": fields.List(fields.Raw),
        "resolved_default_values": fields.Raw,
        "user_actions": fields.List(fields.Nested(ACTION)),
        "expiration_time": fields.Integer(nullable=True),
    },
)
ANSWERED = fields.Raw(description="Nothing: an empty object.", example={})


def render_form(form: FormAsked) -> JSONObject:
    """Return a form as who is to answer it sees it."""
    return {
        "form_content": form.content,
        "inputs": list(form.fields),
        "resolved_default_values": {name: to_text(value) for name, value in form.defaults.items()},
        "user_actions": list(form.actions),
        "expiration_time": form.expires_at,
    }
