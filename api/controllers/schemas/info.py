"""What an app tells of itself, as the public API shows it."""

from dataclasses import asdict
from urllib.parse import urljoin

from flask_restx import fields

from api.controllers.http.model import Model
from api.controllers.schemas.fields import to_iso
from api.controllers.schemas.guest import render_guest_site
from api.core.ports import JSONObject
from api.services.app_info import SiteInfo
from api.services.end_users import EndUserItem
from api.services.tokens import KeyCaller

SWITCH = Model("Switch", {"enabled": fields.Boolean})
IMAGE_UPLOAD = Model(
    "ImageUpload",
    {
        "enabled": fields.Boolean,
        "number_limits": fields.Integer(description="Images a message may carry."),
        "detail": fields.String(enum=["high", "low"]),
        "transfer_methods": fields.List(fields.String(enum=["remote_url", "local_file"])),
    },
)
FILE_UPLOAD = Model(
    "FileUpload",
    {
        "enabled": fields.Boolean,
        "image": fields.Nested(IMAGE_UPLOAD),
        "allowed_file_types": fields.List(fields.String, nullable=True),
        "allowed_file_extensions": fields.List(fields.String, nullable=True),
        "allowed_file_upload_methods": fields.List(fields.String, nullable=True),
        "number_limits": fields.Integer(nullable=True),
    },
)
SYSTEM_PARAMETERS = Model(
    "SystemParameters",
    {
        "image_file_size_limit": fields.Integer(description="All sizes in MB."),
        "video_file_size_limit": fields.Integer,
        "audio_file_size_limit": fields.Integer,
        "file_size_limit": fields.Integer(description="Documents and all else."),
        "workflow_file_upload_limit": fields.Integer(description="Files, not MB."),
    },
)
TEXT_TO_SPEECH = SWITCH.clone(
    "TextToSpeech",
    {"voice": fields.String, "language": fields.String, "autoPlay": fields.String(example="disabled")},
)
WORD_AVOIDANCE = SWITCH.clone("WordAvoidance", {"type": fields.String, "configs": fields.List(fields.Raw)})
PARAMETERS = Model(
    "Parameters",
    {
        "opening_statement": fields.String,
        "suggested_questions": fields.List(fields.String),
        "suggested_questions_after_answer": fields.Nested(SWITCH),
        "speech_to_text": fields.Nested(SWITCH),
        "text_to_speech": fields.Nested(TEXT_TO_SPEECH),
        "retriever_resource": fields.Nested(SWITCH),
        "annotation_reply": fields.Raw(example={"enabled": False}),
        "more_like_this": fields.Nested(SWITCH),
        "user_input_form": fields.List(
            fields.Raw, description="Objects of one key, the kind of field, such as text-input."
        ),
        "sensitive_word_avoidance": fields.Nested(WORD_AVOIDANCE),
        "file_upload": fields.Nested(FILE_UPLOAD),
        "system_parameters": fields.Nested(SYSTEM_PARAMETERS),
    },
)
INFO = Model(
    "AppInfo",
    {
        "name": fields.String,
        "description": fields.String,
        "mode": fields.String,
        "author_name": fields.String,
        "tags": fields.List(fields.String),
    },
)
META = Model("AppMeta", {"tool_icons": fields.Raw(description="An icon for each tool, by its name.")})
SITE = Model(
    "AppSite",
    {
        "title": fields.String,
        "chat_color_theme": fields.String(nullable=True),
        "chat_color_theme_inverted": fields.Boolean,
        "icon_type": fields.String(nullable=True),
        "icon": fields.String(nullable=True),
        "icon_background": fields.String(nullable=True),
        "icon_url": fields.String(nullable=True),
        "description": fields.String(nullable=True),
        "copyright": fields.String(nullable=True),
        "privacy_policy": fields.String(nullable=True),
        "custom_disclaimer": fields.String,
        "input_placeholder": fields.String(nullable=True),
        "default_language": fields.String,
        "show_workflow_steps": fields.Boolean,
        "use_icon_as_answer_icon": fields.Boolean,
    },
)
END_USER = Model(
    "EndUser",
    {
        "id": fields.String,
        "tenant_id": fields.String,
        "app_id": fields.String,
        "type": fields.String(example="service-api"),
        "external_user_id": fields.String(nullable=True),
        "name": fields.String(nullable=True),
        "is_anonymous": fields.Boolean,
        "session_id": fields.String(description="The caller's own name for the end user."),
        "created_at": fields.DateTime,
        "updated_at": fields.DateTime,
    },
)
WELCOME = Model(
    "Welcome",
    {"welcome": fields.String, "api_version": fields.String, "server_version": fields.String},
)


def render_end_user(item: EndUserItem) -> JSONObject:
    """Return an end user as JSON."""
    return {**asdict(item), "created_at": to_iso(item.created_at), "updated_at": to_iso(item.updated_at)}


def render_site(site: SiteInfo, caller: KeyCaller, base_url: str) -> JSONObject:
    """Return how an app presents itself; ``base_url`` is where clients reach this server."""
    told = asdict(site) | {"icon_url": urljoin(base_url, site.icon_url) if site.icon_url else None}
    return told if caller.guest is None else render_guest_site(told, caller)
