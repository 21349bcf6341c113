"""Apps on the wire: what the console sends of one, and the shapes it is shown in."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import cast
from urllib.parse import urljoin

import orjson
from flask_restx import fields

from api.controllers.http.model import Model
from api.controllers.http.parsing import Boolean, Choice, Integer, Text, json_field, parser, query_field
from api.controllers.schemas.fields import PageIn, page_fields, split_commas, to_unix
from api.core.ports import JSONObject
from api.services.apps import ALL_MODES, AppFilter, AppRow, AppView

MODES = ("chat", "agent-chat", "advanced-chat", "workflow", "completion")
MAX_REMEMBERED_CHARS = 6_000
NAME = Text(min_length=1, max_length=40, is_trimmed=True)
ICON_TYPE = Choice(("emoji", "image", "link"))
ICON = Text(min_length=1, max_length=2008)
COLOUR = Text(pattern="#([0-9A-Fa-f]{3}|[0-9A-Fa-f]{6}|[0-9A-Fa-f]{8})", hint="a colour such as #FFEAD5")


@dataclass(frozen=True, slots=True, kw_only=True)
class AppListIn(PageIn):
    """Which apps to list. ``all`` and ``channel`` are the console's words beside the five modes."""

    name: str = ""
    mode: str = "all"
    is_created_by_me: bool = False
    tag_ids: Sequence[str] = field(default_factory=tuple)

    @property
    def chosen(self) -> AppFilter:
        """What is asked for, without the page."""
        return AppFilter(
            name=self.name,
            modes=self.modes,
            is_created_by_me=self.is_created_by_me,
            tag_ids=split_commas(self.tag_ids),
        )

    @property
    def modes(self) -> frozenset[str]:
        """The modes asked for; there are no apps of the mode ``channel``."""
        return ALL_MODES if self.mode == "all" else ALL_MODES & {self.mode}


@dataclass(frozen=True, slots=True, kw_only=True)
class AppIn:
    """A new app."""

    name: str
    mode: str
    description: str | None = None
    icon_type: str | None = None
    icon: str | None = None
    icon_background: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteSwitchIn:
    """Whether the app's page is open to end users."""

    enable_site: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class APISwitchIn:
    """Whether the app's keys open anything."""

    enable_api: bool


LOOKS = (
    json_field("description", Text(), nullable=True, help="At most 200 characters, 400 with icon_type."),
    json_field("icon_type", ICON_TYPE, nullable=True, help="Taken from the icon when absent."),
    json_field("icon", ICON, nullable=True, help="An emoji, an http(s) address, or an uploaded image's id."),
    json_field("icon_background", COLOUR, nullable=True, help="A colour such as #FFEAD5."),
)
APP_LIST = parser(
    *page_fields(30),
    query_field("name", Text(), help="Part of the name, whatever its case."),
    query_field("mode", Choice((*MODES, "all", "channel")), help="all when absent."),
    query_field("is_created_by_me", Boolean(is_text=True), help="Only apps the caller made."),
    query_field("tag_ids", Text(), action="append", help="Only apps with all of these tags."),
)
APP = parser(
    json_field("name", NAME, required=True, help="1 to 40 characters, unique in the workspace."),
    json_field("mode", Choice(MODES), required=True),
    *LOOKS,
)
APP_CHANGES = parser(
    json_field("name", NAME, help="1 to 40 characters, unique in the workspace."),
    *LOOKS,
    json_field("enable_site", Boolean(), help="Whether end users may open the app's page."),
    json_field("enable_api", Boolean(), help="Whether the app's keys open it; needs the role admin."),
    json_field("api_rpm", Integer(), help="API calls a minute; 0: no limit of the app's own."),
    json_field("api_rph", Integer(), help="API calls an hour; 0: no limit of the app's own."),
    json_field("max_active_requests", Integer(), nullable=True, help="Runs at once; 0 or null: no limit."),
    json_field("use_icon_as_answer_icon", Boolean(), help="Show the app's icon beside its answers."),
)
SITE_SWITCH = parser(json_field("enable_site", Boolean(), required=True))
API_SWITCH = parser(json_field("enable_api", Boolean(), required=True))

APP_MODEL = Model(
    "App",
    {
        "id": fields.String,
        "name": fields.String,
        "mode": fields.String(enum=MODES),
        "description": fields.String,
        "icon_type": fields.String(enum=["emoji", "image", "link"]),
        "icon": fields.String,
        "icon_background": fields.String,
        "icon_url": fields.String(nullable=True),
        "enable_site": fields.Boolean,
        "enable_api": fields.Boolean,
        "api_rpm": fields.Integer,
        "api_rph": fields.Integer,
        "is_demo": fields.Boolean,
        "max_active_requests": fields.Integer(nullable=True),
        "use_icon_as_answer_icon": fields.Boolean,
        "model_config": fields.Raw(nullable=True),
        "workflow": fields.Raw(nullable=True),
        "tags": fields.List(fields.Raw),
        "tracing": fields.Raw(nullable=True),
        "access_mode": fields.String,
        "author_name": fields.String,
        "create_user_name": fields.String,
        "has_draft_trigger": fields.Boolean(nullable=True),
        "created_by": fields.String,
        "created_at": fields.Integer,
        "updated_by": fields.String,
        "updated_at": fields.Integer,
    },
)
APP_DETAIL_MODEL = APP_MODEL.clone(
    "AppDetail",
    {
        "site": fields.Raw,
        "api_base_url": fields.String,
        "deleted_tools": fields.List(fields.Raw),
    },
)
APP_PAGE_MODEL = Model(
    "AppPage",
    {
        "data": fields.List(fields.Nested(APP_MODEL)),
        "total": fields.Integer,
        "page": fields.Integer,
        "limit": fields.Integer,
        "has_more": fields.Boolean,
    },
)


