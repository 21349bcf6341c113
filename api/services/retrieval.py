"""Searches datasets: for the console's retrieval test, and for the answers of apps.

The stores propose and the rows dispose (passages.py). No connection is held
while a model or a store is waited for. Every search is kept in the log of its
datasets, and counts as a hit of what it returned.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Update, and_, any_, bindparam, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session, load_only

from api.core.model_runtime.runtime import ModelRuntime
from api.core.ports import Cancel, JSONObject
from api.core.rag.metadata_filter import Stored
from api.core.rag.passage import Found, Source
from api.core.rag.retrieval_model import RetrievalModel, load_retrieval_model
from api.core.rag.retrieval_service import Point, retrieve, retrieve_plotted
from api.core.rag.search import Deps
from api.errors import InvalidRequest, Unavailable
from api.models.account import Tenant
from api.models.base import Base, new_id, utc_now
from api.models.dataset import Dataset
from api.models.document import ChildChunk, Document, Segment
from api.models.types import Id, joins_inserts
from api.principal import ActorKind, Principal
from api.runtime import Runtime
from api.services import ledger, metadata_filters, providers, remembered
from api.services.access import access_dataset
from api.services.index_rows import embedding_of
from api.services.ledger import Tally
from api.services.passages import LivePassages
from api.services.summary_rows import load_summaries

logger = logging.getLogger(__name__)

INSERT_QUERY = Base.metadata.tables["dataset_queries"].insert()


def _counting(name: str, chosen: Callable[[ColumnElement[str]], ColumnElement[bool]]) -> Update:
    """Return the statement that counts a hit of some rows of a table."""
    table = Base.metadata.tables[name]
    is_hit = and_(chosen(table.c.id), table.c.tenant_id == bindparam("of_tenant"))
    return update(table).where(is_hit).values(hit_count=table.c.hit_count + 1, updated_at=table.c.updated_at)


# One row each by its key: SQLite would look through all documents of a tenant for several.
COUNT_HITS = tuple(
    _counting(name, lambda column: column == bindparam("hit_id")) for name in ("documents", "segments")
)
# On PostgreSQL all of it is one statement, which needs no transaction around it. It runs what stands
# before its INSERT from the last to the first, so that rows are locked in one order by either way.
HITS = postgresql.ARRAY(Id)
NOTED = "noted_"  # sets the query's parameters apart from columns of the others
NOTE_ALL = INSERT_QUERY.values(
    {column.name: bindparam(NOTED + column.name, type_=column.type) for column in INSERT_QUERY.table.columns}
).add_cte(
    _counting("segments", lambda column: column == any_(bindparam("hit_segments", type_=HITS))).cte("s"),
    _counting("documents", lambda column: column == any_(bindparam("hit_documents", type_=HITS))).cte("d"),
)
PROVIDERS_VERSION = select(Tenant.providers_version).where(Tenant.id == bindparam("tenant_id"))
FOUND_ROWS = (
    select(Segment, Document)
    .join(Document, Document.id == Segment.document_id)
    .where(Segment.tenant_id == bindparam("tenant_id"), Segment.id.in_(bindparam("ids", expanding=True)))
    .options(
        load_only(  # what is told of a document, a third of its columns
            Document.id,
            Document.tenant_id,
            Document.dataset_id,
            Document.data_source_type,
            Document.name,
            Document.doc_type,
            Document.doc_metadata,
            Document.created_by,
            Document.created_at,
            Document.updated_at,
            raiseload=True,
        )
    )
)
DEFAULT_TOP_K = 4


@dataclass(frozen=True, slots=True)
class ProvidersVersion:
    """Key under which a process remembers for a second which version a workspace's providers have."""

    tenant_id: str


class DatasetNotInitialized(InvalidRequest):
    """The dataset has nothing that could be searched yet."""

    code = "dataset_not_initialized"


