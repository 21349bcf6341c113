"""Documents that come in together: of uploads, of the pages of a crawl, of pages of Notion.

What is stored for them is stored first, then one transaction makes all of them
and asks for their indexing.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import chain, count

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.errors import InvalidRequest
from api.models.dataset import Dataset
from api.models.document import Document
from api.principal import Principal
from api.runtime import Runtime
from api.services import document_settings, document_sources, idempotency
from api.services.access import access_document
from api.services.dataset_views import DatasetView, get_dataset
from api.services.document_origins import (
    Gathered,
    Origin,
    check_origin,
    gathered,
    is_of,
    keys_of,
    type_of,
)
from api.services.document_settings import DocumentSettings
from api.services.documents import DocumentView, check_mutable, load_batch, open_dataset, to_views

MAX_DATASET_NAME_CHARS = 40


@dataclass(frozen=True, slots=True)
class Added:
    """Documents that came in together, and their dataset."""

    dataset: DatasetView
    views: Sequence[DocumentView]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What documents are made of, and how they are processed; ``name`` stands for those they bring.

    With ``original_document_id`` the only one takes the place of that document.
    """

    origin: Origin
    settings: DocumentSettings
    name: str | None = None
    original_document_id: str | None = None


def create_documents(
    runtime: Runtime,
    principal: Principal,
    dataset_id: str,
    batch: Batch,
    *,
    claim: idempotency.Claim | None = None,
) -> Added:
    """Make documents of a dataset, or replace one; a repeated claim gives those of the first time.

    A document replaced by what it is of already keeps its text and is processed
    anew. Raises NotFound, Forbidden, ArchivedDocument, InvalidRequest,
    FileNotFound, FileInUse, Unsupported, NotionFailed.
    """
    check_origin(batch.origin)
    document_settings.check_rule(runtime, batch.settings)
    with runtime.reading() as session:  # so that nothing is stored for a request that is refused
        dataset = open_dataset(session, principal, dataset_id, may_edit=True)
        original = _original(session, principal, dataset, batch)
        is_kept = original is not None and is_of(original, batch.origin)
    source = nullcontext(None) if is_kept else gathered(runtime, principal, batch.origin)
    with source as found, runtime.transaction() as session:
        first = _first_batch(runtime, session, principal, claim)
        return first or _add(runtime, session, principal, dataset_id, batch=batch, found=found, claim=claim)


def create_dataset(
    runtime: Runtime, principal: Principal, batch: Batch, *, claim: idempotency.Claim | None = None
) -> Added:
    """Make a dataset with its documents, named after the first; raises what ``create_documents`` does."""
    check_origin(batch.origin)
    document_settings.check_rule(runtime, batch.settings)
    with gathered(runtime, principal, batch.origin) as found, runtime.transaction() as session:
        first = _first_batch(runtime, session, principal, claim)
        if first is not None:
            return first
        dataset = Dataset(
            tenant_id=principal.tenant_id,
            name=_free_name(session, principal, found.first_name(session, principal)),
            created_by=principal.id,
            updated_by=principal.id,
        )
        session.add(dataset)
        session.flush()
        return _add(runtime, session, principal, dataset.id, batch=batch, found=found, claim=claim)


def _original(session: Session, principal: Principal, dataset: Dataset, batch: Batch) -> Document | None:
    """Return the document to replace; raises DocumentNotFound, ArchivedDocument, InvalidRequest."""
    if batch.original_document_id is None:
        return None
    if len(keys_of(batch.origin)) != 1:
        raise InvalidRequest("One thing replaces a document.", field="data_source")
    return check_mutable(access_document(session, principal, dataset, batch.original_document_id))


def _add(
    runtime: Runtime,
    session: Session,
    principal: Principal,
    dataset_id: str,
    *,
    batch: Batch,
    found: Gathered | None,
    claim: idempotency.Claim | None,
) -> Added:
    """Write the documents; without ``found`` the one that is replaced keeps its text."""
    dataset = document_sources.take_turn(session, principal, dataset_id)
    rule = document_settings.settle(
        runtime, session, principal, dataset, batch.settings, type_of(batch.origin)
    )
    starts = [] if found is None else found.take(session, principal)
    original = _original(session, principal, dataset, batch)
    if original is None:
        made = document_sources.add_documents(
            runtime,
            session,
            principal,
            dataset,
            rule,
            starts=starts,
            settings=batch.settings,
            name=batch.name,
        )
    else:
        start = starts[0] if starts else None
        document_sources.replace(runtime, session, original, start, name=batch.name, rule=rule)
        made = [original]
    if claim is not None:
        answer = f"{dataset.id} {made[0].batch}".encode()
        idempotency.keep_answer(runtime, session, claim, 200, answer)
    return _to_added(runtime, session, principal, dataset, made)


def _first_batch(
    runtime: Runtime, session: Session, principal: Principal, claim: idempotency.Claim | None
) -> Added | None:
    """Return the documents that an earlier request with the same claim made."""
    first = None if claim is None else idempotency.take(session, claim)
    if first is None:
        return None
    dataset_id, batch = idempotency.first_answer(runtime, first)[1].decode().split()
    dataset = open_dataset(session, principal, dataset_id, may_edit=True)
    found = load_batch(session, principal, dataset_id, batch)
    return _to_added(runtime, session, principal, dataset, [status.document for status in found])


def _to_added(
    runtime: Runtime, session: Session, principal: Principal, dataset: Dataset, made: Sequence[Document]
) -> Added:
    session.flush()
    view = get_dataset(runtime, session, principal, dataset.id)
    return Added(view, to_views(session, dataset, made))


def _free_name(session: Session, principal: Principal, wanted: str) -> str:
    """Return a name for a dataset that no other of the workspace has, at most 40 characters."""
    base = wanted[:MAX_DATASET_NAME_CHARS]
    taken = set(
        session.scalars(
            select(Dataset.name).where(
                Dataset.tenant_id == principal.tenant_id, Dataset.name.startswith(base[:30], autoescape=True)
            )
        )
    )
    candidates = chain([base], (f"{base[:30]} {number}" for number in count(2)))
    return next(name for name in candidates if name not in taken)
