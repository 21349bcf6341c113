"""What documents are to be made of, as requests say it: ``data_source_type`` and a list of that type."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from api.controllers.http.parsing import UUID, Boolean, Choice, Items, Text
from api.controllers.schemas.shapes import Check, Shape
from api.errors import InvalidRequest
from api.services.document_origins import (
    NOTION,
    TYPES,
    UPLOAD,
    WEBSITE,
    NotionPages,
    NotionRef,
    Origin,
    Uploads,
    WebPages,
)

MAX_ITEMS = 1000
URL = Text(min_length=1, max_length=2048)
ICON = Shape(
    optional={"type": Text(max_length=50), "url": Text(max_length=4096), "emoji": Text(max_length=64)}
)
PAGE = Shape(
    required={"page_id": Text(min_length=1, max_length=64), "type": Choice(("page", "database"))},
    optional={"page_name": Text(max_length=4096), "page_icon": ICON},
)
FILES = Shape(required={"file_ids": Items(item=UUID(), max_items=MAX_ITEMS)})
WEB_PAGES = Shape(
    required={
        "provider": Text(min_length=1, max_length=50),
        "job_id": Text(min_length=1, max_length=64),
        "urls": Items(item=URL, max_items=MAX_ITEMS),
    },
    optional={"only_main_content": Boolean()},
)
NOTION_LIST = Items(item=Shape(required={"pages": Items(item=PAGE, max_items=MAX_ITEMS)}))
LISTS: Mapping[str, tuple[str, Check]] = {
    UPLOAD: ("file_info_list", FILES),
    WEBSITE: ("website_info_list", WEB_PAGES),
    NOTION: ("notion_info_list", NOTION_LIST),
}
INFO_LIST = Shape(required={"data_source_type": Choice(TYPES)}, optional=dict(LISTS.values()))


def to_origin(info: Mapping[str, Any]) -> Origin:
    """Return what a checked INFO_LIST names; raises InvalidRequest where the list of its type is missing."""
    source_type = info["data_source_type"]
    name, _ = LISTS[source_type]
    if name not in info:
        raise InvalidRequest(f"Parameter {name!r} is required", field=name, fault="required")
    return ORIGINS[source_type](info[name])


def to_notion_pages(lists: Sequence[Mapping[str, Any]]) -> NotionPages:
    """Return the pages of a checked NOTION_LIST."""
    return NotionPages(
        pages=[
            NotionRef(
                id=page["page_id"],
                kind=page["type"],
                name=page.get("page_name", ""),
                icon=page.get("page_icon"),
            )
            for each in lists
            for page in each["pages"]
        ]
    )


ORIGINS: Mapping[str, Callable[[Any], Origin]] = {
    UPLOAD: lambda said: Uploads(**said),
    WEBSITE: lambda said: WebPages(**said),
    NOTION: to_notion_pages,
}
