"""Searches datasets that another service keeps; no connection is held while it is waited for."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

from sqlalchemy.orm import Session

from api.core.ports import Cancel, JSONObject, JSONValue
from api.core.rag import external
from api.core.rag.external import ExternalAPI, ExternalCondition, ExternalRecord
from api.core.rag.external_settings import ExternalRetrievalModel, load_external_model
from api.core.rag.metadata_filter import MetadataFilter
from api.core.rag.waiting import within
from api.errors import ExternalKnowledgeFailed, InvalidRequest
from api.models.dataset import Dataset, ExternalKnowledgeAPI
from api.principal import Principal
from api.runtime import Runtime
from api.services import external_apis, retrieval
from api.services.access import access_dataset, access_external_api
from api.services.retrieval import HitTest, KeptElsewhere

logger = logging.getLogger(__name__)

APP_TOTAL_S = 10.0
"""How long an answer waits for a service; a test of retrieval, which is about that service, waits longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalDataset:
    """A dataset that another service keeps, as a search needs it."""

    id: str
    name: str
    description: str
    api: ExternalAPI
    knowledge_id: str
    settings: ExternalRetrievalModel


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalFound:
    """A passage that a service found. ``score`` is 0..1, higher is nearer."""

    dataset: ExternalDataset
    record: ExternalRecord
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How to search: the wire's retrieval_model and external_retrieval_model, None for the dataset's own.

    What the first says of how much to find counts for a service too, where the second says nothing.
    """

    here: JSONObject | None = None
    elsewhere: JSONObject | None = None


def hit_test_external(
    runtime: Runtime, principal: Principal, dataset_id: str, query: str, raw: JSONObject | None
) -> Sequence[ExternalRecord]:
    """Return what the service of a dataset finds, best first, as its settings say, or as ``raw`` does.

    The search is kept in the dataset's log. Raises NotFound or Forbidden for
    the dataset, InvalidRequest for one we keep ourselves or a bad setting, and
    ExternalKnowledgeFailed with what the service said.
    """
    asked = None if raw is None else load_external_model(raw)
    with runtime.reading() as session:
        dataset = access_dataset(session, principal, dataset_id)
        if dataset.external_api_id is None or dataset.external_knowledge_id is None:
            raise InvalidRequest("The dataset is not kept by an external API; use hit-testing.")
        row = access_external_api(session, principal, dataset.external_api_id)
        opened = to_external(runtime, session, dataset, row)
    wanted = (asked or opened.settings).to_query(opened.knowledge_id, query)
    found = external.retrieve(opened.api, wanted, runtime.http, Cancel(runtime.limits.run_timeout_s))
    retrieval.note_search(runtime, principal, [opened.id], query, (), source="hit_testing")
    return found


def hit_test_anywhere(
    runtime: Runtime, principal: Principal, dataset_id: str, query: str, asked: Asked
) -> HitTest | Sequence[ExternalRecord]:
    """Return what a dataset finds, whoever keeps it: segments of ours, or records of a service.

    Raises what retrieval.hit_test and :func:`hit_test_external` do.
    """
    try:
        return retrieval.hit_test(runtime, principal, dataset_id, query, asked.here)
    except KeptElsewhere:
        wanted = asked.here if asked.elsewhere is None else asked.elsewhere
        return hit_test_external(runtime, principal, dataset_id, query, wanted)


def to_external(
    runtime: Runtime, session: Session, dataset: Dataset, row: ExternalKnowledgeAPI
) -> ExternalDataset:
    """Return what a search needs of a dataset and its API; raises ExternalKnowledgeFailed."""
    return ExternalDataset(
        id=dataset.id,
        name=dataset.name,
        description=dataset.description,
        api=external_apis.open_external_api(runtime, session, row),
        knowledge_id=dataset.external_knowledge_id or "",
        settings=load_external_model(dataset.external_retrieval_model),
    )


def search_for_answer(
    runtime: Runtime, dataset: ExternalDataset, query: str, only: MetadataFilter | None, cancel: Cancel
) -> list[ExternalFound]:
    """Return what a service finds for an app's answer, best first; nothing where it fails.

    An answer does without a service that is down, which is logged. ``only`` is
    passed on: the service knows its metadata. Raises Cancelled when ``cancel``
    is set.
    """
    wanted = dataset.settings.to_query(dataset.knowledge_id, query)
    if only is not None:
        wanted = replace(wanted, conditions=_to_conditions(only), logical_operator=only.logical_operator)
    try:
        with within(APP_TOTAL_S, cancel) as bounded:
            records = external.retrieve(dataset.api, wanted, runtime.http, bounded)
    except (ExternalKnowledgeFailed, InvalidRequest) as exc:
        # Its message may quote the question, which no log holds.
        reason = exc.code if exc.__cause__ is None else type(exc.__cause__).__name__
        logger.warning("external knowledge not searched: %s", reason, extra={"dataset_id": dataset.id})
        return []
    return [
        ExternalFound(dataset=dataset, record=record, score=min(1.0, max(0.0, record.score)))
        for record in records
    ]


def _to_conditions(only: MetadataFilter) -> tuple[ExternalCondition, ...]:
    """Return the conditions as the protocol has them; rows of a form not filled in are none."""
    return tuple(
        ExternalCondition(
            names=(condition.name,),
            comparison_operator=condition.comparison_operator,
            value=cast("JSONValue", _plain(condition.value)),
        )
        for condition in only.conditions
        if not condition.is_blank
    )


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
