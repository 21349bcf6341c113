"""Apps as files: what is written of one, and what of a workspace stays behind.

Datasets go out under names only their workspace can read. Secrets go out where
an owner asks for them. Wire: docs/wire/app-files.md.
"""

import base64
import binascii
import logging
from collections.abc import Callable
from typing import cast

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.core import vault
from api.core.apps.spec import FLOW_MODES, AppMode
from api.core.dsl.document import AppDocument, WorkflowPart, write_document
from api.core.dsl.needs import Inventory, Need, missing, needs_of
from api.core.dsl.secrets import bare_config, bare_graph
from api.core.model_runtime.types import ModelRef, ModelType
from api.core.ports import JSONValue
from api.core.vault import SealBroken
from api.core.workflow.declared import read_conversation, read_environment
from api.errors import Forbidden, InvalidRequest, NotFound
from api.models.app import App, AppModelConfig
from api.models.dataset import Dataset
from api.models.workflow import DRAFT, Workflow
from api.principal import Principal, Role
from api.runtime import Runtime
from api.services import flows, providers, tenants, tool_calls
from api.services.access import access_app, is_id, may_use
from api.services.tool_calls import ToolRef

logger = logging.getLogger(__name__)

WRITE_S = 60.0
MODEL_TYPES = (ModelType.LLM, ModelType.RERANK)


class DraftMissing(InvalidRequest):
    """There is nothing to export: the app has no workflow yet."""


def export_app(
    runtime: Runtime,
    principal: Principal,
    app_id: str,
    *,
    workflow_id: str | None = None,
    has_secrets: bool = False,
) -> str:
    """Return an app as YAML: its draft, or the published version asked for.

    Raises AppNotFound, NotFound for an unknown version, DraftMissing, and
    Forbidden where one who is no owner asks for secrets.
    """
    if has_secrets and principal.role < Role.OWNER:
        raise Forbidden("Only an owner may export secrets.")
    with runtime.reading() as session:
        document = to_document(
            runtime, session, access_app(session, principal, app_id), workflow_id, has_secrets=has_secrets
        )
    if has_secrets:
        logger.info("app exported with its secrets: %s by %s", app_id, principal.id)
    return runtime.offload.call(_written, document, has_secrets, timeout_s=WRITE_S)


def missing_of(runtime: Runtime, principal: Principal, app_id: str) -> list[Need]:
    """Return what an app uses that its workspace does not have; nothing of an app that was not drawn yet.

    Raises AppNotFound.
    """
    with runtime.reading() as session:
        app = access_app(session, principal, app_id)
        try:
            document = to_document(runtime, session, app, None, has_secrets=False, is_sealed=False)
        except DraftMissing:
            return []
    tools = known_tools(runtime, principal, document)
    with runtime.reading() as session:
        return missing(document, inventory(runtime, session, principal, tools))


def known_tools(runtime: Runtime, principal: Principal, document: AppDocument) -> frozenset[Need]:
    """Return those tools of an app that its workspace has; no session may be open, for documents are read."""
    return frozenset(
        need
        for need in needs_of(document)
        if need.kind == "tool" and tool_calls.has_tool(runtime, principal.tenant_id, _to_ref(need))
    )


def inventory(runtime: Runtime, session: Session, principal: Principal, tools: frozenset[Need]) -> Inventory:
    """Return what the caller's workspace has for an app; of datasets, those the caller may use.

    ``tools`` are those it has, which was found out before the session was opened.
    """

    def has_model(need: Need) -> bool:
        ref = ModelRef(need.provider, need.name)
        return any(_is_usable(runtime, session, principal.tenant_id, ref, kind) for kind in MODEL_TYPES)

    return Inventory(
        has_model=has_model,
        has_tool=tools.__contains__,
        has_dataset=lambda need: need.name in usable_datasets(session, principal, [need.name]),
    )


def _to_ref(need: Need) -> ToolRef:
    return ToolRef(
        kind=need.provider_type, provider=need.provider, name=need.name, provider_name=need.provider_name
    )


