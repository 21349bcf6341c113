"""The datasets an app answers from: which it may name, and what they say to a question."""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import delete
from sqlalchemy.orm import Session

from api.core.apps.config import DatasetConfigs, ModelChoice, ModelConfig
from api.core.apps.spec import AppSpec
from api.core.events import RetrieverResource
from api.core.model_runtime.runtime import ModelRuntime
from api.core.ports import Cancel
from api.core.rag.metadata_filter import MetadataFilter
from api.core.rag.metadata_prompt import FilterModel, MetadataField, make_filter
from api.core.rag.passage import Found
from api.core.rag.retrieval_model import RetrievalModel, load_retrieval_model
from api.errors import Forbidden, InvalidRequest, NotFound
from api.models.app import App
from api.models.base import utc_now
from api.models.dataset import AppDataset
from api.principal import ActorKind, Principal
from api.runtime import Runtime
from api.services import metadata_filters, retrieval
from api.services.access import access_dataset
from api.services.retrieval import Record, Searched

FIELD = "dataset_configs"


def check_knowledge(session: Session, principal: Principal, config: ModelConfig) -> None:
    """Raise InvalidRequest unless the caller may use every dataset named, and the search makes sense."""
    _settings(config.dataset_configs)
    for dataset_id in config.dataset_ids:
        try:
            dataset = access_dataset(session, principal, dataset_id)
        except (NotFound, Forbidden):
            message = f"Dataset {dataset_id[:100]!r} does not exist."
            raise InvalidRequest(message, field=FIELD) from None
        if dataset.provider == "external":
            message = f"Dataset {dataset.name!r} is kept by another service, which apps cannot search yet."
            raise InvalidRequest(message, field=FIELD)


def keep_knowledge(session: Session, app: App, config: ModelConfig) -> None:
    """Note which datasets the app uses now; what it used before is forgotten."""
    session.execute(delete(AppDataset).where(AppDataset.app_id == app.id))
    session.add_all(
        AppDataset(tenant_id=app.tenant_id, app_id=app.id, dataset_id=dataset_id)
        for dataset_id in config.dataset_ids
    )
    session.flush()


def consult(
    runtime: Runtime, app: AppSpec, principal: Principal, models: ModelRuntime, cancel: Cancel, query: str
) -> Sequence[RetrieverResource]:
    """Return the passages of the app's datasets that answer a query, best first, as they are cited.

    Raises a ProviderFailure, Unavailable or Cancelled.
    """
    config = app.configured()
    with runtime.reading() as session:
        searched = retrieval.load_searched(session, app.tenant_id, config.dataset_ids)
        fields = metadata_filters.load_fields(session, app.tenant_id, [one.id for one in searched])
    chosen = _choose(config, app.tenant_id, fields, models, cancel, query)
    if chosen is not None:
        with runtime.reading() as session:
            searched = [
                replace(one, source=metadata_filters.narrow(session, one.source, one.id, chosen))
                for one in searched
            ]
    found = _search(runtime, config.dataset_configs, searched, models, cancel, query)
    if not searched:
        return ()
    records = retrieval.load_records(runtime, app.tenant_id, found)
    retrieval.note_search(
        runtime, principal, [one.id for one in searched], query, found, source="app", app_id=app.id
    )
    names = {one.id: one.name for one in searched}
    origin = "dev" if principal.kind is ActorKind.ACCOUNT else "api"
    return [_to_resource(place, record, names, origin) for place, record in enumerate(records, 1)]


def _choose(
    config: ModelConfig,
    tenant_id: str,
    fields: Sequence[MetadataField],
    models: ModelRuntime,
    cancel: Cancel,
    query: str,
) -> MetadataFilter | None:
    """Return what documents must be like: as the configuration says, or as a model reads the query."""
    configs = config.dataset_configs
    if configs.metadata_filtering_mode == "disabled":
        return None
    if configs.metadata_filtering_mode != "automatic":
        return _settings(configs).metadata_filtering_conditions
    named = configs.metadata_model_config or {}
    choice = config.model
    if named.get("provider") and named.get("name"):
        choice = ModelChoice.model_validate(named)
    model = FilterModel(tenant_id=tenant_id, ref=choice.ref, parameters=choice.completion_params)
    return make_filter(query, fields, model, models, cancel, now=utc_now())


def _search(
    runtime: Runtime,
    configs: DatasetConfigs,
    searched: Sequence[Searched],
    models: ModelRuntime,
    cancel: Cancel,
    query: str,
) -> list[Found]:
    """Search all datasets together, or each as it says itself and keep what the best one found."""
    if configs.retrieval_model == "multiple":
        return retrieval.search(runtime, models, searched, query, _settings(configs), cancel)
    each = [retrieval.search(runtime, models, [one], query, one.retrieval_model, cancel) for one in searched]
    return max(each, key=lambda found: found[0].score if found else -1.0, default=[])


def _settings(configs: DatasetConfigs) -> RetrievalModel:
    """Return how several datasets are ranked together; each is searched by the method of its own."""
    return load_retrieval_model(configs.settings(), field=FIELD)


def _to_resource(place: int, record: Record, names: dict[str, str], origin: str) -> RetrieverResource:
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
    )
