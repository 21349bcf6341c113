"""Tags of a workspace, by which apps and datasets are sorted, and what they are on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

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


def create_tag(session: Session, principal: Principal, *, name: str, kind: TagType) -> TagView:
    """Make a tag; raises Forbidden, or Duplicate where the type has one of the name."""
    check_may_edit(principal)
    tag = Tag(tenant_id=principal.tenant_id, type=kind, name=name, created_by=principal.id)
    session.add(tag)
    _flush_name(session)
    return TagView(tag=tag, binding_count=0)


def rename_tag(session: Session, principal: Principal, tag_id: str, name: str) -> TagView:
    """Give a tag another name; raises Forbidden, NotFound, Duplicate."""
    check_may_edit(principal)
    tag = access_tag(session, principal, tag_id)
    tag.name = name
    _flush_name(session)
    count = session.scalar(select(func.count()).select_from(TagBinding).where(TagBinding.tag_id == tag.id))
    return TagView(tag=tag, binding_count=count or 0)


def delete_tag(session: Session, principal: Principal, tag_id: str) -> None:
    """Delete a tag and take it off everything; raises Forbidden, NotFound."""
    check_may_edit(principal)
    session.delete(access_tag(session, principal, tag_id))
    session.flush()


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
