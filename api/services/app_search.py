"""Searches the datasets of an app for one question, those kept here and those of other services side by side.

Boundary: finds and ranks; app_knowledge.py says how results are cited. What must
stay true: no connection is held while a model, a store or a service is waited
for; of the parts only a service outside may fail without ending the answer.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.core.apps.config import DatasetConfigs
from api.core.apps.spec import AppSpec
from api.core.model_runtime.choice import ModelChoice
from api.core.model_runtime.provider import is_generative
from api.core.model_runtime.runtime import ModelRuntime
from api.core.model_runtime.types import NO_TOKENS, ModelRef, TokenCount
from api.core.parallel import run_all
from api.core.ports import Cancel
from api.core.rag import dataset_choice
from api.core.rag.dataset_choice import Offer
from api.core.rag.metadata_filter import MetadataFilter
from api.core.rag.metadata_prompt import FilterModel, MadeFilter, make_filter
from api.core.rag.passage import Found
from api.core.rag.retrieval_model import RetrievalModel, load_retrieval_model
from api.errors import ExternalKnowledgeFailed, ProviderFailure
from api.models.base import utc_now
from api.models.dataset import Dataset, ExternalKnowledgeAPI
from api.runtime import Runtime
from api.services import external_search, metadata_filters, retrieval
from api.services.external_search import ExternalDataset, ExternalFound
from api.services.retrieval import Searched

logger = logging.getLogger(__name__)

FIELD = "dataset_configs"
MAX_THREADS = 8

Searchable: TypeAlias = Searched | ExternalDataset
Passage: TypeAlias = Found | ExternalFound
Call: TypeAlias = Callable[[Cancel], Sequence[Passage]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What an app asks its datasets, and what it may use for that."""

    runtime: Runtime
    app: AppSpec
    models: ModelRuntime
    cancel: Cancel
    text: str

    @property
    def configs(self) -> DatasetConfigs:
        """How the app's datasets are searched."""
        return self.app.configured().dataset_configs


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What was found, best first, in which datasets, and what the app's model took to choose and filter."""

    passages: Sequence[Passage] = ()
    datasets: Sequence[Searchable] = ()
    spent: TokenCount = NO_TOKENS


def load_settings(configs: DatasetConfigs) -> RetrievalModel:
    """Return how several datasets are ranked together; raises InvalidRequest naming the key at fault.

    Each of them is searched by the method of its own.
    """
    return load_retrieval_model(configs.settings(), field=FIELD)


def search(question: Question) -> Answered:
    """Return what the app's datasets hold about a question.

    Raises a ProviderFailure, Unavailable or Cancelled.
    """
    runtime, app = question.runtime, question.app
    with runtime.reading() as session:
        datasets = _load_searchable(runtime, session, app.tenant_id, app.configured().dataset_ids)
    spent = NO_TOKENS
    if question.configs.retrieval_model == "single" and len(datasets) > 1:
        chosen, spent = _choose_dataset(question, datasets)
        datasets = datasets if chosen is None else [chosen]
    if not datasets:
        return Answered()
    kept = [one for one in datasets if isinstance(one, Searched)]
    only, filtering = _choose_filter(question, kept)
    kept = _narrow(question, kept, only)
    outside = [one for one in datasets if isinstance(one, ExternalDataset)]
    rank = _rank_together if question.configs.retrieval_model == "multiple" else _keep_best
    return Answered(passages=rank(question, kept, outside), datasets=datasets, spent=spent + filtering)


def _load_searchable(
    runtime: Runtime, session: Session, tenant_id: str, ids: Sequence[str]
) -> list[Searchable]:
    """Return those of a workspace's datasets that can be searched, in the order of ``ids``."""
    rows = session.execute(
        select(Dataset, ExternalKnowledgeAPI)
        .outerjoin(ExternalKnowledgeAPI, ExternalKnowledgeAPI.id == Dataset.external_api_id)
        .where(Dataset.tenant_id == tenant_id, Dataset.id.in_(ids))
    )
    by_id = {dataset.id: (dataset, api) for dataset, api in rows}
    found = (_to_searchable(runtime, session, *by_id[id_]) for id_ in ids if id_ in by_id)
    return [one for one in found if one is not None]


def _to_searchable(
    runtime: Runtime, session: Session, dataset: Dataset, api: ExternalKnowledgeAPI | None
) -> Searchable | None:
    """Return a dataset as it is searched; None where it holds nothing yet, or its service cannot be asked."""
    if dataset.provider != "external":
        return None if dataset.indexing_technique is None else retrieval.to_searched(dataset)
    if api is None:
        return None
    try:
        return external_search.to_external(runtime, session, dataset, api)
    except ExternalKnowledgeFailed as exc:
        logger.warning("external knowledge not searched: %s", exc, extra={"dataset_id": dataset.id})
        return None


