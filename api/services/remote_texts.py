"""Reads the text of documents whose place is elsewhere: a page of a website, a page of Notion.

For jobs: no session is open while a site is asked, and what was read is kept as
the document's file before anything is made of it.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from api.core.ports import Cancel, JSONObject
from api.core.rag.sources.notion import Kind
from api.errors import NotionFailed
from api.models.base import utc_now
from api.models.file import UploadFile
from api.runtime import Runtime
from api.services import data_sources, kept_texts, uploads, website_crawls
from api.services.document_origins import NOTION, WEBSITE
from api.services.index_rows import Work, fenced
from api.services.jobs import Lease


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteText:
    """What was read, and what that changes in the document's ``source``."""

    markdown: str
    changes: JSONObject


def is_unread(work: Work) -> bool:
    """Tell whether a document's text must be read from its place before it can be indexed."""
    return work.source_type in READERS and "upload_file_id" not in work.source


def read(runtime: Runtime, work: Work, cancel: Cancel) -> RemoteText:
    """Return the text as it is now; raises CrawlFailed, NotionFailed, EgressDenied, Cancelled."""
    text = READERS[work.source_type](runtime, work, cancel)
    return RemoteText(markdown=text.markdown, changes={**text.changes, "read_at": int(utc_now().timestamp())})


def read_first(runtime: Runtime, lease: Lease, work: Work) -> UploadFile:
    """Read a document's text for the first time; return the file it is kept in. Raises as ``read``, Gone."""
    text = read(runtime, work, lease.cancel)
    with (
        stored(runtime, work, text) as (row, source),
        fenced(runtime, lease, work, source=source) as session,
    ):
        session.add(row)
    return row


@contextmanager
def stored(runtime: Runtime, work: Work, text: RemoteText) -> Iterator[tuple[UploadFile, JSONObject]]:
    """Store a text as the file of a document; give its row and the source, which the block writes."""
    assert work.created_by is not None, "documents are made by someone"
    row, content = kept_texts.to_file(work.tenant_id, work.created_by, work.name, text.markdown)
    with uploads.storing(runtime, row, content):
        yield row, {**work.source, **text.changes, "upload_file_id": row.id}


def _read_page(runtime: Runtime, work: Work, cancel: Cancel) -> RemoteText:
    is_main = bool(work.source.get("only_main_content"))
    page = website_crawls.read_page(
        runtime, str(work.source["url"]), only_main_content=is_main, cancel=cancel
    )
    return RemoteText(markdown=page.markdown, changes={})


def _read_notion(runtime: Runtime, work: Work, cancel: Cancel) -> RemoteText:
    client = data_sources.open_notion(runtime, work.tenant_id).client
    kind: Kind = "database" if work.source.get("type") == "database" else "page"
    page = client.read(str(work.source["notion_page_id"]), kind, cancel)
    if not page.markdown.strip():
        raise NotionFailed(f"The Notion {kind} {page.title!r} has no text that could be indexed.")
    return RemoteText(markdown=page.markdown, changes={"last_edited_time": page.last_edited_time})


READERS: Mapping[str, Callable[[Runtime, Work, Cancel], RemoteText]] = {
    WEBSITE: _read_page,
    NOTION: _read_notion,
}
