"""Answers as an external knowledge service does: a dataset here, asked by Dify's External Knowledge API.

The other side of external_search.py, so that a client of that protocol can be
tried against a dataset whose answers are known.
"""

from collections.abc import Sequence

from api.core.ports import JSONObject
from api.core.rag.external import ExternalRecord
from api.core.rag.external_settings import load_external_model
from api.core.rag.metadata_filter import load_conditions
from api.principal import Principal
from api.runtime import Runtime
from api.services import retrieval
from api.services.access import access_dataset
from api.services.retrieval import Record


def answer(
    runtime: Runtime,
    principal: Principal,
    knowledge_id: str,
    query: str,
    setting: JSONObject,
    conditions: JSONObject | None = None,
) -> Sequence[ExternalRecord]:
    """Return what the dataset ``knowledge_id`` finds, best first.

    ``setting`` holds ``top_k`` and ``score_threshold``; how to search is the
    dataset's own. ``conditions`` are the protocol's metadata_condition. Raises
    what a test of retrieval does.
    """
    asked = load_external_model(setting, "retrieval_setting")
    chosen = load_conditions(conditions, "metadata_condition")
    with runtime.reading() as session:
        dataset = access_dataset(session, principal, knowledge_id)
        own = retrieval.to_searched(dataset).retrieval_model.to_wire()
    wanted: JSONObject = {
        **own,
        "top_k": asked.top_k,
        "score_threshold": asked.score_threshold,
        "score_threshold_enabled": asked.score_threshold_enabled,
        "metadata_filtering_conditions": None if chosen is None else chosen.model_dump(mode="json"),
    }
    found = retrieval.hit_test(runtime, principal, knowledge_id, query, wanted)
    return [_to_record(record) for record in found.records]


def _to_record(record: Record) -> ExternalRecord:
    segment, document = record.segment, record.document
    return ExternalRecord(
        content=segment.content if segment.answer is None else f"{segment.content}\n{segment.answer}",
        score=record.found.score,
        title=document.name,
        metadata={"dataset_id": document.dataset_id, "document_id": document.id, "segment_id": segment.id},
    )
