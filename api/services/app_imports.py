"""Apps from files: a new app, or the draft of one that is there. Nothing is published by it.

A file that cannot be an app here is an answer, not an error: it says why. One
of a newer version waits for a second word, for ten minutes. No connection is
held while an address or the parser is waited for. Wire: docs/wire/app-files.md.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal
from urllib.parse import urlsplit

import orjson
from sqlalchemy.orm import Session

from api.core.apps.spec import FLOW_MODES, AppMode
from api.core.dsl.document import DEFAULT_ICON_BACKGROUND, AppDocument, BadDocument, read_document
from api.core.dsl.names import MAX_NAME_CHARS, free_name
from api.core.dsl.needs import Need, missing, needs_of
from api.core.dsl.secrets import bare_config, bare_graph
from api.core.dsl.versions import verdict
from api.core.http import HTTPFailure
from api.core.ports import Cancel, JSONObject, JSONValue
from api.core.text.yaml_text import MAX_BYTES
from api.core.workflow.declared import SHOWN_SECRET, Declared, show_conversation
from api.core.workflow.variables import ENVIRONMENT, ValueType
from api.errors import Duplicate, InvalidRequest, NotFound
from api.models.app import App
from api.models.base import new_id
from api.principal import Principal
from api.runtime import Runtime
from api.services import app_configs, apps, idempotency, workflows
from api.services.access import access_app
from api.services.app_exports import dataset_opener, inventory, known_tools, usable_datasets
from api.services.remote_files import check_address

FETCH_S = 30.0
READ_S = 60.0
WAIT_S = 600.0
TRIES = 5
COLOUR = re.compile(r"#([0-9A-Fa-f]{3}|[0-9A-Fa-f]{6}|[0-9A-Fa-f]{8})")

Status = Literal["completed", "completed-with-warnings", "pending", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AppFile:
    """A file to import, as text or by its address, and what of it is to be otherwise.

    ``app_id`` is the app whose draft the file takes the place of.
    """

    mode: str
    yaml_content: str | None = None
    yaml_url: str | None = None
    name: str | None = None
    description: str | None = None
    icon_type: str | None = None
    icon: str | None = None
    icon_background: str | None = None
    app_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """What became of a file; ``missing`` is what the app uses that the workspace does not have."""

    id: str
    status: Status
    app_id: str | None = None
    app_mode: str | None = None
    version: str = ""
    error: str = ""
    missing: Sequence[Need] = ()


def import_app(
    runtime: Runtime, principal: Principal, file: AppFile, claim: idempotency.Claim | None = None
) -> Import:
    """Make an app of a file, or keep the file until it is confirmed.

    A repeated claim gives what came of the first. Raises EgressDenied,
    Unprocessable for a claim of another request, Unavailable.
    """
    import_id = new_id()
    try:
        file = replace(file, yaml_content=_text_of(runtime, file), yaml_url=None)
        document = _read(runtime, file)
    except BadDocument as exc:
        return Import(id=import_id, status="failed", error=str(exc))
    begun = Import(id=import_id, status="failed", app_mode=document.mode.value, version=document.version[:50])
    status = verdict(document.version)
    if status is None:
        return replace(begun, error=f"The file's version cannot be read: {begun.version!r}.")
    if status == "pending":
        runtime.cache.set(_key(principal, import_id), orjson.dumps(asdict(file)), WAIT_S)
        return replace(begun, status=status)
    return make_app(runtime, principal, replace(begun, status=status), file, document, claim=claim)


def confirm_import(runtime: Runtime, principal: Principal, import_id: str) -> Import:
    """Make an app of a file that waits for it; of two who confirm at once, one does. Raises Unavailable."""
    key = _key(principal, import_id)
    kept = runtime.cache.get(key)
    if kept is None or not runtime.cache.add(f"{key}:taken", b"1", WAIT_S):
        return Import(id=import_id, status="failed", error="There is no such import, or it waited too long.")
    file = AppFile(**orjson.loads(kept))
    done = Import(id=import_id, status="failed")
    try:
        document = _read(runtime, file)
        begun = replace(done, status="completed", app_mode=document.mode.value, version=document.version)
        done = make_app(runtime, principal, begun, file, document)
    except BadDocument as exc:
        done = replace(done, error=str(exc))
    finally:
        runtime.cache.delete(key if done.app_id else f"{key}:taken")
    return done


def _read(runtime: Runtime, file: AppFile) -> AppDocument:
    """Return the app of a file's text, read beside what else this process does. Raises BadDocument."""
    try:
        return runtime.offload.call(read_document, file.yaml_content or "", timeout_s=READ_S)
    except TimeoutError as exc:
        raise BadDocument(f"The file could not be read within {READ_S:g} s.") from exc


