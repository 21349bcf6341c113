"""Tags of a workspace, by which apps and datasets are sorted, and what they are on."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import ColumnElement, Connection, bindparam, delete, exists, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import InstrumentedAttribute, Session

from api.errors import Duplicate, NotFound
from api.models.base import Base, new_id, utc_now
from api.models.dataset import Dataset, Tag, TagBinding
from api.models.types import insert_for
from api.principal import Principal
from api.services.access import access_app, access_dataset, access_tag, check_may_edit, is_id
from api.services.constraints import is_duplicate

BINDINGS = Base.metadata.tables["tag_bindings"]
TagType = Literal["app", "knowledge"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A tag or a metadata field: its id, name and type."""

    id: str
    name: str
    type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TagView:
    """A tag, and on how many things it is."""

    tag: Tag
    binding_count: int


def load_tags(
    session: Session, principal: Principal, kind: TagType | None, keyword: str = ""
) -> list[TagView]:
    """Return the tags of a type (None: of both), newest first; ``keyword`` is part of the name."""
    query = (
        select(Tag, func.count(TagBinding.id))
        .outerjoin(TagBinding, TagBinding.tag_id == Tag.id)
        .where(Tag.tenant_id == principal.tenant_id)
        .group_by(Tag.id)
        .order_by(Tag.created_at.desc(), Tag.id)
    )
    if kind is not None:
        query = query.where(Tag.type == kind)
    if keyword:
        query = query.where(Tag.name.icontains(keyword, autoescape=True))
    return [TagView(tag=tag, binding_count=count) for tag, count in session.execute(query)]


def load_tags_of(session: Session, principal: Principal, dataset_id: str) -> Sequence[Tag]:
    """Return the tags on a dataset, by name; raises NotFound or Forbidden."""
    dataset = access_dataset(session, principal, dataset_id)
    return session.scalars(
        select(Tag)
        .join(TagBinding, TagBinding.tag_id == Tag.id)
        .where(Tag.tenant_id == principal.tenant_id, TagBinding.target_id == dataset.id)
        .order_by(Tag.name, Tag.id)
    ).all()


# Built once and of tables, as the list of apps it is read for.
_BINDINGS, _TAGS = TagBinding.__table__, Tag.__table__
_LABELS = (
    select(_BINDINGS.c.target_id, _TAGS.c.id, _TAGS.c.name, _TAGS.c.type)
    .join(_TAGS, _TAGS.c.id == _BINDINGS.c.tag_id)
    .where(
        _BINDINGS.c.tenant_id == bindparam("tenant_id"),
        _BINDINGS.c.target_id.in_(bindparam("targets", expanding=True)),
    )
    .order_by(_TAGS.c.name, _TAGS.c.id)
)

IS_ANYTHING_TAGGED = exists().where(_BINDINGS.c.tenant_id == bindparam("tenant_id"))
"""Whether a workspace has any tag on anything, to be read beside what may be tagged."""


def load_labels(
    connection: Connection, tenant_id: str, target_ids: Sequence[str]
) -> Mapping[str, Sequence[Label]]:
    """Return the tags on many things, by name; one statement, and none for no things."""
    found: defaultdict[str, list[Label]] = defaultdict(list)
    if target_ids:
        rows = connection.execute(_LABELS, {"tenant_id": tenant_id, "targets": target_ids})
        for target_id, tag_id, name, kind in rows:
            found[target_id].append(Label(id=tag_id, name=name, type=kind))
    return found


def has_tags(
    principal: Principal, target: InstrumentedAttribute[str], tag_ids: Sequence[str]
) -> ColumnElement[bool]:
    """Return the condition that all of some tags are on what a column names."""
    wanted = {tag_id.lower() for tag_id in tag_ids}
    bound = (
        select(TagBinding.target_id)
        .where(
            TagBinding.tenant_id == principal.tenant_id,
            TagBinding.tag_id.in_([each for each in wanted if is_id(each)]),
        )
        .group_by(TagBinding.target_id)
        .having(func.count() == len(wanted))
    )
    return target.in_(bound)


