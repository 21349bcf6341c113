"""Annotations of apps: questions with the answers people wrote for them.

A change of a question, and a deletion, takes the question's entry out of the
index in the same transaction (annotation_index.py); a new one is indexed by a job.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, delete, func, or_, select, tuple_
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from api.errors import BadRequest, Conflict, InvalidRequest
from api.models.annotation import Annotation, AnnotationHit
from api.models.app import APIToken, App
from api.models.base import new_id
from api.models.conversation import Message
from api.models.types import position_of
from api.principal import ActorKind, Principal
from api.runtime import Runtime
from api.services import annotation_index
from api.services.access import access_annotation, access_app, access_message_of_app, is_id
from api.services.constraints import is_duplicate

IDS_AT_ONCE = 500
ROWS_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class AnnotationView:
    """An annotation as its row tells."""

    row: Annotation


@dataclass(frozen=True, slots=True)
class HitView:
    """A hit of an annotation as its row tells."""

    row: AnnotationHit


class NeedsIds(BadRequest):
    """Annotations are to be deleted by their ids, and there is none."""

    code = "need_add_ids"


def load_annotations(
    session: Session, principal: Principal, app_id: str, *, page: int, limit: int, keyword: str = ""
) -> tuple[Sequence[AnnotationView], int]:
    """Return a page of an app's annotations, newest first, and how many there are; AppNotFound.

    ``keyword`` is part of the question or the answer, whatever its case.
    """
    app = access_app(session, principal, app_id)
    here = [_of_app(app.tenant_id, app.id)]
    if keyword:
        here.append(
            or_(
                Annotation.question.icontains(keyword, autoescape=True),
                Annotation.answer.icontains(keyword, autoescape=True),
            )
        )
    rows = session.scalars(
        select(Annotation)
        .where(*here)
        .order_by(Annotation.created_at.desc(), Annotation.id.desc())
        .offset((page - 1) * limit)
        .limit(limit)
    ).all()
    total = session.scalar(select(func.count()).select_from(Annotation).where(*here)) or 0
    return [AnnotationView(row) for row in rows], total


def iterate_all(runtime: Runtime, principal: Principal, app_id: str) -> Iterator[Sequence[AnnotationView]]:
    """Return what yields all annotations of an app, newest first, some hundred at once; raises AppNotFound.

    Nothing of the database is held between two of them.
    """
    with runtime.reading() as session:
        app = access_app(session, principal, app_id)
    return _pages(runtime, _of_app(app.tenant_id, app.id))


def _pages(runtime: Runtime, here: ColumnElement[bool]) -> Iterator[Sequence[AnnotationView]]:
    """Yield annotations page by page; what is added meanwhile is newer than all that is still to come."""
    place = tuple_(Annotation.created_at, Annotation.id)
    query = select(Annotation).where(here).limit(ROWS_AT_ONCE)
    query = query.order_by(Annotation.created_at.desc(), Annotation.id.desc())
    rows: Sequence[Annotation] = ()
    while True:
        page = query.where(place < position_of(rows[-1].created_at, rows[-1].id)) if rows else query
        with runtime.reading() as session:
            rows = session.scalars(page).all()
        yield [AnnotationView(row) for row in rows]
        if len(rows) < ROWS_AT_ONCE:
            return


def count_annotations(session: Session, principal: Principal, app_id: str) -> int:
    """Return how many annotations an app has; raises AppNotFound."""
    app = access_app(session, principal, app_id)
    here = _of_app(app.tenant_id, app.id)
    return session.scalar(select(func.count()).select_from(Annotation).where(here)) or 0


def create_annotation(
    runtime: Runtime, session: Session, principal: Principal, app_id: str, *, question: str, answer: str
) -> AnnotationView:
    """Add an annotation written by hand; raises AppNotFound."""
    app = access_app(session, principal, app_id)
    return AnnotationView(_create(runtime, session, principal, app, question=question, answer=answer))


def annotate(
    runtime: Runtime,
    session: Session,
    principal: Principal,
    app_id: str,
    *,
    message_id: str | None,
    question: str | None,
    answer: str,
) -> AnnotationView:
    """Add an annotation; of a message, whose question (or another) it asks, there is one, which is changed.

    Raises AppNotFound, NotFound for a message that is not of the app, and
    InvalidRequest for one without a question.
    """
    app = access_app(session, principal, app_id)
    if message_id is None:
        return AnnotationView(
            _create(runtime, session, principal, app, question=question or "", answer=answer)
        )
    message = access_message_of_app(session, app, message_id)
    made = session.scalars(
        select(Annotation).where(_of_app(app.tenant_id, app.id), Annotation.message_id == message.id)
    ).one_or_none()
    if made is not None:
        asked = question or made.question
        return AnnotationView(_change(runtime, session, made, question=asked, answer=answer))
    asked = question or _question_of(message)
    if not asked:
        raise InvalidRequest("The message asks nothing; name a question.", field="question", fault="required")
    row = _create(runtime, session, principal, app, question=asked, answer=answer)
    row.message_id = message.id
    try:
        session.flush()
    except IntegrityError as exc:
        if is_duplicate(exc, "annotations", "message_id"):
            raise Conflict("The message was annotated by somebody else just now.") from exc
        raise
    return AnnotationView(row)


def update_annotation(
    runtime: Runtime,
    session: Session,
    principal: Principal,
    app_id: str,
    annotation_id: str,
    *,
    question: str,
    answer: str,
) -> AnnotationView:
    """Change an annotation; raises AppNotFound, NotFound."""
    row = access_annotation(session, principal, app_id, annotation_id)
    return AnnotationView(_change(runtime, session, row, question=question, answer=answer))


def delete_annotation(
    runtime: Runtime, session: Session, principal: Principal, app_id: str, annotation_id: str
) -> None:
    """Delete an annotation with the history of its hits; raises AppNotFound, NotFound."""
    row = access_annotation(session, principal, app_id, annotation_id)
    _delete(runtime, session, row.tenant_id, row.app_id, [row.id])


def delete_annotations(
    runtime: Runtime,
    session: Session,
    principal: Principal,
    app_id: str,
    annotation_ids: Sequence[str] | None,
) -> None:
    """Delete those of some annotations that are there, None for all; raises AppNotFound, NeedsIds."""
    app = access_app(session, principal, app_id)
    if annotation_ids is None:
        found = session.scalars(select(Annotation.id).where(_of_app(app.tenant_id, app.id))).all()
        _delete(runtime, session, app.tenant_id, app.id, found)
        return
    if not any(annotation_ids):
        raise NeedsIds("annotation_ids are required if the parameter is provided.", field="annotation_id")
    named = [each.lower() for each in annotation_ids if is_id(each)]
    _delete(runtime, session, app.tenant_id, app.id, named)


def load_hits(
    session: Session, principal: Principal, app_id: str, annotation_id: str, *, page: int, limit: int
) -> tuple[Sequence[HitView], int]:
    """Return a page of the hits of an annotation, latest first, and how many; AppNotFound, NotFound."""
    row = access_annotation(session, principal, app_id, annotation_id)
    here = and_(AnnotationHit.tenant_id == principal.tenant_id, AnnotationHit.annotation_id == row.id)
    hits = session.scalars(
        select(AnnotationHit)
        .where(here)
        .order_by(AnnotationHit.created_at.desc(), AnnotationHit.id.desc())
        .offset((page - 1) * limit)
        .limit(limit)
    ).all()
    total = session.scalar(select(func.count()).select_from(AnnotationHit).where(here)) or 0
    return [HitView(row) for row in hits], total


def _of_app(tenant_id: str, app_id: str) -> ColumnElement[bool]:
    return and_(Annotation.tenant_id == tenant_id, Annotation.app_id == app_id)


def _create(
    runtime: Runtime, session: Session, principal: Principal, app: App, *, question: str, answer: str
) -> Annotation:
    row = Annotation(
        id=new_id(),
        tenant_id=app.tenant_id,
        app_id=app.id,
        question=question,
        answer=answer,
        account_id=_author(session, principal),
    )
    session.add(row)
    session.flush()
    annotation_index.request_indexing(runtime, session, app.tenant_id, app.id, [row.id])
    return row


def _author(session: Session, principal: Principal) -> str | None:
    """Return the account that writes: of a key, the member who made it."""
    if principal.kind is ActorKind.ACCOUNT:
        return principal.id
    made_by = select(APIToken.created_by).where(
        APIToken.tenant_id == principal.tenant_id, APIToken.id == principal.id
    )
    return session.scalar(made_by)


def _question_of(message: Message) -> str:
    """Return what a message asked: of a completion, whose question is in its inputs, the first of these."""
    texts = (value for value in message.inputs.values() if isinstance(value, str) and value)
    return message.query or next(texts, "")


def _change(runtime: Runtime, session: Session, row: Annotation, *, question: str, answer: str) -> Annotation:
    """Give an annotation another text; another question loses its entry now and gets one by a job."""
    row.answer = answer
    if row.question != question:
        stale = [(row.entry_id, row.indexed_in)]
        row.question, row.entry_id, row.indexed_in = question, new_id(), None
        session.flush()
        annotation_index.remove_entries(runtime, session, row.tenant_id, row.app_id, stale)
        annotation_index.request_indexing(runtime, session, row.tenant_id, row.app_id, [row.id])
    session.flush()
    return row


def _delete(
    runtime: Runtime, session: Session, tenant_id: str, app_id: str, annotation_ids: Sequence[str]
) -> None:
    for start in range(0, len(annotation_ids), IDS_AT_ONCE):
        some = annotation_ids[start : start + IDS_AT_ONCE]
        deleted = session.execute(
            delete(Annotation)
            .where(_of_app(tenant_id, app_id), Annotation.id.in_(some))
            .returning(Annotation.id, Annotation.entry_id, Annotation.indexed_in)
            .execution_options(synchronize_session=False)
        ).all()
        session.execute(
            delete(AnnotationHit)
            .where(
                AnnotationHit.tenant_id == tenant_id,
                AnnotationHit.annotation_id.in_([row.id for row in deleted]),
            )
            .execution_options(synchronize_session=False)
        )
        entries = [(row.entry_id, row.indexed_in) for row in deleted]
        annotation_index.remove_entries(runtime, session, tenant_id, app_id, entries)
