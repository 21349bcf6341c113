"""What is told of a dataset beside itself: its searches, its apps, how its documents are getting on."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from api.models.app import App
from api.models.dataset import AppDataset, DatasetMember
from api.models.document import DatasetQuery, Document
from api.principal import Principal
from api.runtime import Runtime
from api.services import files
from api.services.access import access_dataset

MAX_DOCUMENTS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class RelatedApp:
    """An app that uses a dataset; ``icon_url`` is signed and set for uploaded icons."""

    app: App
    icon_url: str | None


def load_queries(
    session: Session, principal: Principal, dataset_id: str, *, page: int, limit: int
) -> tuple[Sequence[DatasetQuery], int]:
    """Return a page of a dataset's searches, latest first, and how many there are; NotFound or Forbidden."""
    dataset = access_dataset(session, principal, dataset_id)
    here = (DatasetQuery.tenant_id == principal.tenant_id, DatasetQuery.dataset_id == dataset.id)
    found = session.scalars(
        select(DatasetQuery)
        .where(*here)
        .order_by(DatasetQuery.created_at.desc(), DatasetQuery.id)
        .offset((page - 1) * limit)
        .limit(limit)
    ).all()
    return found, session.scalar(select(func.count()).select_from(DatasetQuery).where(*here)) or 0


def load_related_apps(
    runtime: Runtime, session: Session, principal: Principal, dataset_id: str
) -> list[RelatedApp]:
    """Return the apps that use a dataset, newest first; raises NotFound or Forbidden."""
    dataset = access_dataset(session, principal, dataset_id)
    apps = session.scalars(
        select(App)
        .join(AppDataset, AppDataset.app_id == App.id)
        .where(App.tenant_id == principal.tenant_id, AppDataset.dataset_id == dataset.id)
        .order_by(App.created_at.desc(), App.id)
    )
    return [
        RelatedApp(
            app=app,
            icon_url=files.sign_icon(runtime, app.icon) if app.icon_type == "image" and app.icon else None,
        )
        for app in apps
    ]


def load_members(session: Session, principal: Principal, dataset_id: str) -> Sequence[str]:
    """Return the accounts a dataset names as its users; raises NotFound or Forbidden."""
    dataset = access_dataset(session, principal, dataset_id)
    return session.scalars(
        select(DatasetMember.account_id)
        .where(DatasetMember.tenant_id == principal.tenant_id, DatasetMember.dataset_id == dataset.id)
        .order_by(DatasetMember.created_at, DatasetMember.account_id)
    ).all()


def load_progress(
    session: Session, principal: Principal, dataset_id: str, *statuses: str
) -> Sequence[Document]:
    """Return documents of some statuses (none named: of any), latest 1000; raises NotFound or Forbidden."""
    dataset = access_dataset(session, principal, dataset_id)
    query = select(Document).where(
        Document.tenant_id == principal.tenant_id, Document.dataset_id == dataset.id
    )
    if statuses:
        query = query.where(Document.indexing_status.in_(statuses))
    return session.scalars(query.order_by(Document.position.desc(), Document.id).limit(MAX_DOCUMENTS)).all()