def create_tag(session: Session, principal: Principal, *, name: str, kind: TagType) -> TagView:
    """Make a tag; raises Forbidden, or Duplicate where the type has one of the name."""
    check_may_edit(principal)
    tag = Tag(tenant_id=principal.tenant_id, type=kind, name=name, created_by=principal.id)
    session.add(tag)
    _flush_name(session)
    return TagView(tag=tag, binding_count=0)


def rename_tag(
    session: Session, principal: Principal, tag_id: str, name: str, *, kind: TagType | None = None
) -> TagView:
    """Give a tag (with ``kind`` only one of that type) another name; Forbidden, NotFound, Duplicate."""
    check_may_edit(principal)
    tag = access_tag(session, principal, tag_id, kind)
    tag.name = name
    _flush_name(session)
    count = session.scalar(select(func.count()).select_from(TagBinding).where(TagBinding.tag_id == tag.id))
    return TagView(tag=tag, binding_count=count or 0)


def delete_tag(session: Session, principal: Principal, tag_id: str, *, kind: TagType | None = None) -> None:
    """Delete a tag (with ``kind`` only one of that type), taking it off everything; Forbidden, NotFound."""
    check_may_edit(principal)
    session.delete(access_tag(session, principal, tag_id, kind))
    session.flush()


def forget_target(session: Session, tenant_id: str, target_id: str) -> None:
    """Take all tags off an app or dataset that is being deleted."""
    session.execute(
        delete(TagBinding).where(TagBinding.tenant_id == tenant_id, TagBinding.target_id == target_id)
    )


def bind_tags(
    session: Session, principal: Principal, tag_ids: Sequence[str], target_id: str, kind: TagType
) -> None:
    """Put tags on an app or dataset; those on it stay. Raises Forbidden, or NotFound for any of them."""
    check_may_edit(principal)
    target = _access_target(session, principal, target_id, kind)
    wanted = {tag_id.lower() for tag_id in tag_ids}
    found = session.scalars(
        select(Tag.id).where(
            Tag.tenant_id == principal.tenant_id,
            Tag.type == kind,
            Tag.id.in_([each for each in wanted if is_id(each)]),
        )
    ).all()
    if len(found) < len(wanted):
        raise NotFound("Tag not found.")
    rows = [
        {
            "id": new_id(),
            "tenant_id": principal.tenant_id,
            "created_at": utc_now(),
            "tag_id": tag_id,
            "target_id": target,
            "created_by": principal.id,
        }
        for tag_id in found
    ]
    if rows:
        session.execute(insert_for(session)(BINDINGS).on_conflict_do_nothing(), rows)


def unbind_tags(
    session: Session, principal: Principal, tag_ids: Sequence[str], target_id: str, kind: TagType
) -> None:
    """Take tags off an app or dataset; no error for those that are not on it. Raises Forbidden, NotFound."""
    check_may_edit(principal)
    target = _access_target(session, principal, target_id, kind)
    session.execute(
        delete(TagBinding).where(
            TagBinding.tenant_id == principal.tenant_id,
            TagBinding.target_id == target,
            TagBinding.tag_id.in_([each.lower() for each in tag_ids if is_id(each)]),
        )
    )


def _access_target(session: Session, principal: Principal, target_id: str, kind: TagType) -> str:
    if kind == "app":
        return access_app(session, principal, target_id).id
    dataset: Dataset = access_dataset(session, principal, target_id)
    return dataset.id


def _flush_name(session: Session) -> None:
    try:
        session.flush()
    except IntegrityError as exc:
        if is_duplicate(exc, "tags", "tenant_id", "type", "name"):
            raise Duplicate("A tag of this name already exists.", field="name") from exc
        raise
