"""Datasets of a workspace: made, changed, and deleted with all that hangs on them.

What clients see of one is read by dataset_views.py. A dataset's large tables
outlive its row for a moment: ``delete_dataset`` leaves them to a job
(dataset_purge.py).
"""

from collections.abc import Sequence
from typing import Any, TypedDict

from sqlalchemy import delete, exists, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from api.core.model_runtime.provider import short_id
from api.core.model_runtime.types import ModelRef, ModelType
from api.core.ports import JSONObject
from api.core.rag.external_settings import load_external_model
from api.core.rag.retrieval_model import load_retrieval_model
from api.core.rag.summary import load_summary_setting
from api.errors import Conflict, Forbidden, InvalidRequest, NotFound, ProviderNotConfigured
from api.models.account import TenantMember
from api.models.dataset import AppDataset, Dataset, DatasetMember
from api.principal import Principal, Role
from api.runtime import Runtime
from api.services import files, plans, providers, rebuilds, tags
from api.services.access import access_dataset, access_external_api, check_may_edit
from api.services.constraints import is_duplicate, is_orphan
from api.services.jobs import Job, enqueue_on_commit

HIGH_QUALITY = "high_quality"


class DatasetNameDuplicate(Conflict):
    """The workspace has a dataset of this name already."""

    code = "dataset_name_duplicate"


class DatasetInUse(Conflict):
    """An app uses the dataset."""

    code = "dataset_in_use"


class DatasetChanges(TypedDict, total=False):
    """What a change of a dataset may set; a key left out, or a null that means nothing, stays as it is."""

    name: str
    description: str | None
    indexing_technique: str | None
    permission: str | None
    partial_member_list: Sequence[str] | None
    embedding_model_provider: str | None
    embedding_model: str | None
    retrieval_model: JSONObject | None
    external_knowledge_api_id: str | None
    external_knowledge_id: str | None
    external_retrieval_model: JSONObject | None
    icon_info: JSONObject | None
    summary_index_setting: JSONObject | None


def create_dataset(
    runtime: Runtime, session: Session, principal: Principal, wanted: DatasetChanges, provider: str = "vendor"
) -> Dataset:
    """Make a dataset, empty; ``wanted`` names it.

    Raises Forbidden, DatasetNameDuplicate, InvalidRequest for a bad value,
    ProviderNotConfigured where no embedding model is there to be used, and
    NotFound for an external knowledge API that does not exist.
    """
    check_may_edit(principal)
    if provider == "external":
        for key in ("external_knowledge_api_id", "external_knowledge_id"):
            if not wanted.get(key):
                raise InvalidRequest(f"Parameter {key!r} is required", field=key, fault="required")
    dataset = Dataset(
        tenant_id=principal.tenant_id,
        name=wanted["name"],
        provider=provider,
        permission="only_me",
        created_by=principal.id,
        updated_by=principal.id,
    )
    _set_summaries(runtime, session, dataset, wanted)
    technique = wanted.get("indexing_technique")
    model = _choose_model(runtime, session, principal, technique, _named_model(wanted))
    dataset.indexing_technique = technique
    dataset.embedding_provider, dataset.embedding_model = _columns(model)
    _set_plain(session, principal, dataset, wanted)
    session.add(dataset)
    _flush_name(session)
    _set_members(session, principal, dataset, wanted)
    return dataset


def update_dataset(
    runtime: Runtime, session: Session, principal: Principal, dataset_id: str, changes: DatasetChanges
) -> Dataset:
    """Change what ``changes`` names; another technique or embedding model follows in the background.

    Raises NotFound, Forbidden (also where a dataset operator would change who
    may use it), DatasetNameDuplicate, InvalidRequest, ProviderNotConfigured,
    QuotaReached where the plan has no room for the vectors.
    """
    check_may_edit(principal)
    dataset = access_dataset(session, principal, dataset_id)
    _check_may_share(principal, dataset, changes)
    dataset.name = changes.get("name", dataset.name)
    _set_summaries(runtime, session, dataset, changes)
    _set_plain(session, principal, dataset, changes)
    dataset.updated_by = principal.id
    _flush_name(session)
    _set_members(session, principal, dataset, changes)
    _set_technique(runtime, session, principal, dataset, changes)
    session.flush()
    return dataset