def _text_of(runtime: Runtime, file: AppFile) -> str:
    """Return the file's text. Raises BadDocument, EgressDenied."""
    if file.mode == "yaml-content":
        if not file.yaml_content:
            raise BadDocument("There is no yaml_content.")
        return file.yaml_content
    if not file.yaml_url:
        raise BadDocument("There is no yaml_url.")
    try:
        address = _raw_address(check_address(file.yaml_url))
        cancel = Cancel(FETCH_S)
        reply = runtime.http.request("GET", address, cancel=cancel, max_bytes=MAX_BYTES, follow=True)
    except HTTPFailure as exc:
        raise BadDocument(f"The address could not be read: {exc}") from exc
    if reply.status != 200:
        raise BadDocument(f"The address answers with status {reply.status}.")
    try:
        return reply.content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise BadDocument("The file at the address is no UTF-8 text.") from exc


def _raw_address(url: str) -> str:
    """Return where GitHub keeps the file itself, for the address of the page that shows it."""
    parts = urlsplit(url)
    if parts.hostname == "github.com" and "/blob/" in parts.path:
        path = parts.path.replace("/blob/", "/", 1)
        return parts._replace(netloc="raw.githubusercontent.com", path=path).geturl()
    return url


def make_app(
    runtime: Runtime,
    principal: Principal,
    begun: Import,
    file: AppFile,
    document: AppDocument,
    *,
    claim: idempotency.Claim | None = None,
) -> Import:
    """Make the app of a document; a name that another import took meanwhile is numbered anew.

    Says why in ``error`` where it cannot be made, and then names no app.
    """
    tools = known_tools(runtime, principal, document)
    for _ in range(TRIES):
        try:
            with runtime.transaction() as session:
                first = idempotency.take(session, claim) if claim else None
                if first is not None:
                    return _from_json(idempotency.first_answer(runtime, first)[1])
                app, lacking = _keep(runtime, session, principal, file, document, tools=tools)
                done = replace(begun, app_id=app.id, app_mode=app.mode, missing=lacking)
                if claim is not None:
                    idempotency.keep_answer(runtime, session, claim, 200, orjson.dumps(asdict(done)))
        except Duplicate as exc:
            if exc.field != "name":
                return replace(begun, status="failed", error=exc.message)
        except (InvalidRequest, NotFound) as exc:
            return replace(begun, status="failed", error=exc.message)
        else:
            return done
    return replace(begun, status="failed", error="Too many apps of that name are made at once; try again.")


def _from_json(raw: bytes) -> Import:
    told = orjson.loads(raw)
    return Import(**{**told, "missing": [Need(**need) for need in told["missing"]]})


def _keep(
    runtime: Runtime,
    session: Session,
    principal: Principal,
    file: AppFile,
    document: AppDocument,
    *,
    tools: frozenset[Need],
) -> tuple[App, list[Need]]:
    """Write the app; return it and what it lacks."""
    lacking, document = _localized(runtime, session, principal, document, tools)
    if file.app_id:
        app = _overwritten(runtime, session, principal, file, document)
    else:
        app = _new_app(runtime, session, principal, file, document)
    if document.workflow is not None:
        part = document.workflow
        changes = workflows.DraftChanges(
            graph=part.graph,
            features=part.features,
            environment_variables=_kept_secrets(part.environment),
            conversation_variables=list(show_conversation(part.conversation)),
            is_strict=False,
        )
        workflows.save_draft(runtime, session, principal, app.id, changes)
    if document.config is not None:
        app_configs.import_config(session, principal, app, document.config)
    return app, lacking


