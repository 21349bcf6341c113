"""Pages and databases of the Notion a workspace is connected to: listed to choose from, and looked into."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.core.ports import Cancel
from api.core.rag.sources.notion import Kind, NotionEntry
from api.models.document import Document
from api.principal import Principal
from api.runtime import Runtime
from api.services import data_sources
from api.services.document_origins import NOTION, notion_key
from api.services.documents import open_dataset

TOTAL_S = 60.0
PREVIEW_CHARS = 3000


@dataclass(frozen=True, slots=True, kw_only=True)
class NotionListing:
    """What there is to choose from; ``bound`` are those a dataset has, by ``notion_key``."""

    workspace_id: str
    workspace_name: str
    entries: Sequence[NotionEntry]
    bound: Collection[str]


def load_pages(runtime: Runtime, principal: Principal, dataset_id: str | None) -> NotionListing:
    """Return what the connected Notion shows, last edited first, at most 2,000.

    Raises NotionFailed, and NotFound or Forbidden for a dataset that is not the caller's.
    """
    with runtime.reading() as session:
        bound = _bound(session, principal, dataset_id) if dataset_id else frozenset()
    connection = data_sources.open_notion(runtime, principal.tenant_id)
    return NotionListing(
        workspace_id=connection.workspace_id,
        workspace_name=connection.workspace_name,
        entries=list(connection.client.search("", Cancel(TOTAL_S))),
        bound=bound,
    )


def read_preview(runtime: Runtime, principal: Principal, page_id: str, kind: Kind) -> str:
    """Return the first 3,000 characters of a page or database; raises NotionFailed, InvalidRequest."""
    client = data_sources.open_notion(runtime, principal.tenant_id).client
    return client.read(page_id, kind, Cancel(TOTAL_S)).markdown[:PREVIEW_CHARS]


def _bound(session: Session, principal: Principal, dataset_id: str) -> Collection[str]:
    dataset = open_dataset(session, principal, dataset_id)
    sources = session.scalars(
        select(Document.source).where(
            Document.tenant_id == principal.tenant_id,
            Document.dataset_id == dataset.id,
            Document.data_source_type == NOTION,
        )
    )
    return {notion_key(str(source["notion_page_id"])) for source in sources}
