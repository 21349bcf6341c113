"""Apps of a workspace: listed, made, changed, and deleted with all that hangs on them.

What a client gets is an AppView: the rows an answer is made of, read in one
statement. An app's large tables outlive its row for a moment: ``delete_app``
leaves them to ``purge_app``, a job that removes them in bounded batches.
"""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypedDict

import orjson
from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, delete, func, select
from sqlalchemy import Text as SQLText
from sqlalchemy import cast as cast_to
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from api.core.apps.spec import CONFIGURED_MODES, AppMode
from api.errors import Duplicate, Forbidden, InvalidRequest, Unavailable
from api.models.account import Account
from api.models.annotation import AnnotationSetting
from api.models.app import App, AppModelConfig, Site
from api.models.conversation import Message
from api.models.types import UnixSeconds, UTCDateTime
from api.models.workflow import Workflow
from api.principal import Principal, Role
from api.runtime import Runtime, on_commit
from api.services import app_configs, files, plans, providers, sites, tags
from api.services.access import AppNotFound, access_app, is_id
from api.services.constraints import is_duplicate
from api.services.jobs import Job, enqueue_on_commit
from api.services.plans import Quota
from api.services.tags import Label

logger = logging.getLogger(__name__)

ALL_MODES: frozenset[str] = frozenset(mode.value for mode in AppMode)
DEFAULT_ICON = "🤖"
DEFAULT_ICON_BACKGROUND = "#FFEAD5"
MAX_DESCRIPTION_CHARS = 200
MAX_WIDE_DESCRIPTION_CHARS = 400
EMOJI = re.compile(r"[a-z0-9_+-]{1,64}|[#*0-9]?[^\x00-\x7f]{1,32}")
LINK = re.compile(r"https?://[^\s<>\"']{1,2000}")


class AppRow(NamedTuple):
    """An app with what belongs to it, as the database gives it; instants are whole Unix seconds.

    ``config`` is its configuration as JSON text, which is read to be passed on,
    None for modes that have none; ``workflow_id`` names the version its API
    runs, None before the first is published; ``author_name`` is who made it.
    """

    id: str
    name: str
    mode: str
    description: str
    icon_type: str | None
    icon: str | None
    icon_background: str | None
    enable_site: bool
    enable_api: bool
    api_rpm: int
    api_rph: int
    is_demo: bool
    max_active_requests: int | None
    use_icon_as_answer_icon: bool
    created_by: str | None
    created_at: int
    updated_by: str | None
    updated_at: int
    author_name: str | None
    config: str | None
    config_created_by: str | None
    config_created_at: int | None
    config_updated_by: str | None
    config_updated_at: int | None
    workflow_id: str | None
    workflow_created_by: str | None
    workflow_created_at: int | None
    workflow_updated_by: str | None
    workflow_updated_at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AppView:
    """An app as the console shows it. ``site`` is read for a single app only.

    The addresses are signed and set for uploaded icons.
    """

    row: AppRow
    icon_url: str | None
    tags: Sequence[Label]
    site: Site | None = None
    site_icon_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AppFilter:
    """Which apps to list, of those with all of ``tag_ids``. No modes: none fits.

    ``name`` is part of the name, whatever its case.
    """

    name: str = ""
    tag_ids: Sequence[str] = ()
    modes: frozenset[str] = ALL_MODES
    is_created_by_me: bool = False


class AppChanges(TypedDict, total=False):
    """What a change of an app may set; a key left out stays as it is."""

    name: str
    description: str | None
    icon_type: str | None
    icon: str | None
    icon_background: str | None
    enable_site: bool
    enable_api: bool
    api_rpm: int
    api_rph: int
    max_active_requests: int | None
    use_icon_as_answer_icon: bool