def _localized(
    runtime: Runtime,
    session: Session,
    principal: Principal,
    document: AppDocument,
    tools: frozenset[Need],
) -> tuple[list[Need], AppDocument]:
    """Return what the workspace lacks, and the app with its datasets and no one's credentials."""
    opened = dataset_opener(runtime, session, principal.tenant_id)
    ids = {need.name: opened(need.name) for need in needs_of(document) if need.kind == "dataset"}
    usable = usable_datasets(session, principal, [known for known in ids.values() if known])
    there = replace(
        inventory(runtime, session, principal, tools), has_dataset=lambda need: ids.get(need.name) in usable
    )

    def here(name: str) -> str | None:
        known = ids.get(name)
        return known if known in usable else None

    lacking = missing(document, there)
    if document.workflow is not None:
        part = replace(document.workflow, graph=bare_graph(document.workflow.graph, here))
        document = replace(document, workflow=part)
    if document.config is not None:
        document = replace(document, config=bare_config(document.config, here))
    return lacking, document


def _new_app(
    runtime: Runtime, session: Session, principal: Principal, file: AppFile, document: AppDocument
) -> App:
    icon_type, icon = apps.fitting_icon(document.icon_type, document.icon)
    if file.icon:
        icon_type, icon = file.icon_type or "emoji", file.icon
    background = document.icon_background
    app = apps.create_app(
        runtime,
        session,
        principal,
        name=_free_name(runtime, session, principal, file.name or document.name),
        mode=document.mode.value,
        description=_description(file, document),
        icon_type=icon_type,
        icon=icon,
        icon_background=file.icon_background
        or (background if COLOUR.fullmatch(background) else DEFAULT_ICON_BACKGROUND),
    )
    app.use_icon_as_answer_icon = document.use_icon_as_answer_icon
    return app


def _overwritten(
    runtime: Runtime, session: Session, principal: Principal, file: AppFile, document: AppDocument
) -> App:
    """Return the app a file takes the place of, named and shown as the file says."""
    app = access_app(session, principal, file.app_id or "")
    if AppMode(app.mode) not in FLOW_MODES:
        raise InvalidRequest("Only workflow or advanced chat apps can be overwritten.")
    if app.mode != document.mode:
        raise InvalidRequest(f"The app is of mode {app.mode}, the file of mode {document.mode}.")
    icon_type, icon = apps.fitting_icon(document.icon_type, document.icon)
    name = (file.name or document.name)[:MAX_NAME_CHARS].strip()
    return apps.update_app(
        runtime,
        session,
        principal,
        app.id,
        {
            "name": app.name if name == app.name else _free_name(runtime, session, principal, name),
            "description": _description(file, document),
            "icon_type": file.icon_type or icon_type if file.icon else icon_type,
            "icon": file.icon or icon,
        },
    )


def _description(file: AppFile, document: AppDocument) -> str:
    given = document.description if file.description is None else file.description
    return given[: apps.MAX_WIDE_DESCRIPTION_CHARS]


def _free_name(runtime: Runtime, session: Session, principal: Principal, name: str) -> str:
    if not runtime.limits.is_app_name_unique:
        return name[:MAX_NAME_CHARS].strip()
    taken = apps.names_like(session, principal, name.strip()[: MAX_NAME_CHARS // 2])
    return free_name(name, taken.__contains__)


def _kept_secrets(variables: Declared) -> list[JSONValue]:
    """Return environment variables whose empty secrets leave those of the overwritten draft as they are."""
    kept: list[JSONValue] = []
    for item in variables:
        stored: JSONObject = item.to_json(ENVIRONMENT)
        is_empty = item.value_type is ValueType.SECRET and not stored["value"]
        kept.append(stored | ({"value": SHOWN_SECRET} if is_empty else {}))
    return kept


def _key(principal: Principal, import_id: str) -> str:
    return f"app-import:{principal.tenant_id}:{principal.id}:{import_id[:36]}"