def usable_datasets(session: Session, principal: Principal, ids: list[str]) -> set[str]:
    """Return those of some ids that are datasets the caller may use."""
    known = [dataset_id.lower() for dataset_id in ids if is_id(dataset_id)]
    here = select(Dataset.id).where(
        Dataset.tenant_id == principal.tenant_id, Dataset.id.in_(known), may_use(principal)
    )
    return set(session.scalars(here)) if known else set()


def dataset_opener(runtime: Runtime, session: Session, tenant_id: str) -> Callable[[str], str | None]:
    """Return what reads a dataset's name in a file: an id as it is, or one this workspace sealed."""
    _, keys = tenants.load_data_keys(runtime, session, tenant_id)

    def opened(name: str) -> str | None:
        if is_id(name):
            return name.lower()
        try:
            sealed = base64.b64decode(name, validate=True)
            return vault.unseal(keys, sealed, _context(tenant_id)).decode()
        except (binascii.Error, ValueError, SealBroken):
            return None

    return opened


def to_document(
    runtime: Runtime,
    session: Session,
    app: App,
    workflow_id: str | None,
    *,
    has_secrets: bool,
    is_sealed: bool = True,
) -> AppDocument:
    """Return an app as a file holds it: its draft, or the version asked for.

    With ``is_sealed`` ids of datasets are readable in their workspace only.
    Raises NotFound for an unknown version, DraftMissing.
    """
    rename: Callable[[str], str | None] = str
    if is_sealed:
        rename = _dataset_sealer(runtime, session, app.tenant_id)
    mode = AppMode(app.mode)
    part, config = None, None
    if mode in FLOW_MODES:
        row = _access_workflow(session, app, workflow_id)
        part = _to_part(runtime, session, row, rename, has_secrets=has_secrets)
    else:
        stored = session.get(AppModelConfig, app.app_model_config_id)
        assert stored is not None, "an app of a configured mode has a configuration"
        config = bare_config(stored.config, str, has_secrets=has_secrets)
    return AppDocument(
        name=app.name,
        mode=mode,
        description=app.description,
        icon_type=app.icon_type or "emoji",
        icon=app.icon or "",
        icon_background=app.icon_background or "",
        use_icon_as_answer_icon=app.use_icon_as_answer_icon,
        workflow=part,
        config=config,
    )


def _to_part(
    runtime: Runtime,
    session: Session,
    row: Workflow,
    rename: Callable[[str], str | None],
    *,
    has_secrets: bool,
) -> WorkflowPart:
    opened = flows.open_secrets(runtime, session, row.tenant_id, row.environment_variables)
    return WorkflowPart(
        graph=bare_graph(row.graph, rename, has_secrets=has_secrets),
        features=row.features,
        environment=read_environment(cast("JSONValue", opened)),
        conversation=read_conversation(cast("JSONValue", row.conversation_variables)),
    )


def _access_workflow(session: Session, app: App, workflow_id: str | None) -> Workflow:
    """Return the row of a version, or of the draft where none is asked for."""
    query = select(Workflow).where(Workflow.tenant_id == app.tenant_id, Workflow.app_id == app.id)
    if workflow_id is None:
        row = session.scalars(query.where(Workflow.version == DRAFT)).one_or_none()
        if row is None:
            raise DraftMissing("Missing draft workflow configuration, please check.")
        return row
    asked = query.where(Workflow.id == workflow_id.lower())
    row = session.scalars(asked).one_or_none() if is_id(workflow_id) else None
    if row is None:
        raise NotFound("Workflow not found.")
    return row


def _dataset_sealer(runtime: Runtime, session: Session, tenant_id: str) -> Callable[[str], str]:
    key, _ = tenants.load_data_keys(runtime, session, tenant_id)
    return lambda name: base64.b64encode(vault.seal(key, name.encode(), _context(tenant_id))).decode()


def _is_usable(runtime: Runtime, session: Session, tenant_id: str, ref: ModelRef, kind: ModelType) -> bool:
    try:
        providers.check_usable(runtime, session, tenant_id, ref, kind)
    except InvalidRequest:
        return False
    return True


def _written(document: AppDocument, has_secrets: bool) -> str:
    return write_document(document, has_secrets=has_secrets)


def _context(tenant_id: str) -> str:
    return f"dataset-in-file\x00{tenant_id}"
