"""What the console's pages around apps ask for: apps to use, prompts to begin with, tracing."""

from dataclasses import dataclass
from typing import Literal
from urllib.parse import urljoin

from flask_restx import fields

from api.controllers.http.model import Model
from api.controllers.http.parsing import UUID, Boolean, Choice, Text, json_field, parser, query_field
from api.core.ports import JSONObject
from api.services.installed_apps import InstalledApp

APP_MODES = Choice(("chat", "agent-chat", "advanced-chat", "workflow", "completion"))


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledIn:
    """Which apps to list; None is all."""

    app_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallIn:
    """Which app is to be used."""

    app_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PinIn:
    """Whether an app stands above the others."""

    is_pinned: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateIn:
    """Which prompt is asked for."""

    app_mode: str
    model_mode: Literal["chat", "completion"]
    has_context: bool = True
    model_name: str = ""

    @property
    def app_kind(self) -> Literal["chat", "completion"]:
        """Whether the app has conversations."""
        return "completion" if self.app_mode == "completion" else "chat"


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceIn:
    """Whether an app is to be traced, and by which service."""

    enabled: bool
    tracing_provider: str | None = None


INSTALLED = parser(query_field("app_id", Text(), help="Only this app."))
INSTALL = parser(json_field("app_id", UUID(), required=True, help="An app of the workspace."))
PIN = parser(json_field("is_pinned", Boolean(), required=True))
TEMPLATE = parser(
    query_field("app_mode", APP_MODES, required=True),
    query_field("model_mode", Choice(("chat", "completion")), required=True),
    query_field("model_name", Text(max_length=255), help="The same prompts serve every model."),
    query_field("has_context", Boolean(is_text=True), help="Whether the app has datasets; true when absent."),
)
TRACE = parser(
    json_field("enabled", Boolean(), required=True),
    json_field("tracing_provider", Text(max_length=64), nullable=True),
)
INSTALLED_APPS = Model("InstalledApps", {"installed_apps": fields.List(fields.Raw)})
RECOMMENDED_APPS = Model(
    "RecommendedApps",
    {"recommended_apps": fields.List(fields.Raw), "categories": fields.List(fields.String)},
)
PROMPT_TEMPLATE = Model(
    "PromptTemplate",
    {
        "chat_prompt_config": fields.Raw(description="For models of the mode chat."),
        "completion_prompt_config": fields.Raw(description="For models of the mode completion."),
        "stop": fields.List(fields.String, description="Texts that end the answer."),
    },
)
TRACING = Model("Tracing", {"enabled": fields.Boolean, "tracing_provider": fields.String(nullable=True)})


def render_installed(item: InstalledApp, *, may_edit: bool, base_url: str) -> JSONObject:
    """Return an installed app as JSON; ``base_url`` is where clients reach this server."""
    app = item.app
    return {
        "id": app.id,
        "app": {
            "id": app.id,
            "name": app.name,
            "mode": app.mode,
            "icon_type": app.icon_type,
            "icon": app.icon,
            "icon_background": app.icon_background,
            "icon_url": urljoin(base_url, item.icon_url) if item.icon_url else None,
            "use_icon_as_answer_icon": app.use_icon_as_answer_icon,
        },
        "app_owner_tenant_id": app.tenant_id,
        "is_pinned": app.is_pinned,
        "last_used_at": None,
        "editable": may_edit,
        "uninstallable": False,
    }
