"""Annotations on the wire, of both APIs."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import orjson
from flask_restx import fields
from werkzeug.datastructures import FileStorage

from api.controllers.http.model import Model
from api.controllers.http.parsing import UUID, Field, Number, Text, json_field, parser, query_field
from api.controllers.schemas.fields import PageIn, capped_page_fields, page_fields, split_commas, to_unix
from api.core.model_runtime.provider import short_id
from api.core.model_runtime.types import ModelRef
from api.core.ports import JSONObject
from api.errors import InvalidRequest
from api.services.annotation_jobs import JobView, SettingView, Wanted
from api.services.annotations import AnnotationView, HitView

TEXT = Text(needs_content=True, is_trimmed=True)
NAME = Text(min_length=1, max_length=255)
SCORE = Number(minimum=0.0, maximum=1.0)
_SCORE_HELP = "How near a question must be, 0 to 1."


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotationListIn(PageIn):
    """Which page of the annotations, and a part of their question or answer."""

    keyword: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotationIn:
    """A question and its answer."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAnnotationIn:
    """The same in the console, where a message may stand for the question."""

    answer: str
    question: str | None = None
    message_id: str | None = None

    def __post_init__(self) -> None:
        if self.message_id is None and self.question is None:
            raise InvalidRequest("Parameter 'question' is required", field="question", fault="required")


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotationIdsIn:
    """Annotations to delete; all of them where none is named."""

    annotation_id: Sequence[str] | None = None

    @property
    def ids(self) -> Sequence[str] | None:
        """Those that are named."""
        return None if self.annotation_id is None else split_commas(self.annotation_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchIn:
    """How an app is to answer by its annotations."""

    score_threshold: float
    embedding_provider_name: str
    embedding_model_name: str

    @property
    def wanted(self) -> Wanted:
        """The same as services take it."""
        embedding = ModelRef(short_id(self.embedding_provider_name), self.embedding_model_name)
        return Wanted(score_threshold=self.score_threshold, embedding=embedding)


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdIn:
    """How near a question must be."""

    score_threshold: float


_KEYWORD = query_field("keyword", Text(), help="Part of the question or the answer, whatever its case.")
ANNOTATION_LIST = parser(*page_fields(), _KEYWORD)
PUBLIC_ANNOTATION_LIST = parser(*capped_page_fields(), _KEYWORD)
HIT_LIST = parser(*page_fields())
ANNOTATION = parser(json_field("question", TEXT, required=True), json_field("answer", TEXT, required=True))
NEW_ANNOTATION = parser(
    json_field("question", TEXT, nullable=True, help="Needed unless a message is named."),
    json_field("answer", TEXT, required=True),
    json_field("message_id", UUID(), nullable=True, help="The message the annotation is made of."),
)
ANNOTATION_IDS = parser(query_field("annotation_id", Text(), action="append", help="All when absent."))
SWITCH = parser(
    json_field("score_threshold", SCORE, required=True, help=_SCORE_HELP),
    json_field("embedding_provider_name", NAME, required=True, help="The provider that embeds questions."),
    json_field("embedding_model_name", NAME, required=True, help="Its model."),
)
THRESHOLD = parser(json_field("score_threshold", SCORE, required=True, help=_SCORE_HELP))
TABLE_FORM = parser(
    Field("file", type=FileStorage, location="files", required=True, help="CSV of questions and answers.")
)

ANNOTATION_MODEL = Model(
    "Annotation",
    {
        "id": fields.String,
        "question": fields.String,
        "answer": fields.String,
        "hit_count": fields.Integer(description="How often it was given as an answer."),
        "created_at": fields.Integer,
    },
)
ANNOTATION_PAGE = Model(
    "AnnotationPage",
    {
        "data": fields.List(fields.Nested(ANNOTATION_MODEL)),
        "total": fields.Integer,
        "page": fields.Integer,
        "limit": fields.Integer,
        "has_more": fields.Boolean,
    },
)
ANNOTATION_EXPORT = Model("AnnotationExport", {"data": fields.List(fields.Nested(ANNOTATION_MODEL))})
COUNT = Model("AnnotationCount", {"count": fields.Integer})
_STATUS = fields.String(enum=["waiting", "processing", "completed", "error"])
JOB_MODEL = Model("AnnotationJob", {"job_id": fields.String, "job_status": _STATUS})
JOB_STATUS = JOB_MODEL.clone(
    "AnnotationJobStatus", {"error_msg": fields.String(description="Empty unless the job failed.")}
)
SETTING_MODEL = Model(
    "AnnotationSetting",
    {
        "enabled": fields.Boolean,
        "id": fields.String(description="This and what follows only while replies are on."),
        "score_threshold": fields.Float,
        "embedding_model": fields.Raw(
            example={"embedding_provider_name": "builtin", "embedding_model_name": "multilingual-e5-small"}
        ),
    },
)
HIT_MODEL = Model(
    "AnnotationHit",
    {
        "id": fields.String,
        "source": fields.String(enum=["api", "console"]),
        "score": fields.Float,
        "question": fields.String(description="What was asked."),
        "match": fields.String(description="The question of the annotation at that time."),
        "response": fields.String(description="Its answer at that time."),
        "created_at": fields.Integer,
    },
)
HIT_PAGE = Model(
    "AnnotationHitPage",
    {
        "data": fields.List(fields.Nested(HIT_MODEL)),
        "total": fields.Integer,
        "page": fields.Integer,
        "limit": fields.Integer,
        "has_more": fields.Boolean,
    },
)
PUBLIC_MODELS = (ANNOTATION_MODEL, ANNOTATION_PAGE, JOB_MODEL, JOB_STATUS)
MODELS = (*PUBLIC_MODELS, ANNOTATION_EXPORT, COUNT, SETTING_MODEL, HIT_MODEL, HIT_PAGE)


def render_annotation(view: AnnotationView) -> JSONObject:
    """Return an annotation."""
    row = view.row
    return {
        "id": row.id,
        "question": row.question,
        "answer": row.answer,
        "hit_count": row.hit_count,
        "created_at": to_unix(row.created_at),
    }


def render_export(pages: Iterable[Sequence[AnnotationView]]) -> Iterator[bytes]:
    """Yield the JSON of all annotations, page by page."""
    yield b'{"data":['
    is_first = True
    for page in pages:
        text = orjson.dumps([render_annotation(view) for view in page])[1:-1]
        if text:
            yield text if is_first else b"," + text
            is_first = False
    yield b"]}"


def render_job(view: JobView) -> JSONObject:
    """Return a job that was just asked for."""
    return {"job_id": view.row.id, "job_status": view.row.status}


def render_job_status(view: JobView) -> JSONObject:
    """Return how far a job is."""
    return {**render_job(view), "error_msg": view.row.error or ""}


def render_setting(view: SettingView | None) -> JSONObject:
    """Return how an app answers by its annotations."""
    return {"enabled": False} if view is None else view.row.to_spec().to_json()


def render_hit(view: HitView) -> JSONObject:
    """Return a hit of an annotation."""
    row = view.row
    return {
        "id": row.id,
        "source": row.source,
        "score": row.score,
        "question": row.question,
        "match": row.match,
        "response": row.response,
        "created_at": to_unix(row.created_at),
    }
