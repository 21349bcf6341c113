"""Segments and child chunks on the wire."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from math import ceil
from typing import Any

from flask_restx import fields

from api.controllers.http.model import Model
from api.controllers.http.parsing import (
    UUID,
    Boolean,
    Choice,
    Integer,
    Items,
    Text,
    json_field,
    parser,
    query_field,
)
from api.controllers.schemas.fields import PageIn, capped_page_fields, page_fields, to_unix
from api.controllers.schemas.shapes import Check, Shape, Words
from api.core.ports import JSONObject
from api.services.child_chunks import ChildChunkView, ChunkText
from api.services.segments import SegmentFilter, SegmentPage, SegmentText, SegmentView

STATUSES = ("waiting", "indexing", "completed", "error", "re_segment")
CONTENT = Text(needs_content=True, is_trimmed=True)
KEYWORDS = Items(item=Text(min_length=1, max_length=255), max_items=100)
CHANGES: dict[str, Check] = {
    "content": CONTENT,
    "answer": Text(),
    "keywords": KEYWORDS,
    "enabled": Boolean(),
    "regenerate_child_chunks": Boolean(),
    "summary": Text(),
}
NEW: dict[str, Check] = {"answer": Text(), "keywords": KEYWORDS, "enabled": Boolean()}


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentsIn:
    """New segments."""

    segments: tuple[dict[str, Any], ...]

    @property
    def texts(self) -> list[SegmentText]:
        """The same for the service."""
        return [SegmentText(**said) for said in self.segments]


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentIn:
    """A segment as the public API sends it."""

    segment: dict[str, Any]

    @property
    def text(self) -> SegmentText:
        """The same for the service."""
        return SegmentText(**self.segment)


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentListIn(PageIn):
    """Which segments to list."""

    keyword: str = ""
    enabled: str = "all"
    hit_count_gte: int = 0
    status: Sequence[tuple[str, ...]] = ()

    @property
    def chosen(self) -> SegmentFilter:
        """The same for the service."""
        return SegmentFilter(
            keyword=self.keyword.strip(),
            enabled={"true": True, "false": False}.get(self.enabled.lower()),
            statuses=tuple(chain.from_iterable(self.status or ())),
            hit_count_gte=self.hit_count_gte,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentIdsIn:
    """Segments named in a query."""

    segment_id: Sequence[tuple[str, ...]]

    @property
    def ids(self) -> list[str]:
        """All that are named."""
        return list(chain.from_iterable(self.segment_id))


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkListIn(PageIn):
    """Which child chunks to list."""

    keyword: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkIn:
    """What a child chunk says."""

    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunksIn:
    """All child chunks of a segment."""

    chunks: tuple[dict[str, Any], ...]

    @property
    def texts(self) -> list[ChunkText]:
        """The same for the service."""
        return [ChunkText(**said) for said in self.chunks]


_FILTERS = (
    query_field("keyword", Text(), help="Part of the content or answer, whatever its case."),
    query_field("enabled", Choice(("all", "true", "false", "True", "False")), help="all when absent."),
    query_field("hit_count_gte", Integer(is_text=True), help="Found at least so often."),
    query_field("status", Words(check=Choice(STATUSES)), action="append"),
)
SEGMENT_LIST = parser(*page_fields(10), *_FILTERS)
SEGMENT_LIST_CAPPED = parser(*capped_page_fields(), *_FILTERS)
SEGMENT_IDS = parser(query_field("segment_id", Words(check=UUID()), required=True, action="append"))
SEGMENTS_NEW = parser(
    json_field("segments", Items(item=Shape(required={"content": CONTENT}, optional=NEW)), required=True)
)
SEGMENT_CHANGE = parser(json_field("segment", Shape(optional=CHANGES), required=True))
SEGMENT_NEW = parser(
    json_field("content", CONTENT, required=True),
    json_field("answer", Text(), nullable=True),
    json_field("keywords", KEYWORDS, nullable=True),
)
SEGMENT_EDIT = parser(
    json_field("content", CONTENT, required=True),
    json_field("answer", Text(), nullable=True),
    json_field("keywords", KEYWORDS, nullable=True),
    json_field("regenerate_child_chunks", Boolean()),
    json_field("summary", Text(), nullable=True, help="Blank takes it away."),
)
CHUNK_LIST = parser(*page_fields(20), query_field("keyword", Text()))
CHUNK_LIST_CAPPED = parser(*capped_page_fields(), query_field("keyword", Text()))
CHUNK = parser(json_field("content", CONTENT, required=True))
CHUNKS = parser(
    json_field(
        "chunks", Items(item=Shape(required={"content": CONTENT}, optional={"id": UUID()})), required=True
    )
)

CHUNK_MODEL = Model(
    "ChildChunk",
    {
        "id": fields.String,
        "segment_id": fields.String,
        "content": fields.String,
        "position": fields.Integer(description="From 1."),
        "word_count": fields.Integer,
        "type": fields.String(enum=["automatic", "customized"]),
        "created_at": fields.Integer,
        "updated_at": fields.Integer,
    },
)
SEGMENT_MODEL = Model(
    "Segment",
    {
        "id": fields.String,
        "position": fields.Integer(description="From 1."),
        "document_id": fields.String,
        "content": fields.String,
        "sign_content": fields.String,
        "answer": fields.String(nullable=True),
        "word_count": fields.Integer,
        "tokens": fields.Integer,
        "keywords": fields.List(fields.String),
        "index_node_id": fields.String,
        "index_node_hash": fields.String,
        "hit_count": fields.Integer,
        "enabled": fields.Boolean,
        "disabled_at": fields.Integer(nullable=True),
        "disabled_by": fields.String(nullable=True),
        "status": fields.String(enum=STATUSES),
        "created_by": fields.String(nullable=True),
        "created_at": fields.Integer,
        "updated_at": fields.Integer,
        "updated_by": fields.String(nullable=True),
        "indexing_at": fields.Integer(nullable=True),
        "completed_at": fields.Integer(nullable=True),
        "error": fields.String(nullable=True),
        "stopped_at": fields.Integer(nullable=True),
        "child_chunks": fields.List(fields.Nested(CHUNK_MODEL)),
        "attachments": fields.List(fields.Raw),
        "summary": fields.String(nullable=True),
    },
)
SEGMENT_ANSWER = Model("SegmentAnswer", {"data": fields.Nested(SEGMENT_MODEL), "doc_form": fields.String})
SEGMENTS_ANSWER = Model(
    "SegmentsAnswer", {"data": fields.List(fields.Nested(SEGMENT_MODEL)), "doc_form": fields.String}
)
_PAGE = {"total": fields.Integer, "page": fields.Integer, "limit": fields.Integer}
SEGMENT_PAGE = Model(
    "SegmentPage",
    {
        "data": fields.List(fields.Nested(SEGMENT_MODEL)),
        "doc_form": fields.String,
        **_PAGE,
        "total_pages": fields.Integer,
        "has_more": fields.Boolean,
    },
)
CHUNK_ANSWER = Model("ChildChunkAnswer", {"data": fields.Nested(CHUNK_MODEL)})
CHUNKS_ANSWER = Model("ChildChunksAnswer", {"data": fields.List(fields.Nested(CHUNK_MODEL))})
CHUNK_PAGE = Model(
    "ChildChunkPage",
    {"data": fields.List(fields.Nested(CHUNK_MODEL)), **_PAGE, "total_pages": fields.Integer},
)
MODELS = (
    CHUNK_MODEL,
    SEGMENT_MODEL,
    SEGMENT_ANSWER,
    SEGMENTS_ANSWER,
    SEGMENT_PAGE,
    CHUNK_ANSWER,
    CHUNKS_ANSWER,
    CHUNK_PAGE,
)


def render_segment(view: SegmentView) -> JSONObject:
    """Return a segment with its summary and its children."""
    row = view.segment
    return {
        "id": row.id,
        "position": row.position,
        "document_id": row.document_id,
        "content": row.content,
        "sign_content": row.content,
        "answer": row.answer,
        "word_count": row.word_count,
        "tokens": row.tokens,
        "keywords": list(row.keywords or ()),
        "index_node_id": row.id,
        "index_node_hash": row.hash,
        "hit_count": row.hit_count,
        "enabled": row.enabled,
        "disabled_at": to_unix(row.disabled_at),
        "disabled_by": row.disabled_by,
        "status": row.status,
        "created_by": row.created_by,
        "created_at": to_unix(row.created_at),
        "updated_at": to_unix(row.updated_at),
        "updated_by": row.updated_by,
        "indexing_at": to_unix(row.indexing_at),
        "completed_at": to_unix(row.completed_at),
        "error": row.error,
        "stopped_at": None,
        "child_chunks": [render_chunk(ChildChunkView(chunk=child)) for child in view.children],
        "attachments": [],
        "summary": view.summary.content if view.summary else None,
    }


def render_one(found: SegmentPage) -> JSONObject:
    """Return the answer that tells of one segment."""
    return {"data": render_segment(found.views[0]), "doc_form": found.doc_form}


def render_many(found: SegmentPage) -> JSONObject:
    """Return the answer that tells of some segments."""
    return {"data": [render_segment(view) for view in found.views], "doc_form": found.doc_form}


def render_segment_page(found: SegmentPage, page: PageIn) -> JSONObject:
    """Return one page of segments."""
    return {
        **render_many(found),
        "total": found.total,
        "page": page.page,
        "limit": page.limit,
        "total_pages": ceil(found.total / page.limit),
        "has_more": page.page * page.limit < found.total,
    }


def render_chunk(view: ChildChunkView) -> JSONObject:
    """Return a child chunk."""
    row = view.chunk
    return {
        "id": row.id,
        "segment_id": row.segment_id,
        "content": row.content,
        "position": row.position,
        "word_count": row.word_count,
        "type": row.type,
        "created_at": to_unix(row.created_at),
        "updated_at": to_unix(row.updated_at),
    }


def render_chunk_page(views: Sequence[ChildChunkView], total: int, page: PageIn) -> JSONObject:
    """Return one page of child chunks."""
    return {
        "data": [render_chunk(view) for view in views],
        "total": total,
        "page": page.page,
        "limit": page.limit,
        "total_pages": ceil(total / page.limit),
    }