def delete_dataset(runtime: Runtime, session: Session, principal: Principal, dataset_id: str) -> None:
    """Delete a dataset that no app uses; its documents follow in a job.

    Raises NotFound, Forbidden, DatasetInUse.
    """
    check_may_edit(principal)
    dataset = access_dataset(session, principal, dataset_id)
    here = (Dataset.tenant_id == principal.tenant_id, Dataset.id == dataset.id)
    # An app about to use the dataset is waited for here where rows are locked, at the deletion elsewhere.
    session.execute(select(Dataset.id).where(*here).with_for_update())
    deleted = session.execute(
        delete(Dataset)
        .where(*here, ~exists().where(AppDataset.dataset_id == dataset.id))
        .returning(Dataset.collection_id, Dataset.next_collection_id)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if deleted is None:
        if is_in_use(session, principal, dataset.id):
            raise DatasetInUse("The dataset is used by an app; remove it from the app first.")
        raise NotFound("Dataset not found.")
    tags.forget_target(session, principal.tenant_id, dataset.id)
    payload: JSONObject = {"dataset_id": dataset.id, "collection_ids": [one for one in deleted if one]}
    enqueue_on_commit(runtime, session, Job.PURGE_DATASET, payload, tenant_id=principal.tenant_id)


def is_in_use(session: Session, principal: Principal, dataset_id: str) -> bool:
    """Tell whether an app uses a dataset; raises NotFound or Forbidden."""
    dataset = access_dataset(session, principal, dataset_id)
    return bool(session.scalar(select(exists().where(AppDataset.dataset_id == dataset.id))))


def switch_api(session: Session, principal: Principal, dataset_id: str, *, is_enabled: bool) -> None:
    """Open or close a dataset to the public API; raises NotFound or Forbidden."""
    check_may_edit(principal)
    dataset = access_dataset(session, principal, dataset_id)
    dataset.enable_api, dataset.updated_by = is_enabled, principal.id


def _set_plain(session: Session, principal: Principal, dataset: Dataset, wanted: DatasetChanges) -> None:
    """Set the columns that stand for themselves, checked; a null leaves what may not be empty."""
    if "description" in wanted:
        dataset.description = wanted["description"] or ""
    if wanted.get("permission"):
        dataset.permission = str(wanted["permission"])
    if wanted.get("retrieval_model") is not None:
        dataset.retrieval_model = load_retrieval_model(wanted["retrieval_model"]).to_wire()
    if wanted.get("icon_info") is not None:
        dataset.icon_info = _check_icon(session, principal, dict(wanted["icon_info"] or {}))
    if wanted.get("external_retrieval_model") is not None:
        dataset.external_retrieval_model = load_external_model(wanted["external_retrieval_model"]).to_wire()
    if dataset.provider != "external":
        return
    api_id, knowledge_id = wanted.get("external_knowledge_api_id"), wanted.get("external_knowledge_id")
    if api_id:
        dataset.external_api_id = access_external_api(session, principal, api_id).id
    if knowledge_id:
        dataset.external_knowledge_id = knowledge_id


def _set_summaries(runtime: Runtime, session: Session, dataset: Dataset, wanted: DatasetChanges) -> None:
    """Set how segments are summarised, checked; a model that is named must be one the workspace can call."""
    if "summary_index_setting" not in wanted:
        return
    raw = wanted["summary_index_setting"]
    dataset.summary_index_setting = (
        None if raw is None else check_summaries(runtime, session, dataset.tenant_id, raw)
    )


def check_summaries(runtime: Runtime, session: Session, tenant_id: str, raw: JSONObject) -> JSONObject:
    """Return how segments are to be summarised, as it is kept; raises InvalidRequest."""
    setting = load_summary_setting(raw)
    if setting.ref is not None:
        names = ("summary_index_setting.model_provider_name", "summary_index_setting.model_name")
        providers.check_usable(runtime, session, tenant_id, setting.ref, ModelType.LLM, names=names)
    return setting.to_wire()


def _check_icon(session: Session, principal: Principal, icon: dict[str, Any]) -> dict[str, Any]:
    """Return what is kept of an icon; raises InvalidRequest for an image that was not uploaded."""
    kept: dict[str, Any] = {key: icon[key] for key in ("icon_type", "icon", "icon_background") if key in icon}
    if not all(value is None or isinstance(value, str) for value in kept.values()):
        raise InvalidRequest("Parameter 'icon_info' must hold texts", field="icon_info", fault="invalid_type")
    if kept.get("icon_type") == "image":
        files.check_icon(session, principal, kept.get("icon") or "")
        kept["icon"] = kept["icon"].lower()
    return kept


def _check_may_share(principal: Principal, dataset: Dataset, changes: DatasetChanges) -> None:
    """Raise Forbidden where a dataset operator would say who may use a dataset."""
    is_same = changes.get("permission") in (None, dataset.permission)
    if principal.role is Role.DATASET_OPERATOR and not is_same:
        raise Forbidden("Changing who may use a dataset needs the role editor.")


def _set_members(session: Session, principal: Principal, dataset: Dataset, wanted: DatasetChanges) -> None:
    """Name who may use a dataset of ``partial_members``; any other permission names nobody."""
    is_partial = dataset.permission == "partial_members"
    named = wanted.get("partial_member_list")
    if principal.role is Role.DATASET_OPERATOR or (is_partial and named is None):
        return
    session.execute(
        delete(DatasetMember).where(
            DatasetMember.tenant_id == principal.tenant_id, DatasetMember.dataset_id == dataset.id
        )
    )
    ids = set(named or ()) if is_partial else set()
    found = session.scalars(
        select(TenantMember.account_id).where(
            TenantMember.tenant_id == principal.tenant_id, TenantMember.account_id.in_(ids)
        )
    ).all()
    if len(found) < len(ids):
        raise InvalidRequest(
            "Parameter 'partial_member_list' names someone who is not a member of the workspace",
            field="partial_member_list",
        )
    session.add_all(
        DatasetMember(tenant_id=principal.tenant_id, dataset_id=dataset.id, account_id=account_id)
        for account_id in found
    )
    session.flush()


def _set_technique(
    runtime: Runtime, session: Session, principal: Principal, dataset: Dataset, changes: DatasetChanges
) -> None:
    """Have the dataset rebuilt where technique or embedding model are others now."""
    technique = changes.get("indexing_technique") or dataset.indexing_technique
    present = None
    if dataset.embedding_provider and dataset.embedding_model:
        present = ModelRef(dataset.embedding_provider, dataset.embedding_model)
    named = _named_model(changes)
    if technique == dataset.indexing_technique and named in (None, present):
        return
    model = _choose_model(runtime, session, principal, technique, named or present)
    if (technique, model) == (dataset.indexing_technique, present):
        return
    if technique == HIGH_QUALITY != dataset.indexing_technique:
        plans.check_vectors(session, dataset)
    provider, name = _columns(model)
    rebuilds.request_rebuild(runtime, session, dataset, technique=technique, provider=provider, model=name)


def _named_model(wanted: DatasetChanges) -> ModelRef | None:
    """Return the embedding model asked for; blanks name none. Raises InvalidRequest for half a name."""
    provider, model = wanted.get("embedding_model_provider"), wanted.get("embedding_model")
    if not provider and not model:
        return None
    if not provider or not model:
        missing = "embedding_model" if provider else "embedding_model_provider"
        raise InvalidRequest(f"Parameter {missing!r} is required", field=missing, fault="required")
    return ModelRef(short_id(provider), model)


def _choose_model(
    runtime: Runtime, session: Session, principal: Principal, technique: str | None, named: ModelRef | None
) -> ModelRef | None:
    """Return the embedding model of a technique: the one named, checked, else the workspace's."""
    if technique == "economy":
        return None
    if named is not None:
        names = ("embedding_model_provider", "embedding_model")
        providers.check_usable(
            runtime, session, principal.tenant_id, named, ModelType.TEXT_EMBEDDING, names=names
        )
        return named
    if technique != HIGH_QUALITY:
        return None
    default = providers.get_default(runtime, session, principal, ModelType.TEXT_EMBEDDING)
    if default is None:
        raise ProviderNotConfigured(
            "No embedding model is configured in this workspace; set a default one or use economy."
        )
    return default[0]


def _columns(model: ModelRef | None) -> tuple[str | None, str | None]:
    return (None, None) if model is None else (model.provider, model.model)


def _flush_name(session: Session) -> None:
    """Write what is pending. Raises DatasetNameDuplicate, NotFound for an external API that has just gone."""
    try:
        session.flush()
    except IntegrityError as exc:
        if is_duplicate(exc, "datasets", "tenant_id", "name"):
            raise DatasetNameDuplicate(
                "A dataset of this name already exists; choose another name.", field="name", fault="duplicate"
            ) from exc
        if is_orphan(exc, "datasets", "external_api_id"):
            raise NotFound("External knowledge API not found.") from exc
        raise
