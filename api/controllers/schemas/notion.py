"""Pages of Notion on the wire, as Dify's console shows them to choose from."""

from dataclasses import dataclass

from flask_restx import fields

from api.controllers.http.model import Model
from api.controllers.http.parsing import UUID, parser, query_field
from api.core.ports import JSONObject, JSONValue
from api.core.rag.sources.notion import NotionEntry
from api.services.document_origins import notion_key
from api.services.notion_pages import NotionListing


@dataclass(frozen=True, slots=True, kw_only=True)
class PagesIn:
    """For which dataset pages are chosen, if for any yet."""

    dataset_id: str | None = None


PAGES_FOR = parser(
    query_field("dataset_id", UUID(may_be_blank=True), help="Marks the pages that dataset has.")
)
PAGES = Model("NotionPages", {"notion_info": fields.List(fields.Raw)})
PREVIEW = Model(
    "NotionPreview", {"content": fields.String(description="Markdown, the first 3,000 characters.")}
)
MODELS = (PAGES, PREVIEW)


def render_pages(listing: NotionListing) -> JSONObject:
    """Return the one Notion workspace there is, with its pages."""
    workspace: JSONObject = {
        "workspace_id": listing.workspace_id,
        "workspace_name": listing.workspace_name,
        "workspace_icon": None,
        "pages": [_render_entry(entry, listing) for entry in listing.entries],
    }
    return {"notion_info": [workspace]}


def _render_entry(entry: NotionEntry, listing: NotionListing) -> JSONValue:
    return {
        "page_id": entry.id,
        "page_name": entry.title,
        "page_icon": _render_icon(entry.icon),
        "parent_id": entry.parent_id,
        "type": entry.kind,
        "is_bound": notion_key(entry.id) in listing.bound,
    }


def _render_icon(icon: JSONObject | None) -> JSONValue:
    """Return an icon in the console's shape: an emoji, or a picture by its address."""
    kind = str((icon or {}).get("type"))
    value = (icon or {}).get(kind)
    if kind == "emoji":
        return {"type": "emoji", "url": None, "emoji": value}
    if isinstance(value, dict) and isinstance(value.get("url"), str):
        return {"type": "url", "url": value["url"], "emoji": None}
    return None
