"""Answers given in a model's place: of the annotation whose question is nearest to what is asked.

What must stay true: only an annotation that is there now, in an app whose replies
are on now, is given; the store's word alone is not enough. A fault in matching
costs the match, never the answer: the model then gives it.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import select, update

from api.core.apps.spec import AnnotationChoice, AppSpec
from api.core.events import Event, MessageEnd, RunHeader, TextChunk
from api.core.http import Cancelled
from api.core.model_runtime.runtime import ModelRuntime
from api.core.model_runtime.types import EmbedKind
from api.core.ports import Cancel, JSONObject
from api.core.rag.chunk import Hit
from api.errors import AppError
from api.models.account import Account
from api.models.annotation import Annotation, AnnotationHit, AnnotationSetting
from api.principal import ActorKind, Principal
from api.runtime import Runtime

logger = logging.getLogger(__name__)

CANDIDATES = 5
"""Of how many entries the nearest that still stands for an annotation is taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inquiry:
    """A message of a chat app that may be answered by an annotation."""

    runtime: Runtime
    app: AppSpec
    header: RunHeader
    principal: Principal
    query: str
    invoke_from: str
    models: ModelRuntime
    cancel: Cancel


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """An annotation that answers, and how near its question is: ``score`` 0..1."""

    id: str
    question: str
    answer: str
    account_id: str | None
    account_name: str | None
    score: float


def answer_or(inquiry: Inquiry, ask: Callable[[], Iterator[Event]]) -> Iterator[Event]:
    """Yield the answer of an annotation and its end; the events of ``ask`` where none answers."""
    match = find(inquiry)
    if match is None:
        yield from ask()
        return
    account: JSONObject = {"id": match.account_id, "name": match.account_name or ""}
    yield TextChunk(text=match.answer)
    yield MessageEnd(usage=None, annotation_reply={"id": match.id, "account": account})


def find(inquiry: Inquiry) -> Match | None:
    """Return the annotation that answers, its hit written down; None where there is none."""
    choice = inquiry.app.annotations
    if choice is None or not inquiry.query.strip():
        return None
    try:
        hits = _search(inquiry, choice)
        match = _pick(inquiry, hits) if hits else None
        return match if match is not None and _count(inquiry, match) else None
    except Cancelled:
        return None
    except AppError as error:
        logger.warning("annotations not searched: %s", type(error).__name__, extra={"app_id": inquiry.app.id})
    except Exception:  # whatever a store or the SDK of a model raises; the model answers all the same
        logger.exception("annotations not searched", extra={"app_id": inquiry.app.id})
    return None


def _search(inquiry: Inquiry, choice: AnnotationChoice) -> Sequence[Hit]:
    embedded = inquiry.models.embed(
        inquiry.app.tenant_id, choice.embedding, [inquiry.query], EmbedKind.QUERY, inquiry.cancel
    )
    return inquiry.runtime.vectors.search(
        [choice.collection_id], embedded.vectors[0], top_k=CANDIDATES, min_score=choice.score_threshold
    )


def _pick(inquiry: Inquiry, hits: Sequence[Hit]) -> Match | None:
    """Return the nearest annotation whose entry still stands for it, as the app is set now."""
    query = (
        select(
            Annotation.id,
            Annotation.entry_id,
            Annotation.question,
            Annotation.answer,
            Annotation.account_id,
            Account.name,
            AnnotationSetting.score_threshold,
        )
        .join(AnnotationSetting, AnnotationSetting.app_id == Annotation.app_id)
        .outerjoin(Account, Account.id == Annotation.account_id)
        .where(
            Annotation.tenant_id == inquiry.app.tenant_id,
            Annotation.app_id == inquiry.app.id,
            Annotation.id.in_([hit.segment_id for hit in hits]),
            AnnotationSetting.is_enabled,
            AnnotationSetting.collection_id == hits[0].collection,
        )
    )
    with inquiry.runtime.reading() as session:
        rows = {row.entry_id: row for row in session.execute(query)}
    for hit in hits:
        row = rows.get(hit.id)
        if row is not None and hit.score >= row.score_threshold:
            return Match(
                id=row.id,
                question=row.question,
                answer=row.answer,
                account_id=row.account_id,
                account_name=row.name,
                score=hit.score,
            )
    return None


def _count(inquiry: Inquiry, match: Match) -> bool:
    """Write a hit down; False where its annotation was deleted just now."""
    is_account = inquiry.principal.kind is ActorKind.ACCOUNT
    with inquiry.runtime.transaction() as session:
        counted = session.execute(
            update(Annotation)
            .where(Annotation.tenant_id == inquiry.app.tenant_id, Annotation.id == match.id)
            .values(hit_count=Annotation.hit_count + 1, updated_at=Annotation.updated_at)
            .returning(Annotation.id)
        ).one_or_none()
        if counted is None:
            return False
        session.add(
            AnnotationHit(
                tenant_id=inquiry.app.tenant_id,
                app_id=inquiry.app.id,
                annotation_id=match.id,
                message_id=str(inquiry.header.message_id),
                source="console" if inquiry.invoke_from == "debugger" else "api",
                question=inquiry.query,
                score=match.score,
                match=match.question,
                response=match.answer,
                from_end_user_id=None if is_account else inquiry.principal.id,
                from_account_id=inquiry.principal.id if is_account else None,
            )
        )
    return True
