"""Plans: what a workspace may have and how often its API may be called, from one table; and what it has.

A quota of 0 is none. Whoever adds what a quota counts calls ``check_room``
first, in the same transaction: on a limited plan those who add take turns, so
that of many at once no more get in than there is room for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Select, func, select, update
from sqlalchemy.orm import Session

from api.errors import Forbidden
from api.models.account import Invitation, Tenant, TenantMember
from api.models.annotation import Annotation
from api.models.app import App
from api.models.base import utc_now
from api.models.dataset import Dataset
from api.models.document import Document
from api.runtime import Window

MINUTE, HOUR, DAY = 60, 3600, 86400
PASSAGE_BYTES = 6144
"""What a passage counts in vector storage: 1,536 numbers of 32 bits, whatever its model really makes."""
MB = 1024 * 1024


class Quota(StrEnum):
    """What a plan limits the number of; ``VECTOR_MB`` counts megabytes."""

    MEMBERS = "members"
    APPS = "apps"
    DOCUMENTS = "documents"
    VECTOR_MB = "vector storage"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A plan: calls a minute, an hour and a day (None: the operator's settings say), and quotas."""

    calls: tuple[int, int, int] | None
    quotas: Mapping[Quota, int]

    @property
    def windows(self) -> tuple[Window, ...] | None:
        """The calls as windows; None where the settings say."""
        if self.calls is None:
            return None
        return tuple(
            Window(limit=limit, seconds=seconds)
            for limit, seconds in zip(self.calls, (MINUTE, HOUR, DAY), strict=True)
        )


def _plan(
    calls: tuple[int, int, int] | None, members: int, apps: int, documents: int, vector_mb: int
) -> Plan:
    quotas = {
        Quota.MEMBERS: members,
        Quota.APPS: apps,
        Quota.DOCUMENTS: documents,
        Quota.VECTOR_MB: vector_mb,
    }
    return Plan(calls=calls, quotas=quotas)


PLANS: Mapping[str, Plan] = {
    "sandbox": _plan((60, 1_000, 10_000), members=1, apps=5, documents=50, vector_mb=50),
    "professional": _plan((300, 10_000, 100_000), members=3, apps=50, documents=500, vector_mb=5 * 1024),
    "team": _plan((600, 30_000, 300_000), members=50, apps=200, documents=1_000, vector_mb=20 * 1024),
    "enterprise": _plan(None, members=0, apps=0, documents=0, vector_mb=0),
}


class QuotaReached(Forbidden):
    """The workspace's plan has no room for more."""


@dataclass(frozen=True, slots=True)
class Share:
    """How much there is of something, and how much there may be; 0 is no limit."""

    size: int
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """A workspace's plan and what it has of each thing; ``annotations`` are counted and not limited."""

    plan: str
    shares: Mapping[Quota, Share]
    annotations: int


def check_room(session: Session, tenant_id: str, quota: Quota, *, wanted: int = 1) -> None:
    """Raise QuotaReached where the plan has no room for so many more.

    One statement where it sets no limit.
    """
    limit = _limit(session.scalar(select(Tenant.plan).where(Tenant.id == tenant_id)), quota)
    if not limit or not wanted:
        return
    take_turn(session, tenant_id)
    if _count(session, tenant_id, quota) + wanted > limit:
        raise QuotaReached(f"The plan of this workspace allows {limit} {_unit(quota)}.")


def take_turn(session: Session, tenant_id: str) -> None:
    """Have others that count or change the same of a workspace wait until the transaction ends."""
    session.execute(
        update(Tenant)
        .where(Tenant.id == tenant_id)
        .values(updated_at=Tenant.updated_at)  # its row is held; nothing in it changes
        .execution_options(synchronize_session=False)
    )


def check_vectors(session: Session, dataset: Dataset) -> None:
    """Raise QuotaReached where there is no room for vectors of the passages a dataset has without any."""
    passages = session.scalar(
        select(func.sum(Document.total_segments)).where(
            Document.tenant_id == dataset.tenant_id, Document.dataset_id == dataset.id
        )
    )
    wanted = -(-int(passages or 0) * PASSAGE_BYTES // MB)
    check_room(session, dataset.tenant_id, Quota.VECTOR_MB, wanted=wanted)


def load_usage(session: Session, tenant_id: str) -> Usage:
    """Return a workspace's plan and how much of it is used."""
    plan = session.execute(select(Tenant.plan).where(Tenant.id == tenant_id)).scalar_one()
    return Usage(
        plan=plan,
        shares={quota: Share(_count(session, tenant_id, quota), _limit(plan, quota)) for quota in Quota},
        annotations=session.scalar(_rows(Annotation, tenant_id)) or 0,
    )


def _limit(plan: str | None, quota: Quota) -> int:
    known = PLANS.get(plan or "")
    return 0 if known is None else known.quotas[quota]


def _unit(quota: Quota) -> str:
    return "MB of vector storage" if quota is Quota.VECTOR_MB else quota.value


def _count(session: Session, tenant_id: str, quota: Quota) -> int:
    """Return how much of a thing a workspace has; members are counted with those who are invited."""
    match quota:
        case Quota.MEMBERS:
            invited = _rows(Invitation, tenant_id).where(Invitation.expires_at > utc_now())
            return (session.scalar(_rows(TenantMember, tenant_id)) or 0) + (session.scalar(invited) or 0)
        case Quota.APPS:
            return session.scalar(_rows(App, tenant_id)) or 0
        case Quota.DOCUMENTS:
            return session.scalar(_rows(Document, tenant_id)) or 0
        case Quota.VECTOR_MB:
            passages = session.scalar(
                select(func.sum(Document.total_segments))
                .join(Dataset, Dataset.id == Document.dataset_id)
                .where(Document.tenant_id == tenant_id, Dataset.indexing_technique == "high_quality")
            )
            return int(passages or 0) * PASSAGE_BYTES // MB


def _rows(
    table: type[Annotation | App | Document | Invitation | TenantMember], tenant_id: str
) -> Select[int]:
    return select(func.count()).select_from(table).where(table.tenant_id == tenant_id)