class KeptElsewhere(InvalidRequest):
    """Another service keeps the dataset, and searches it by a protocol of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One segment a search found, with its rows; ``point`` is its place in the picture of the search."""

    found: Found
    segment: Segment
    document: Document
    summary: ChildChunk | None
    point: Point | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HitTest:
    """What a test of retrieval found, best first.

    ``metadata`` are the values of each document, by its id and the names of the fields.
    """

    query: str
    point: Point | None
    records: Sequence[Record]
    metadata: Mapping[str, Mapping[str, Stored]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """A dataset as a search needs it."""

    id: str
    name: str
    description: str
    source: Source
    retrieval_model: RetrievalModel


def hit_test(
    runtime: Runtime, principal: Principal, dataset_id: str, query: str, raw: JSONObject | None
) -> HitTest:
    """Search one dataset as its settings say, or as ``raw`` does (the wire's retrieval_model).

    Raises NotFound or Forbidden for the dataset, DatasetNotInitialized before
    its first document, InvalidRequest naming a bad setting, or what the models
    and stores raise.
    """
    asked = None if raw is None else load_retrieval_model(raw)
    tally = _tally(runtime, principal, dataset_id)
    try:
        return _hit_test(tally, principal, dataset_id, query, asked)
    finally:
        tally.end()  # what a search took that failed


def _hit_test(
    tally: Tally, principal: Principal, dataset_id: str, query: str, asked: RetrievalModel | None
) -> HitTest:
    runtime = tally.runtime
    models = _models(tally)
    with runtime.reading() as session:
        dataset = access_dataset(session, principal, dataset_id)
        if dataset.provider == "external":
            raise KeptElsewhere("Another service keeps this dataset; use external-hit-testing.")
        if dataset.indexing_technique is None:
            raise DatasetNotInitialized(
                "The dataset is still being initialized or indexing. Please wait a moment."
            )
        searched = to_searched(dataset)
        is_showing_built_in = dataset.built_in_field_enabled
        settings = asked or searched.retrieval_model
        # A test of retrieval says itself how to search.
        source = metadata_filters.narrow(
            session,
            replace(searched.source, search_method=None),
            dataset.id,
            settings.metadata_filtering_conditions,
        )
    deps = _deps(runtime, principal.tenant_id, models, [dataset.id], Cancel(runtime.limits.run_timeout_s))
    plot = retrieve_plotted(query, source, settings, deps)
    with runtime.reading() as session:
        records = _read_records(session, principal.tenant_id, plot.found, plot.points)
        documents = [record.document for record in records]
        metadata = metadata_filters.load_named(session, documents, is_showing_built_in=is_showing_built_in)
    note_search(
        runtime,
        principal,
        [dataset.id],
        query,
        [record.found for record in records],
        source="hit_testing",
        tally=tally,
    )
    return HitTest(query=query, point=plot.query, records=records, metadata=metadata)


def search(
    runtime: Runtime,
    models: ModelRuntime,
    searched: Sequence[Searched],
    query: str,
    settings: RetrievalModel,
    cancel: Cancel,
) -> list[Found]:
    """Search several datasets of one workspace together, for an app whose configuration names them."""
    if not searched:
        return []
    tenant_id = searched[0].source.tenant_id
    deps = _deps(runtime, tenant_id, models, [one.id for one in searched], cancel)
    return retrieve(query, [one.source for one in searched], settings, deps)


def to_searched(dataset: Dataset) -> Searched:
    """Return what a search needs of a dataset."""
    embedding = embedding_of(dataset)
    settings = load_retrieval_model(
        dataset.retrieval_model or {"search_method": "semantic_search", "top_k": DEFAULT_TOP_K}
    )
    return Searched(
        id=dataset.id,
        name=dataset.name,
        description=dataset.description,
        retrieval_model=settings,
        source=Source(
            tenant_id=dataset.tenant_id,
            collection=dataset.collection_id,
            embedding=embedding,
            search_method=settings.search_method,
        ),
    )


def note_search(
    runtime: Runtime,
    principal: Principal,
    dataset_ids: Sequence[str],
    query: str,
    found: Sequence[Found],
    *,
    source: str,
    app_id: str | None = None,
    tally: Tally | None = None,
) -> None:
    """Keep a search in the log of its datasets, count it where it hit, and what it took of models.

    What was found is worth more than that: where it cannot be written, that is
    logged and no error.
    """
    try:
        with ledger.settled(tally) as spent:
            _note(runtime, principal, dataset_ids, query, found, source=source, app_id=app_id, spent=spent)
    except Unavailable:
        logger.warning("search not noted", extra={"dataset_ids": list(dataset_ids)})


def _note(
    runtime: Runtime,
    principal: Principal,
    dataset_ids: Sequence[str],
    query: str,
    found: Sequence[Found],
    *,
    source: str,
    app_id: str | None,
    spent: Sequence[Mapping[str, Any]],
) -> None:
    # The ledger, documents, segments, each in order: searches that change the same never wait in a circle.
    segments = sorted({one.passage.segment_id for one in found})
    documents = sorted({one.passage.document_id for one in found})
    row = {
        "tenant_id": principal.tenant_id,
        "content": query,
        "source": source,
        "source_app_id": app_id,
        "created_by_role": principal.kind.value,
        "created_by": principal.id,
    }
    now = utc_now()
    rows = [
        {**row, "id": new_id(), "created_at": now, "dataset_id": dataset_id} for dataset_id in dataset_ids
    ]
    tenant_id = principal.tenant_id
    if len(rows) == 1 and joins_inserts(runtime.engine) and ledger.is_one_statement(runtime.engine, spent):
        hits = {"hit_segments": segments, "hit_documents": documents, "of_tenant": tenant_id}
        with runtime.autocommit() as connection:
            values = {**{NOTED + name: rows[0][name] for name in rows[0]}, **hits}
            ledger.write_with(connection, NOTE_ALL, values, spent)
        return
    with runtime.writing() as connection:
        connection.execute(INSERT_QUERY, rows)
        ledger.add(connection, spent)
        for statement, ids in zip(COUNT_HITS, (documents, segments), strict=True):
            if ids:
                connection.execute(statement, [{"hit_id": id_, "of_tenant": tenant_id} for id_ in ids])


def load_records(runtime: Runtime, tenant_id: str, found: Sequence[Found]) -> list[Record]:
    """Return what was found together with its rows; what went meanwhile is left out."""
    with runtime.reading() as session:
        return _read_records(session, tenant_id, found, {})


def _read_records(
    session: Session, tenant_id: str, found: Sequence[Found], points: Mapping[str, Point]
) -> list[Record]:
    if not found:
        return []
    ids = [one.passage.segment_id for one in found]
    rows = session.execute(FOUND_ROWS, {"tenant_id": tenant_id, "ids": ids})
    by_id = {segment.id: (segment, document) for segment, document in rows}
    known = load_summaries(session, [segment for segment, _ in by_id.values()])
    return [
        Record(
            found=one,
            segment=by_id[one.passage.segment_id][0],
            document=by_id[one.passage.segment_id][1],
            summary=known.get(one.passage.segment_id),
            point=points.get(one.passage.segment_id),
        )
        for one in found
        if one.passage.segment_id in by_id
    ]


def _deps(
    runtime: Runtime, tenant_id: str, models: ModelRuntime, dataset_ids: Sequence[str], cancel: Cancel
) -> Deps:
    return Deps(
        models=models,
        vectors=runtime.vectors,
        keywords=runtime.keywords,
        reader=LivePassages(runtime, tenant_id, dataset_ids),
        cancel=cancel,
    )


def _tally(runtime: Runtime, principal: Principal, dataset_id: str) -> Tally:
    is_key = principal.kind is ActorKind.SERVICE
    return Tally(
        runtime=runtime,
        tenant_id=principal.tenant_id,
        dataset_id=dataset_id,
        actor_id=None if is_key else principal.id,
        key_id=principal.id if is_key else None,
        wait=True,
    )


def _models(tally: Tally) -> ModelRuntime:
    """Return the way to a workspace's models, as it is configured now, or was a second ago."""
    runtime, tenant_id = tally.runtime, tally.tenant_id
    key = ProvidersVersion(tenant_id)
    version = remembered.recall(runtime, key, lambda: _find_version(runtime, tenant_id))
    return providers.model_runtime(tally, version or 0)


def _find_version(runtime: Runtime, tenant_id: str) -> int | None:
    with runtime.reading() as session:
        return session.connection().execute(PROVIDERS_VERSION, {"tenant_id": tenant_id}).scalar()
