"""Datasets as clients see them: the rows of an answer, in as many statements for many as for one."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, func, literal, select, union_all
from sqlalchemy.orm import Session

from api.core.model_runtime.provider import long_id
from api.core.model_runtime.types import ModelType
from api.core.rag.external_settings import load_external_model
from api.core.rag.retrieval_model import load_retrieval_model
from api.models.account import Account
from api.models.dataset import (
    AppDataset,
    Dataset,
    DatasetMember,
    ExternalKnowledgeAPI,
    MetadataField,
    Tag,
    TagBinding,
)
from api.models.document import Document
from api.principal import Principal, Role
from api.runtime import Runtime
from api.services import files, providers
from api.services.access import access_dataset, is_id, may_use
from api.services.provider_snapshot import Snapshot, load_snapshot
from api.services.providers import Status
from api.services.tags import Label, has_tags


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentCounts:
    """What a dataset holds; ``available`` are the documents a search looks at."""

    documents: int = 0
    available: int = 0
    words: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetView:
    """A dataset with what is told of it.

    The two models of retrieval are complete; ``embedding_provider`` is the long id;
    ``icon_url`` is signed and set for uploaded icons; ``members`` are those
    named where the permission is ``partial_members``.
    """

    dataset: Dataset
    author: str | None
    app_count: int
    counts: DocumentCounts
    is_embedding_available: bool
    embedding_provider: str | None
    retrieval_model: dict[str, Any]
    external_retrieval_model: dict[str, Any] | None
    icon_url: str | None
    external_api_name: str | None
    external_api_endpoint: str | None
    tags: Sequence[Label]
    fields: Sequence[Label]
    members: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetFilter:
    """Which datasets to list; those with all of ``tag_ids``, and only of ``ids`` where any are given.

    An owner sees what others keep to themselves only with ``include_all``.
    """

    keyword: str = ""
    tag_ids: Sequence[str] = ()
    ids: Sequence[str] = ()
    include_all: bool = False
    is_created_by_me: bool = False


def load_datasets(
    runtime: Runtime, session: Session, principal: Principal, chosen: DatasetFilter, *, page: int, limit: int
) -> tuple[list[DatasetView], int]:
    """Return the datasets of a page counted from 1, newest first, and how many there are in all."""
    matches = _matches(principal, chosen)
    rows = session.execute(
        _PAGE.where(*matches)
        .order_by(Dataset.created_at.desc(), Dataset.id.desc())
        .offset((page - 1) * limit)
        .limit(limit)
    ).all()
    total = session.scalar(select(func.count()).select_from(Dataset).where(*matches))
    return _to_views(runtime, session, principal, rows), total or 0


def get_dataset(runtime: Runtime, session: Session, principal: Principal, dataset_id: str) -> DatasetView:
    """Return a dataset the caller may use; raises NotFound or Forbidden."""
    dataset = access_dataset(session, principal, dataset_id)
    here = (Dataset.tenant_id == principal.tenant_id, Dataset.id == dataset.id)
    return _to_views(runtime, session, principal, session.execute(_PAGE.where(*here)).all())[0]


_APP_COUNT = (
    select(func.count()).where(AppDataset.dataset_id == Dataset.id).correlate(Dataset).scalar_subquery()
)
_PAGE: Select[*tuple[Any, ...]] = (
    select(
        Dataset,
        Account.name.label("author"),
        _APP_COUNT.label("app_count"),
        ExternalKnowledgeAPI.name.label("api_name"),
        ExternalKnowledgeAPI.endpoint.label("api_endpoint"),
    )
    .outerjoin(Account, Account.id == Dataset.created_by)
    .outerjoin(ExternalKnowledgeAPI, ExternalKnowledgeAPI.id == Dataset.external_api_id)
)


def _matches(principal: Principal, chosen: DatasetFilter) -> list[ColumnElement[bool]]:
    viewer = principal
    if principal.role is Role.OWNER and not chosen.include_all:
        viewer = replace(principal, role=Role.ADMIN)
    matches = [Dataset.tenant_id == principal.tenant_id, may_use(viewer)]
    if chosen.keyword:
        matches.append(Dataset.name.icontains(chosen.keyword, autoescape=True))
    if chosen.is_created_by_me:
        matches.append(Dataset.created_by == principal.id)
    if chosen.ids:
        matches.append(Dataset.id.in_([one.lower() for one in chosen.ids if is_id(one)]))
    if chosen.tag_ids:
        matches.append(has_tags(principal, Dataset.id, chosen.tag_ids))
    return matches


def _to_views(
    runtime: Runtime, session: Session, principal: Principal, rows: Sequence[Row[Any]]
) -> list[DatasetView]:
    if not rows:
        return []
    ids = [row.Dataset.id for row in rows]
    counts = _load_counts(session, principal.tenant_id, ids)
    labels = _load_labels(session, principal.tenant_id, ids)
    known = load_snapshot(runtime, session, principal.tenant_id)
    return [
        DatasetView(
            dataset=row.Dataset,
            author=row.author,
            app_count=row.app_count,
            counts=counts.get(row.Dataset.id, DocumentCounts()),
            is_embedding_available=_is_embedding_available(known, row.Dataset),
            embedding_provider=_long_id(row.Dataset.embedding_provider),
            retrieval_model=load_retrieval_model(row.Dataset.retrieval_model).to_wire(),
            external_retrieval_model=_external_model(row.Dataset),
            icon_url=_icon_url(runtime, row.Dataset),
            external_api_name=row.api_name,
            external_api_endpoint=row.api_endpoint,
            tags=labels["tag", row.Dataset.id],
            fields=labels["field", row.Dataset.id],
            members=[label.id for label in labels["member", row.Dataset.id]],
        )
        for row in rows
    ]


def _load_counts(session: Session, tenant_id: str, ids: Sequence[str]) -> dict[str, DocumentCounts]:
    is_available = (
        (Document.indexing_status == "completed") & Document.enabled.is_(True) & Document.archived.is_(False)
    )
    found = session.execute(
        select(
            Document.dataset_id,
            func.count(),
            func.count().filter(is_available),
            func.sum(Document.word_count),
        )
        .where(Document.tenant_id == tenant_id, Document.dataset_id.in_(ids))
        .group_by(Document.dataset_id)
    )
    return {
        dataset_id: DocumentCounts(documents=documents, available=available, words=int(words))
        for dataset_id, documents, available, words in found
    }


def _load_labels(
    session: Session, tenant_id: str, ids: Sequence[str]
) -> defaultdict[tuple[str, str], list[Label]]:
    """Return tags, metadata fields and members by kind and dataset, by name; one statement."""
    tags = (
        select(literal("tag").label("kind"), TagBinding.target_id.label("owner"), Tag.id, Tag.name, Tag.type)
        .join(Tag, Tag.id == TagBinding.tag_id)
        .where(TagBinding.tenant_id == tenant_id, TagBinding.target_id.in_(ids))
    )
    fields = select(
        literal("field"), MetadataField.dataset_id, MetadataField.id, MetadataField.name, MetadataField.type
    ).where(MetadataField.tenant_id == tenant_id, MetadataField.dataset_id.in_(ids))
    members = select(
        literal("member"), DatasetMember.dataset_id, DatasetMember.account_id, literal(""), literal("")
    ).where(DatasetMember.tenant_id == tenant_id, DatasetMember.dataset_id.in_(ids))
    found: defaultdict[tuple[str, str], list[Label]] = defaultdict(list)
    for kind, owner, label_id, name, type_ in session.execute(union_all(tags, fields, members)):
        found[kind, owner].append(Label(id=label_id, name=name, type=type_))
    for labels in found.values():
        labels.sort(key=lambda label: (label.name, label.id))
    return found


def _is_embedding_available(known: Snapshot, dataset: Dataset) -> bool:
    if dataset.indexing_technique != "high_quality":
        return True
    cls = known.find(dataset.embedding_provider or "")
    if cls is None or dataset.embedding_model is None:
        return False
    status = providers.status_of(known, cls.schema, dataset.embedding_model, ModelType.TEXT_EMBEDDING)
    return status is Status.ACTIVE


def _external_model(dataset: Dataset) -> dict[str, Any] | None:
    """Return how the service of a dataset is asked; None where we keep the dataset ourselves."""
    if dataset.provider != "external":
        return None
    return load_external_model(dataset.external_retrieval_model).to_wire()


def _long_id(provider: str | None) -> str | None:
    """Return the id clients know a provider by; one that is no longer there keeps its name."""
    return long_id(provider) if provider else provider


def _icon_url(runtime: Runtime, dataset: Dataset) -> str | None:
    icon = dataset.icon_info or {}
    return files.sign_icon(runtime, str(icon["icon"])) if icon.get("icon_type") == "image" else None