def load_apps(
    runtime: Runtime,
    connection: Connection,
    principal: Principal,
    chosen: AppFilter,
    *,
    page: int,
    limit: int,
) -> tuple[list[AppView], int]:
    """Return the apps of a page counted from 1, newest first, and how many there are in all."""
    matches: list[ColumnElement[bool]] = []
    if chosen.modes != ALL_MODES:
        matches.append(App.mode.in_(chosen.modes))
    if chosen.name:
        matches.append(App.name.icontains(chosen.name, autoescape=True))
    if chosen.is_created_by_me:
        matches.append(App.created_by == principal.id)
    if chosen.tag_ids:
        matches.append(tags.has_tags(principal, App.id, chosen.tag_ids))
    values = {"tenant_id": principal.tenant_id, "offset": (page - 1) * limit, "limit": limit}
    found = connection.execute(_page(*matches) if matches else _PAGE, values).all()
    rows = [AppRow._make(row[_BESIDE:]) for row in found]
    is_tagged = bool(found) and found[0].is_tagged
    labels = tags.load_labels(connection, principal.tenant_id, [row.id for row in rows if is_tagged])
    views = [AppView(row=row, icon_url=_icon_url(runtime, row), tags=labels.get(row.id, ())) for row in rows]
    if found or page == 1:
        return views, found[0].total if found else 0
    return views, connection.scalar(_COUNT.where(*matches), values) or 0


def get_app(runtime: Runtime, session: Session, principal: Principal, app_id: str) -> AppView:
    """Return an app of the caller's workspace with its site; two statements. Raises AppNotFound."""
    found = None
    if is_id(app_id):
        mine = and_(App.tenant_id == principal.tenant_id, App.id == app_id.lower())
        found = session.execute(_DETAIL.where(mine)).one_or_none()
    if found is None:
        raise AppNotFound("App not found.")
    row, site = _with_replies(AppRow._make(found[2:]), found.AnnotationSetting), found.Site
    return AppView(
        row=row,
        icon_url=_icon_url(runtime, row),
        tags=tags.load_labels(session.connection(), principal.tenant_id, [row.id]).get(row.id, ()),
        site=site,
        site_icon_url=_icon_url(runtime, site),
    )


_APPS, _CONFIGS, _WORKFLOWS = App.__table__, AppModelConfig.__table__, Workflow.__table__
_ACCOUNTS = Account.__table__
_SOURCES = {"config_": _CONFIGS, "workflow_": _WORKFLOWS, "author_": _ACCOUNTS}


def _column(field: str) -> ColumnElement[Any]:
    """Return what a field of AppRow is read from."""
    if field == "config":
        return cast_to(_CONFIGS.c.config, SQLText)
    prefix = next((prefix for prefix in _SOURCES if field.startswith(prefix)), "")
    column = _SOURCES.get(prefix, _APPS).c[field.removeprefix(prefix)]
    return UnixSeconds(column) if isinstance(column.type, UTCDateTime) else column


_COLUMNS = tuple(_column(field).label(field) for field in AppRow._fields)
_FROM = (
    _APPS.outerjoin(_CONFIGS, _CONFIGS.c.id == _APPS.c.app_model_config_id)
    .outerjoin(_WORKFLOWS, _WORKFLOWS.c.id == _APPS.c.workflow_id)
    .outerjoin(_ACCOUNTS, _ACCOUNTS.c.id == _APPS.c.created_by)
)
_COUNT = select(func.count()).select_from(_APPS).where(_APPS.c.tenant_id == bindparam("tenant_id"))
_BESIDE = 2
"""How many columns of a page stand before those of the app."""


def _page(*matches: ColumnElement[bool]) -> Select[Any]:
    """Return the statement of a page, of tables: objects take twice the time."""
    total = _COUNT.where(*matches).correlate(None).scalar_subquery()
    return (
        select(total.label("total"), tags.IS_ANYTHING_TAGGED.label("is_tagged"), *_COLUMNS)
        .select_from(_FROM)
        .where(_APPS.c.tenant_id == bindparam("tenant_id"), *matches)
        .order_by(_APPS.c.created_at.desc(), _APPS.c.id.desc())
        .offset(bindparam("offset"))
        .limit(bindparam("limit"))
    )


