"""What an app tells its callers about itself: information, parameters, its page."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.core.apps.spec import AppSpec
from api.core.ports import JSONObject
from api.errors import Forbidden
from api.models.account import Account
from api.models.app import App, Site
from api.runtime import Limits

MB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class AppInfo:
    """Name and maker of an app."""

    name: str
    description: str
    mode: str
    author_name: str


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


def get_info(session: Session, app: AppSpec) -> AppInfo:
    """Return name and maker of the caller's app."""
    row = session.execute(
        select(App.description, Account.name)
        .outerjoin(Account, Account.id == App.created_by)
        .where(App.tenant_id == app.tenant_id, App.id == app.id)
    ).one()
    return AppInfo(
        name=app.name, description=row.description, mode=app.mode.value, author_name=row.name or ""
    )


def get_site(session: Session, app: AppSpec) -> SiteInfo:
    """Return the page of the caller's app; raises Forbidden where it has none."""
    columns = (getattr(Site, name) for name in SiteInfo.__dataclass_fields__)
    row = session.execute(
        select(*columns).where(Site.tenant_id == app.tenant_id, Site.app_id == app.id)
    ).one_or_none()
    if row is None:
        raise Forbidden("The app has no site.")
    return SiteInfo(**row._mapping)  # noqa: SLF001  # documented


def get_parameters(app: AppSpec, limits: Limits) -> JSONObject:
    """Return what a client needs to build its form; raises AppUnavailable without a configuration."""
    config = app.configured()
    raw = config.model_dump(mode="json")
    form = [{item.pop("kind"): item} for item in raw["user_input_form"]]
    return {
        "opening_statement": config.opening_statement,
        "suggested_questions": list(config.suggested_questions),
        "suggested_questions_after_answer": raw["suggested_questions_after_answer"],
        "speech_to_text": raw["speech_to_text"],
        "text_to_speech": {"voice": "", "language": "", "autoPlay": "disabled", **raw["text_to_speech"]},
        "retriever_resource": raw["retriever_resource"],
        "annotation_reply": raw["annotation_reply"],
        "more_like_this": raw["more_like_this"],
        "user_input_form": form,
        "sensitive_word_avoidance": {"type": "", "configs": [], **raw["sensitive_word_avoidance"]},
        "file_upload": raw["file_upload"],
        "system_parameters": {
            "image_file_size_limit": limits.max_file_bytes["image"] // MB,
            "video_file_size_limit": limits.max_file_bytes["video"] // MB,
            "audio_file_size_limit": limits.max_file_bytes["audio"] // MB,
            "file_size_limit": limits.max_file_bytes["document"] // MB,
            "workflow_file_upload_limit": 10,
        },
    }