def _choose_dataset(
    question: Question, datasets: Sequence[Searchable]
) -> tuple[Searchable | None, TokenCount]:
    """Return the dataset the app's model chooses, None where it cannot, and what asking it cost."""
    ref = question.app.configured().model.ref
    if not is_generative(ref.provider):
        return None, NO_TOKENS
    offers = [Offer(one.name, one.description) for one in datasets]
    about = {"app_id": question.app.id}
    try:
        choice = dataset_choice.choose(
            question.text,
            offers,
            question.models,
            question.cancel,
            tenant_id=question.app.tenant_id,
            ref=ref,
        )
    except ProviderFailure as exc:
        logger.warning("no dataset chosen: %s; all are searched", exc.code, extra=about)
        return None, NO_TOKENS
    if choice.place is None:
        logger.warning("no dataset chosen: the model named none; all are searched", extra=about)
        return None, choice.spent
    return datasets[choice.place], choice.spent


def _choose_filter(question: Question, kept: Sequence[Searched]) -> tuple[MetadataFilter | None, TokenCount]:
    """Return what documents must be like, as configured or as a model reads the question, and its tokens.

    Only those of the app's own model count: a price is one model's.
    """
    if question.configs.metadata_filtering_mode != "automatic":
        return _manual_filter(question.configs), NO_TOKENS
    if not kept:
        return None, NO_TOKENS
    own, choice = question.app.configured().model, _filter_model(question)
    made = _make_filter(question, kept, choice)
    return made.filter, made.spent if choice.ref == own.ref else NO_TOKENS


def _narrow(question: Question, kept: Sequence[Searched], chosen: MetadataFilter | None) -> list[Searched]:
    """Return the datasets with only the documents to look at."""
    if chosen is None or not kept:
        return list(kept)
    with question.runtime.reading() as session:
        return [
            replace(one, source=metadata_filters.narrow(session, one.source, one.id, chosen)) for one in kept
        ]


def _manual_filter(configs: DatasetConfigs) -> MetadataFilter | None:
    if configs.metadata_filtering_mode in ("disabled", "automatic"):
        return None
    return load_settings(configs).metadata_filtering_conditions


def _filter_model(question: Question) -> ModelChoice:
    """Return the model that makes filters: the app's, or one named for it."""
    named = question.configs.metadata_model_config or {}
    if named.get("provider") and named.get("name"):
        return ModelChoice.model_validate(named)
    return question.app.configured().model


def _make_filter(question: Question, kept: Sequence[Searched], choice: ModelChoice) -> MadeFilter:
    """Return what documents must be like as a model reads the question."""
    tenant_id = question.app.tenant_id
    with question.runtime.reading() as session:
        fields = metadata_filters.load_fields(session, tenant_id, [one.id for one in kept])
    model = FilterModel(tenant_id=tenant_id, ref=choice.ref, parameters=choice.completion_params)
    return make_filter(question.text, fields, model, question.models, question.cancel, now=utc_now())


def _rank_together(
    question: Question, kept: Sequence[Searched], outside: Sequence[ExternalDataset]
) -> list[Passage]:
    """Search all datasets together and rank what they find as one list."""
    settings = load_settings(question.configs)
    calls: list[Call] = [partial(_search_kept, question, kept, settings)] if kept else []
    calls += [_outside_call(question, one) for one in outside]
    answers = run_all(calls, question.cancel, max_threads=MAX_THREADS)
    passages = [passage for answer in answers for passage in answer]
    if settings.rerank_ref is not None:
        passages = _rerank_outside(question, passages, settings.rerank_ref)
    passages = [passage for passage in passages if passage.score >= settings.threshold]
    return sorted(passages, key=lambda passage: -passage.score)[: settings.top_k]


def _keep_best(
    question: Question, kept: Sequence[Searched], outside: Sequence[ExternalDataset]
) -> list[Passage]:
    """Search each dataset as it says itself; return what the one with the best hit found."""
    calls: list[Call] = [partial(_search_kept, question, [one], one.retrieval_model) for one in kept]
    calls += [_outside_call(question, one) for one in outside]
    answers = run_all(calls, question.cancel, max_threads=MAX_THREADS)
    found = sorted((answer for answer in answers if answer), key=lambda answer: -answer[0].score)
    return list(found[0]) if found else []


def _search_kept(
    question: Question, kept: Sequence[Searched], settings: RetrievalModel, cancel: Cancel
) -> Sequence[Passage]:
    return retrieval.search(question.runtime, question.models, kept, question.text, settings, cancel)


def _outside_call(question: Question, dataset: ExternalDataset) -> Call:
    only = _manual_filter(question.configs)
    return partial(external_search.search_for_answer, question.runtime, dataset, question.text, only)


def _rerank_outside(question: Question, passages: Sequence[Passage], ref: ModelRef) -> list[Passage]:
    """Return the passages, those of other services scored by the model that scored the rest already."""
    outside = [passage for passage in passages if isinstance(passage, ExternalFound)]
    if not outside:
        return list(passages)
    texts = [passage.record.content for passage in outside]
    scores = question.models.rerank(
        question.app.tenant_id, ref, question.text, texts, top_n=len(texts), cancel=question.cancel
    )
    kept: list[Passage] = [passage for passage in passages if isinstance(passage, Found)]
    return [*kept, *(replace(outside[one.index], score=one.score) for one in scores)]
