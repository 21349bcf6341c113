"""Searches of a dataset on the wire: what is asked, and the segments found."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from flask_restx import fields

from api.controllers.http.model import Model
from api.controllers.http.parsing import Object, Text, json_field, parser
from api.controllers.schemas.segment import CHUNK_MODEL, SEGMENT_MODEL, render_segment
from api.core.ports import JSONObject
from api.core.rag.retrieval_service import Point
from api.services.external_search import Asked
from api.services.retrieval import HitTest, Record
from api.services.segments import SegmentView

MAX_QUERY_CHARS = 250


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrieveIn:
    """A search; without ``retrieval_model`` as the dataset says."""

    query: str
    retrieval_model: JSONObject | None = None
    external_retrieval_model: JSONObject | None = None

    @property
    def asked(self) -> Asked:
        """How to search."""
        return Asked(here=self.retrieval_model, elsewhere=self.external_retrieval_model)


RETRIEVE = parser(
    json_field(
        "query",
        Text(min_length=1, max_length=MAX_QUERY_CHARS, needs_content=True),
        required=True,
        help="What to look for.",
    ),
    json_field(
        "retrieval_model", Object(), nullable=True, help="How to search; the dataset's own way when absent."
    ),
    json_field(
        "external_retrieval_model", Object(), nullable=True, help="How much to ask of an external dataset."
    ),
)

FOUND_DOCUMENT_MODEL = Model(
    "FoundDocument",
    {
        "id": fields.String,
        "data_source_type": fields.String,
        "name": fields.String,
        "doc_type": fields.String(nullable=True),
        "doc_metadata": fields.Raw(nullable=True, description="Values by the names of their fields."),
    },
)
FOUND_SEGMENT_MODEL = SEGMENT_MODEL.clone("FoundSegment", {"document": fields.Nested(FOUND_DOCUMENT_MODEL)})
FOUND_CHILD_MODEL = Model(
    "FoundChildChunk",
    {"id": fields.String, "content": fields.String, "position": fields.Integer, "score": fields.Float},
)
RECORD_MODEL = Model(
    "RetrievalRecord",
    {
        "segment": fields.Nested(FOUND_SEGMENT_MODEL),
        "child_chunks": fields.List(fields.Nested(FOUND_CHILD_MODEL)),
        "score": fields.Float(description="0 to 1, higher is nearer."),
        "tsne_position": fields.Raw(nullable=True, description="{x, y}, each -1 to 1."),
        "files": fields.List(fields.Raw),
        "summary": fields.String(nullable=True),
    },
)
ASKED_MODEL = Model(
    "RetrievalQuery",
    {
        "content": fields.String,
        "tsne_position": fields.Raw(nullable=True, description="{x, y}, each -1 to 1."),
    },
)
HIT_TEST_MODEL = Model(
    "Retrieval",
    {"query": fields.Nested(ASKED_MODEL), "records": fields.List(fields.Nested(RECORD_MODEL))},
)
MODELS = (
    CHUNK_MODEL,
    FOUND_DOCUMENT_MODEL,
    FOUND_SEGMENT_MODEL,
    FOUND_CHILD_MODEL,
    RECORD_MODEL,
    ASKED_MODEL,
    HIT_TEST_MODEL,
)


def render_hit_test(test: HitTest) -> JSONObject:
    """Return what a search found, best first."""
    return {
        "query": {"content": test.query, "tsne_position": _render_point(test.point)},
        "records": [_render_record(record, test.metadata.get(record.document.id)) for record in test.records],
    }


def _render_record(record: Record, metadata: Mapping[str, object] | None) -> JSONObject:
    document = record.document
    return {
        "segment": render_segment(SegmentView(segment=record.segment, summary=record.summary))
        | {
            "document": {
                "id": document.id,
                "data_source_type": document.data_source_type,
                "name": document.name,
                "doc_type": document.doc_type,
                "doc_metadata": cast("JSONObject", metadata) or None,
            }
        },
        "child_chunks": [
            {
                "id": child.chunk.id,
                "content": child.chunk.text,
                "position": child.chunk.position,
                "score": child.score,
            }
            for child in record.found.children
        ],
        "score": record.found.score,
        "tsne_position": _render_point(record.point),
        "files": [],
        "summary": record.summary.content if record.summary else None,
    }


def _render_point(point: Point | None) -> JSONObject | None:
    return None if point is None else {"x": point[0], "y": point[1]}
