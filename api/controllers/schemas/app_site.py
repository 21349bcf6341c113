"""Sites of apps on the wire, and the smaller changes of an app: its name, its icon, a copy of it."""

from dataclasses import dataclass

from flask_restx import fields

from api.controllers.http.model import Model
from api.controllers.http.parsing import Boolean, Choice, Text, json_field, parser
from api.controllers.schemas.app import COLOUR, ICON, ICON_TYPE, LOOKS, NAME

STRATEGIES = ("not_allow", "allow", "must")


@dataclass(frozen=True, slots=True, kw_only=True)
class NameIn:
    """An app's new name."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IconIn:
    """An app's new icon; what is null stays."""

    icon: str | None = None
    icon_background: str | None = None
    icon_type: str | None = None


COPY = parser(
    json_field("name", NAME, nullable=True, help="The original's when absent; numbered where it is taken."),
    *LOOKS,
)
RENAME = parser(json_field("name", NAME, required=True, help="1 to 40 characters, unique in the workspace."))
ICON_CHANGE = parser(
    json_field("icon", ICON, nullable=True, help="An emoji, an http(s) address, or an uploaded image's id."),
    json_field("icon_background", COLOUR, nullable=True, help="A colour such as #FFEAD5."),
    json_field("icon_type", ICON_TYPE, nullable=True, help="Taken from the icon when absent."),
)
SITE_CHANGES = parser(
    json_field("title", Text(min_length=1, max_length=255, is_trimmed=True), help="Heading of the page."),
    *ICON_CHANGE.args,
    json_field("description", Text(max_length=400), nullable=True, help="Shown before the first message."),
    json_field(
        "default_language",
        Text(pattern="[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}", hint="a language such as en-US"),
        help="Language of the page.",
    ),
    json_field("chat_color_theme", Text(max_length=255), nullable=True, help="A colour such as #2563EB."),
    json_field("chat_color_theme_inverted", Boolean()),
    json_field("customize_domain", Text(max_length=255), nullable=True),
    json_field("copyright", Text(max_length=255), nullable=True, help="Shown below the conversation."),
    json_field("privacy_policy", Text(max_length=255), nullable=True, help="Address of a privacy policy."),
    json_field("custom_disclaimer", Text(max_length=512), help="Shown below the conversation."),
    json_field("input_placeholder", Text(max_length=255), nullable=True, help="Shown in the empty input."),
    json_field("customize_token_strategy", Choice(STRATEGIES)),
    json_field("prompt_public", Boolean()),
    json_field("show_workflow_steps", Boolean(), help="Whether guests see which nodes run."),
    json_field("use_icon_as_answer_icon", Boolean(), help="Show the icon beside answers."),
)

SITE_DETAIL = Model(
    "SiteDetail",
    {
        "access_token": fields.String(description="The same as code."),
        "code": fields.String(description="16 characters; the page is at /chat/{code}."),
        "title": fields.String,
        "icon_type": fields.String(nullable=True),
        "icon": fields.String(nullable=True),
        "icon_background": fields.String(nullable=True),
        "icon_url": fields.String(nullable=True),
        "description": fields.String(nullable=True),
        "default_language": fields.String,
        "chat_color_theme": fields.String(nullable=True),
        "chat_color_theme_inverted": fields.Boolean,
        "customize_domain": fields.String(nullable=True),
        "copyright": fields.String(nullable=True),
        "privacy_policy": fields.String(nullable=True),
        "custom_disclaimer": fields.String,
        "input_placeholder": fields.String(nullable=True),
        "customize_token_strategy": fields.String(enum=list(STRATEGIES)),
        "prompt_public": fields.Boolean,
        "app_base_url": fields.String,
        "show_workflow_steps": fields.Boolean,
        "use_icon_as_answer_icon": fields.Boolean,
        "created_by": fields.String(nullable=True),
        "created_at": fields.Integer,
        "updated_by": fields.String(nullable=True),
        "updated_at": fields.Integer,
    },
)
