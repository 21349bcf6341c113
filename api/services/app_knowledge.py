"""The datasets an app answers from: which it may name, and what they say to a question."""

from collections.abc import Mapping, Sequence

import orjson
from sqlalchemy import delete
from sqlalchemy.orm import Session

from api.core.apps.config import ModelConfig
from api.core.apps.spec import Retrieved
from api.core.events import RetrieverResource
from api.core.ports import JSONObject, JSONValue
from api.core.rag.passage import Found
from api.errors import Forbidden, InvalidRequest, NotFound
from api.models.app import App
from api.models.dataset import AppDataset
from api.principal import ActorKind, Principal
from api.services import app_search, retrieval
from api.services.access import access_dataset
from api.services.app_search import FIELD, Answered, Question
from api.services.external_search import ExternalFound
from api.services.retrieval import Record

MAX_METADATA_BYTES = 4096
"""What a citation repeats of what another service tells of a passage; more is left out."""


def check_knowledge(session: Session, principal: Principal, config: ModelConfig) -> None:
    """Raise InvalidRequest unless the caller may use every dataset named, and the search makes sense."""
    app_search.load_settings(config.dataset_configs)
    for dataset_id in config.dataset_ids:
        try:
            access_dataset(session, principal, dataset_id)
        except (NotFound, Forbidden):
            message = f"Dataset {dataset_id[:100]!r} does not exist."
            raise InvalidRequest(message, field=FIELD) from None


def keep_knowledge(session: Session, app: App, config: ModelConfig) -> None:
    """Note which datasets the app uses now; what it used before is forgotten."""
    session.execute(delete(AppDataset).where(AppDataset.app_id == app.id))
    session.add_all(
        AppDataset(tenant_id=app.tenant_id, app_id=app.id, dataset_id=dataset_id)
        for dataset_id in config.dataset_ids
    )
    session.flush()


def consult(question: Question, principal: Principal) -> Retrieved:
    """Return the passages of the app's datasets that answer a question, best first, as they are cited.

    The search is kept in the log of the datasets. Raises a ProviderFailure,
    Unavailable or Cancelled.
    """
    answered = app_search.search(question)
    if not answered.datasets:
        return Retrieved(spent=answered.spent)
    found = [one for one in answered.passages if isinstance(one, Found)]
    records = retrieval.load_records(question.runtime, question.app.tenant_id, found)
    retrieval.note_search(
        question.runtime,
        principal,
        [one.id for one in answered.datasets],
        question.text,
        found,
        source="app",
        app_id=question.app.id,
    )
    origin = "dev" if principal.kind is ActorKind.ACCOUNT else "api"
    return Retrieved(resources=tuple(_to_resources(answered, records, origin)), spent=answered.spent)


def _to_resources(answered: Answered, records: Sequence[Record], origin: str) -> list[RetrieverResource]:
    """Return the passages as they are cited; what went meanwhile is left out."""
    names = {one.id: one.name for one in answered.datasets}
    by_segment = {record.segment.id: record for record in records}
    resources: list[RetrieverResource] = []
    for passage in answered.passages:
        place = len(resources) + 1
        if isinstance(passage, ExternalFound):
            resources.append(_cite_outside(place, passage, origin))
        elif record := by_segment.get(passage.passage.segment_id):
            resources.append(_cite(place, record, names, origin))
    return resources


def _cite(place: int, record: Record, names: Mapping[str, str], origin: str) -> RetrieverResource:
    segment, document = record.segment, record.document
    text = segment.content if segment.answer is None else f"{segment.content}\n{segment.answer}"
    return RetrieverResource(
        position=place,
        dataset_id=segment.dataset_id,
        dataset_name=names[segment.dataset_id],
        document_id=document.id,
        document_name=document.name,
        data_source_type=document.data_source_type,
        segment_id=segment.id,
        retriever_from=origin,
        score=record.found.score,
        content=text,
        segment_position=segment.position,
        word_count=segment.word_count,
        hit_count=segment.hit_count,
        index_node_hash=segment.hash,
        summary=record.summary.content if record.summary else None,
    )


def _cite_outside(place: int, found: ExternalFound, origin: str) -> RetrieverResource:
    record = found.record
    return RetrieverResource(
        position=place,
        dataset_id=found.dataset.id,
        dataset_name=found.dataset.name,
        document_id=_id_in(record.metadata, "document_id"),
        document_name=record.title,
        data_source_type="external",
        segment_id=_id_in(record.metadata, "segment_id"),
        retriever_from=origin,
        score=found.score,
        content=record.content,
        doc_metadata=_shown(record.metadata),
    )


def _id_in(metadata: Mapping[str, JSONValue], key: str) -> str:
    """Return what a service calls a thing of its own; empty where it does not say."""
    value = metadata.get(key)
    return value if isinstance(value, str) else ""


def _shown(metadata: Mapping[str, JSONValue]) -> JSONObject | None:
    shown = dict(metadata)
    return shown if shown and len(orjson.dumps(shown)) <= MAX_METADATA_BYTES else None