def render_app(view: AppView, base_url: str) -> JSONObject:
    """Return an app as lists show it; ``base_url`` is where clients reach this server."""
    return _joined(view, _beside_row(view, base_url))


def render_app_detail(view: AppView, base_url: str) -> JSONObject:
    """Return an app as its own page shows it."""
    more: JSONObject = {
        "site": render_site(view, base_url),
        "api_base_url": f"{base_url}/v1",
        "deleted_tools": [],
    }
    return _joined(view, _beside_row(view, base_url) | more)


def _beside_row(view: AppView, base_url: str) -> JSONObject:
    return {
        "icon_url": urljoin(base_url, view.icon_url) if view.icon_url else None,
        "tags": [{"id": tag.id, "name": tag.name, "type": tag.type} for tag in view.tags],
    }


def _joined(view: AppView, more: JSONObject) -> JSONObject:
    row = view.row
    is_short = len(row.config or "") <= MAX_REMEMBERED_CHARS
    text = _remembered_row(row) if is_short else _render_row(row)
    return cast("JSONObject", orjson.Fragment(text[:-1] + b"," + orjson.dumps(more)[1:]))


def _render_row(row: AppRow) -> bytes:
    """Return what a row alone says of an app."""
    return orjson.dumps(
        {
            "id": row.id,
            "name": row.name,
            "mode": row.mode,
            "description": row.description,
            "icon_type": row.icon_type,
            "icon": row.icon,
            "icon_background": row.icon_background,
            "enable_site": row.enable_site,
            "enable_api": row.enable_api,
            "api_rpm": row.api_rpm,
            "api_rph": row.api_rph,
            "is_demo": row.is_demo,
            "max_active_requests": row.max_active_requests,
            "use_icon_as_answer_icon": row.use_icon_as_answer_icon,
            "model_config": _render_config(row),
            "workflow": _render_workflow(row),
            "tracing": None,
            "access_mode": "public",
            "author_name": row.author_name,
            "create_user_name": row.author_name,
            "has_draft_trigger": None,
            "created_by": row.created_by,
            "created_at": row.created_at,
            "updated_by": row.updated_by,
            "updated_at": row.updated_at,
        }
    )


# A console asks for the same apps again and again, and the same row always reads the same.
_remembered_row = lru_cache(maxsize=512)(_render_row)


def _render_workflow(row: AppRow) -> JSONObject | None:
    if row.workflow_id is None:
        return None
    return {
        "id": row.workflow_id,
        "created_by": row.workflow_created_by,
        "created_at": row.workflow_created_at,
        "updated_by": row.workflow_updated_by,
        "updated_at": row.workflow_updated_at,
    }


def _render_config(row: AppRow) -> JSONObject | None:
    """Return the configuration with who and when; its text goes out as it is, never parsed."""
    if row.config is None:
        return None
    who_and_when = {
        "created_by": row.config_created_by,
        "created_at": row.config_created_at,
        "updated_by": row.config_updated_by,
        "updated_at": row.config_updated_at,
    }
    kept = row.config.removesuffix("}")
    comma = "" if kept == "{" else ","
    text = f"{kept}{comma}{orjson.dumps(who_and_when)[1:].decode()}"
    return cast("JSONObject", orjson.Fragment(text))


def render_site(view: AppView, base_url: str) -> JSONObject | None:
    """Return how an app presents itself; None where its site was not read."""
    site = view.site
    if site is None:
        return None
    return {
        "access_token": site.code,
        "code": site.code,
        "title": site.title,
        "icon_type": site.icon_type,
        "icon": site.icon,
        "icon_background": site.icon_background,
        "icon_url": urljoin(base_url, view.site_icon_url) if view.site_icon_url else None,
        "description": site.description,
        "default_language": site.default_language,
        "chat_color_theme": site.chat_color_theme,
        "chat_color_theme_inverted": site.chat_color_theme_inverted,
        "customize_domain": site.customize_domain,
        "copyright": site.copyright,
        "privacy_policy": site.privacy_policy,
        "custom_disclaimer": site.custom_disclaimer,
        "input_placeholder": site.input_placeholder,
        "customize_token_strategy": site.customize_token_strategy,
        "prompt_public": site.prompt_public,
        "app_base_url": base_url,
        "show_workflow_steps": site.show_workflow_steps,
        "use_icon_as_answer_icon": site.use_icon_as_answer_icon,
        "created_by": site.created_by,
        "created_at": to_unix(site.created_at),
        "updated_by": site.updated_by,
        "updated_at": to_unix(site.updated_at),
    }