# Built once: putting the plain list's statement together costs as much as running it.
_PAGE = _page()
_DETAIL = select(Site, AnnotationSetting, *_COLUMNS).select_from(
    _FROM.outerjoin(Site, Site.app_id == _APPS.c.id).outerjoin(
        AnnotationSetting, AnnotationSetting.app_id == _APPS.c.id
    )
)


def _with_replies(row: AppRow, setting: AnnotationSetting | None) -> AppRow:
    """Return an app whose configuration tells how it answers by its annotations, where it does."""
    if row.config is None or setting is None or not setting.is_enabled:
        return row
    told = setting.to_spec().to_json()
    return row._replace(config=orjson.dumps({**orjson.loads(row.config), "annotation_reply": told}).decode())


def create_app(
    runtime: Runtime,
    session: Session,
    principal: Principal,
    *,
    name: str,
    mode: str,
    description: str | None = None,
    icon_type: str | None = None,
    icon: str | None = None,
    icon_background: str | None = None,
    is_demo: bool = False,
) -> App:
    """Make an app with its site and, where its mode has one, a configuration that answers at once.

    The configuration's model is the workspace's default chat model, and the
    built-in one where nothing is configured, because that one needs no key.
    Raises Duplicate for a name that is taken, InvalidRequest for a bad value,
    QuotaReached where the workspace's plan has no room for another app.
    """
    _check_description(description, is_wide=icon_type is not None)
    plans.check_room(session, principal.tenant_id, Quota.APPS)
    kind, shown = check_icon(session, principal, icon_type, icon or DEFAULT_ICON)
    app = App(
        tenant_id=principal.tenant_id,
        name=name,
        unique_name=_unique_name(runtime, name),
        mode=mode,
        description=description or "",
        icon_type=kind,
        icon=shown,
        icon_background=icon_background or DEFAULT_ICON_BACKGROUND,
        is_demo=is_demo,
        created_by=principal.id,
        updated_by=principal.id,
    )
    session.add(app)
    _flush_name(session)
    if AppMode(mode) in CONFIGURED_MODES:
        model = providers.default_chat_model(runtime, session, principal.tenant_id)
        config = app_configs.default_config(AppMode(mode), model)
        app_configs.store_config(session, principal, app, config)
    language = session.scalar(select(Account.interface_language).where(Account.id == principal.id))
    session.add(sites.make_site(app, language=language or "en-US"))
    session.flush()
    return app


def update_app(
    runtime: Runtime, session: Session, principal: Principal, app_id: str, changes: AppChanges
) -> App:
    """Change what ``changes`` names of an app.

    Raises AppNotFound, Duplicate for a name that is taken, InvalidRequest for a
    bad value, and Forbidden where an editor would switch the app's API.
    """
    app = access_app(session, principal, app_id)
    if changes.get("enable_api", app.enable_api) != app.enable_api and principal.role < Role.ADMIN:
        raise Forbidden("Switching the API on or off needs the role admin.")
    _check_description(changes.get("description"), is_wide="icon_type" in changes)
    values: dict[str, object] = {key: value for key, value in changes.items() if key not in _ICON_KEYS}
    if "description" in changes:
        values["description"] = changes["description"] or ""
    if "name" in changes:
        values["unique_name"] = _unique_name(runtime, changes["name"])
    values |= _icon_changes(session, principal, app, changes)
    for key, value in values.items():
        if getattr(app, key) != value:
            setattr(app, key, value)
            app.updated_by = principal.id
    _flush_name(session)
    return app


def delete_app(runtime: Runtime, session: Session, principal: Principal, app_id: str) -> None:
    """Delete an app with its site, keys and configurations; the rest follows in a job.

    From the commit on its keys open nothing, and its runs are stopped. Raises
    AppNotFound.
    """
    app = access_app(session, principal, app_id)
    deleted = session.execute(delete(App).where(App.id == app.id).returning(App.id)).one_or_none()
    if deleted is None:
        raise AppNotFound("App not found.")
    tags.forget_target(session, app.tenant_id, app.id)
    running = session.scalars(
        select(Message.task_id).where(
            Message.tenant_id == app.tenant_id, Message.app_id == app.id, Message.status == "running"
        )
    ).all()
    on_commit(session, lambda: _stop_runs(runtime, running))
    enqueue_on_commit(runtime, session, Job.PURGE_APP, {"app_id": app.id}, tenant_id=app.tenant_id)


