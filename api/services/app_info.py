"""What an app tells its callers about itself: information, parameters, its page."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.core.apps.config import EXTERNAL_DATA, FormItem, ModelConfig
from api.core.apps.features import Features
from api.core.apps.flow import FlowSpec
from api.core.apps.spec import FLOW_MODES, AppSpec
from api.core.ports import JSONObject
from api.errors import AppUnavailable, BadRequest, Forbidden, Unauthorized
from api.models.account import Account
from api.models.app import App, Site
from api.runtime import Limits, Runtime
from api.services import files, flow_runs, flows, tags
from api.services.tokens import KeyCaller

MB = 1024 * 1024
OFF: JSONObject = {"enabled": False}
UNKNOWN_TO_FLOWS: JSONObject = {"more_like_this": OFF}
"""What workflows do not have and clients are told of all the same."""
TOLD = (
    "opening_statement",
    "suggested_questions",
    "suggested_questions_after_answer",
    "speech_to_text",
    "text_to_speech",
    "retriever_resource",
    "more_like_this",
    "sensitive_word_avoidance",
    "file_upload",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AppInfo:
    """Name and maker of an app."""

    name: str
    description: str
    mode: str
    author_name: str
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteInfo:
    """How an app presents itself."""

    title: str
    chat_color_theme: str | None
    chat_color_theme_inverted: bool
    icon_type: str | None
    icon: str | None
    icon_background: str | None
    description: str | None
    copyright: str | None
    privacy_policy: str | None
    custom_disclaimer: str
    input_placeholder: str | None
    default_language: str
    show_workflow_steps: bool
    use_icon_as_answer_icon: bool
    icon_url: str | None


def get_info(session: Session, app: AppSpec) -> AppInfo:
    """Return name and maker of the caller's app, and the words it is sorted by.

    Raises Unauthorized where the app is gone, whose caller is still remembered for a second.
    """
    row = session.execute(
        select(App.description, Account.name)
        .outerjoin(Account, Account.id == App.created_by)
        .where(App.tenant_id == app.tenant_id, App.id == app.id)
    ).one_or_none()
    if row is None:
        raise Unauthorized("Access token is invalid")
    labels = tags.load_labels(session.connection(), app.tenant_id, [app.id])
    return AppInfo(
        name=app.name,
        description=row.description,
        mode=app.mode.value,
        author_name=row.name or "",
        tags=tuple(label.name for label in labels.get(app.id, ())),
    )


def get_site(runtime: Runtime, session: Session, app: AppSpec) -> SiteInfo:
    """Return the page of the caller's app, with a signed address of an uploaded icon.

    Raises Forbidden where it has none.
    """
    columns = (getattr(Site, name) for name in SiteInfo.__dataclass_fields__ if name != "icon_url")
    row = session.execute(
        select(*columns).where(Site.tenant_id == app.tenant_id, Site.app_id == app.id)
    ).one_or_none()
    if row is None:
        raise Forbidden("The app has no site.")
    is_upload = row.icon_type == "image" and bool(row.icon)
    icon_url = files.sign_icon(runtime, row.icon) if is_upload else None
    return SiteInfo(**row._mapping, icon_url=icon_url)  # noqa: SLF001  # documented


def get_parameters(runtime: Runtime, app: AppSpec) -> JSONObject:
    """Return what a client needs to build its form.

    Raises AppUnavailable without a configuration, or without a published workflow.
    """
    told, form = _of_flow(runtime, app) if app.mode in FLOW_MODES else _of_config(app.configured())
    return {
        **{name: told[name] for name in TOLD},
        "annotation_reply": app.annotations.to_json() if app.annotations is not None else OFF,
        "text_to_speech": {"voice": "", "language": "", "autoPlay": "disabled", **told["text_to_speech"]},
        "user_input_form": [_form_item(item) for item in form],
        "sensitive_word_avoidance": _word_avoidance(told["sensitive_word_avoidance"]),
        "system_parameters": _system_parameters(runtime.limits),
    }


def features_of(runtime: Runtime, app: AppSpec) -> ModelConfig | Features:
    """Return where an app's features are switched: its configuration, or its published workflow's.

    Raises AppUnavailable without either.
    """
    return _published(runtime, app).features if app.mode in FLOW_MODES else app.configured()


def check_uploads(runtime: Runtime, caller: KeyCaller) -> None:
    """Raise BadRequest for a guest of an app that takes no files, neither beside a message nor in its form.

    Whoever holds a key may keep files for later; a stranger's browser may not.
    """
    if caller.guest is None:
        return
    policy = features_of(runtime, caller.app).file_upload
    is_flow = caller.app.mode in FLOW_MODES
    form = _published(runtime, caller.app).form if is_flow else caller.app.configured().user_input_form
    if not policy.is_on and not any(item.kind in files.FILE_KINDS for item in form):
        raise BadRequest("The app takes no files.")


def _published(runtime: Runtime, app: AppSpec) -> FlowSpec:
    if app.workflow_id is None:
        raise AppUnavailable("The app has no published workflow.")
    return flows.published_flow(runtime, app)


def _word_avoidance(told: dict[str, Any]) -> JSONObject:
    """Return whether texts are checked; what for is nobody's business who sends them."""
    return {"enabled": told["enabled"], "type": told["type"], "configs": []}


def _of_config(config: ModelConfig) -> tuple[dict[str, Any], tuple[FormItem, ...]]:
    return config.model_dump(mode="json"), config.user_input_form


def _of_flow(runtime: Runtime, app: AppSpec) -> tuple[dict[str, Any], tuple[FormItem, ...]]:
    flow = _published(runtime, app)
    features = flow.features.model_dump(mode="json", exclude_none=True)
    file_upload = flow.features.file_upload.model_dump(mode="json")
    return {**UNKNOWN_TO_FLOWS, **features, "file_upload": file_upload}, flow.form


def _form_item(item: FormItem) -> JSONObject:
    """Return a variable under its kind: as its author named it, with all that was drawn of it.

    The type of external data is that of the service that fills it in.
    """
    told = item.model_dump(mode="json")
    kind = told.pop("kind")
    return {str(kind if kind == EXTERNAL_DATA else told.get("type") or kind): told}


def _system_parameters(limits: Limits) -> JSONObject:
    return {
        "image_file_size_limit": limits.max_file_bytes["image"] // MB,
        "video_file_size_limit": limits.max_file_bytes["video"] // MB,
        "audio_file_size_limit": limits.max_file_bytes["audio"] // MB,
        "file_size_limit": limits.max_file_bytes["document"] // MB,
        "workflow_file_upload_limit": flow_runs.MAX_FILES,
    }
