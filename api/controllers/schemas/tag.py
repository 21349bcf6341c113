"""Tags on the wire, of apps and of datasets."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from flask_restx import fields

from api.controllers.http.model import Model
from api.controllers.http.parsing import Choice, Items, Text, json_field, parser, query_field
from api.core.ports import JSONObject
from api.errors import InvalidRequest
from api.services.tags import TagType, TagView

TYPE = Choice(("app", "knowledge"))
NAME = Text(min_length=1, max_length=50, is_trimmed=True)
NAME_FIELD = json_field(
    "name", NAME, required=True, help="1 to 50 characters, unique among tags of its type."
)
ID = Text(min_length=1, max_length=36)


@dataclass(frozen=True, slots=True, kw_only=True)
class TagListIn:
    """Which tags to list."""

    type: TagType | None = None
    keyword: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TagIn:
    """A new tag."""

    name: str
    type: TagType = "knowledge"


@dataclass(frozen=True, slots=True, kw_only=True)
class TagNameIn:
    """Another name of a tag; the public API names the tag in the body."""

    name: str
    tag_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TagIdIn:
    """A tag named in the body."""

    tag_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BindingIn:
    """Tags, and the app or dataset they go on or come off."""

    target_id: str
    type: TagType = "knowledge"
    tag_id: str | None = None
    tag_ids: Sequence[str] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        if self.tag_id is None and not self.tag_ids:
            raise InvalidRequest("Parameter 'tag_ids' is required", field="tag_ids", fault="required")

    @property
    def ids(self) -> Sequence[str]:
        """The tags, however they were named."""
        return (*self.tag_ids, *([self.tag_id] if self.tag_id is not None else []))


TARGET = json_field("target_id", ID, required=True, help="The app or dataset.")
TAG_LIST = parser(
    query_field("type", TYPE, help="Of both types when absent."),
    query_field("keyword", Text(), help="Part of the name, whatever its case."),
)
TAG = parser(NAME_FIELD, json_field("type", TYPE, required=True))
PUBLIC_TAG = parser(NAME_FIELD)
TAG_NAME = parser(NAME_FIELD)
PUBLIC_TAG_NAME = parser(NAME_FIELD, json_field("tag_id", ID, required=True))
TAG_ID = parser(json_field("tag_id", ID, required=True))
TAGS = (
    json_field("tag_ids", Items(item=ID), help="The tags."),
    json_field("tag_id", ID, nullable=True, help="One tag."),
)
BINDING = parser(*TAGS, TARGET, json_field("type", TYPE, required=True))
PUBLIC_BINDING = parser(*TAGS, TARGET)
TAG_MODEL = Model(
    "Tag",
    {
        "id": fields.String,
        "name": fields.String,
        "type": fields.String(enum=["app", "knowledge"]),
        "binding_count": fields.String(description="On how many things it is, in digits."),
    },
)
NAMED_MODEL = Model("NamedTag", {"id": fields.String, "name": fields.String})
TAGS_OF_MODEL = Model(
    "DatasetTags", {"data": fields.List(fields.Nested(NAMED_MODEL)), "total": fields.Integer}
)
MODELS = (TAG_MODEL, NAMED_MODEL, TAGS_OF_MODEL)


def render_tag(view: TagView) -> JSONObject:
    """Return a tag."""
    tag = view.tag
    return {"id": tag.id, "name": tag.name, "type": tag.type, "binding_count": str(view.binding_count)}