def fitting_icon(icon_type: str, icon: str) -> tuple[str, str]:
    """Return kind and value of an icon made elsewhere, the default one where it does not fit here."""
    is_fit = {"emoji": EMOJI, "link": LINK}[icon_type].fullmatch(icon)
    return (icon_type, icon) if is_fit else ("emoji", DEFAULT_ICON)


def names_like(session: Session, principal: Principal, start: str) -> set[str]:
    """Return the names of the workspace's apps that begin so."""
    like = App.name.startswith(start, autoescape=True)
    return set(session.scalars(select(App.name).where(App.tenant_id == principal.tenant_id, like)))


_ICON_KEYS = frozenset({"icon_type", "icon", "icon_background"})


def _stop_runs(runtime: Runtime, task_ids: Sequence[str]) -> None:
    """Stop runs wherever they go; where the word cannot be passed on, their rows go with the sweep."""
    try:
        for task_id in task_ids:
            runtime.channel.signal(task_id)
    except Unavailable:
        logger.warning("runs of a deleted app not stopped: %s", len(task_ids))


def _icon_changes(session: Session, principal: Principal, app: App, changes: AppChanges) -> dict[str, object]:
    """Return the icon columns a change sets; a null leaves what is there."""
    values: dict[str, object] = {}
    if changes.get("icon_background"):
        values["icon_background"] = changes["icon_background"]
    icon, icon_type = changes.get("icon"), changes.get("icon_type")
    if (icon or app.icon, icon_type or app.icon_type) == (app.icon, app.icon_type):
        return values
    kind, shown = check_icon(session, principal, icon_type, icon or app.icon or DEFAULT_ICON)
    return values | {"icon_type": kind, "icon": shown}


def check_icon(session: Session, principal: Principal, icon_type: str | None, icon: str) -> tuple[str, str]:
    """Return kind and value of an icon; raises InvalidRequest where they do not fit together.

    Without a kind, an address is a link and anything else an emoji.
    """
    kind = icon_type or ("link" if icon.startswith("http") else "emoji")
    if kind == "image":
        files.check_icon(session, principal, icon)
        return kind, icon.lower()
    if not (LINK if kind == "link" else EMOJI).fullmatch(icon):
        wanted = "an http(s) address" if kind == "link" else "an emoji"
        raise InvalidRequest(f"Parameter 'icon' must be {wanted}", field="icon", fault="invalid_format")
    return kind, icon


def _icon_url(runtime: Runtime, shown: AppRow | Site | None) -> str | None:
    if shown is None or shown.icon_type != "image" or not shown.icon:
        return None
    return files.sign_icon(runtime, shown.icon)


def _check_description(description: str | None, *, is_wide: bool) -> None:
    """Raise InvalidRequest for a description over its limit.

    Real consoles allow 400 characters and always send an icon's kind; the
    seed's limit of 200 holds for everyone else.
    """
    limit = MAX_WIDE_DESCRIPTION_CHARS if is_wide else MAX_DESCRIPTION_CHARS
    if description is not None and len(description) > limit:
        raise InvalidRequest(
            f"Parameter 'description' must have at most {limit} characters",
            field="description",
            fault="too_long",
        )


def _unique_name(runtime: Runtime, name: str) -> str | None:
    return name if runtime.limits.is_app_name_unique else None


def _flush_name(session: Session) -> None:
    """Write what is pending; the constraint on names, and only it, becomes a Duplicate."""
    try:
        session.flush()
    except IntegrityError as exc:
        if is_duplicate(exc, "apps", "tenant_id", "unique_name"):
            raise Duplicate("应用名称已存在", field="name") from exc
        raise
