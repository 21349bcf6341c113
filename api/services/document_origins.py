"""What documents are made of: uploads, pages a crawl found, pages of Notion.

Each becomes the ``source`` of a document (models/document.py). What a crawl
found is stored before the transaction that makes documents of it; what Notion
holds is read by the job that indexes the document (remote_texts.py).
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

from sqlalchemy import update
from sqlalchemy.orm import Session

from api.core.ports import JSONObject
from api.core.rag import extractors  # noqa: F401  # fills EXTRACTORS
from api.core.rag.extraction import EXTRACTORS
from api.core.rag.sources import notion
from api.errors import Conflict, InvalidRequest, Unsupported
from api.models.base import utc_now
from api.models.document import Document
from api.models.file import UploadFile
from api.principal import Principal
from api.runtime import Runtime
from api.services import data_sources, file_kinds, kept_texts, website_crawls
from api.services.access import FileNotFound, access_file
from api.services.files import ATTACHABLE

UPLOAD, WEBSITE, NOTION = "upload_file", "website_crawl", "notion_import"
TYPES = (UPLOAD, WEBSITE, NOTION)
"""The words of data_source_type."""


INDEXABLE = tuple(sorted(EXTRACTORS))


class FileInUse(Conflict):
    """The upload has become a document already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploads:
    """Files the caller uploaded before, by id."""

    file_ids: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class WebPages:
    """Pages of a completed crawl, by address. ``only_main_content`` holds when one is read again."""

    provider: str
    job_id: str
    urls: Sequence[str]
    only_main_content: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class NotionRef:
    """A page or database of Notion, with name and icon as the client shows them."""

    id: str
    kind: notion.Kind
    name: str = ""
    icon: JSONObject | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NotionPages:
    """Pages and databases of the Notion the workspace is connected to."""

    pages: Sequence[NotionRef]


Origin: TypeAlias = Uploads | WebPages | NotionPages


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What a document begins with. Without ``upload`` its text is yet to be read."""

    name: str
    source: JSONObject
    upload: UploadFile | None


@dataclass(slots=True)
class Gathered:
    """The starts of documents that are about to be made; ``is_taken`` once they are."""

    origin: Origin
    made: list[Start] = field(default_factory=list)
    is_taken: bool = False

    def first_name(self, session: Session, principal: Principal) -> str:
        """Return the name of the first; raises FileNotFound."""
        if isinstance(self.origin, Uploads):
            return access_file(session, principal, keys_of(self.origin)[0]).name
        return self.made[0].name

    def take(self, session: Session, principal: Principal) -> list[Start]:
        """Return the starts, their files written with the caller's transaction.

        Raises FileNotFound, FileInUse, Unsupported for what is wrong with an upload.
        """
        self.is_taken = True
        if isinstance(self.origin, Uploads):
            taken = [take_upload(session, principal, file_id) for file_id in keys_of(self.origin)]
            return [to_upload_start(row) for row in taken]
        session.add_all([start.upload for start in self.made if start.upload is not None])
        return self.made


def type_of(origin: Origin) -> str:
    """Return the data_source_type of documents made of an origin."""
    match origin:
        case Uploads():
            return UPLOAD
        case WebPages():
            return WEBSITE
        case NotionPages():
            return NOTION


def keys_of(origin: Origin) -> list[str]:
    """Return what an origin names, each once: ids of uploads, addresses, ids of Notion without dashes."""
    match origin:
        case Uploads():
            return list(dict.fromkeys(origin.file_ids))
        case WebPages():
            return list(dict.fromkeys(origin.urls))
        case NotionPages():
            return list(dict.fromkeys(notion_key(page.id) for page in origin.pages))


def check_origin(origin: Origin) -> None:
    """Raise InvalidRequest for an origin that names nothing, or no page of Notion's."""
    if not keys_of(origin):
        field = {UPLOAD: "file_ids", WEBSITE: "urls", NOTION: "pages"}[type_of(origin)]
        raise InvalidRequest(f"Name at least one of {field!r}.", field=field, fault="too_short")
    if isinstance(origin, NotionPages):
        for page in origin.pages:
            if not notion.ID.fullmatch(page.id):
                raise InvalidRequest(f"{page.id!r} is not the id of a Notion page.", field="page_id")


def is_of(document: Document, origin: Origin) -> bool:
    """Tell whether a document is of the only thing an origin names, so that its text need not change."""
    source, key = document.source, keys_of(origin)[0]
    match origin:
        case Uploads():
            return bool(source.get("upload_file_id") == key)
        case WebPages():
            return (source.get("url"), source.get("job_id")) == (key, origin.job_id)
        case NotionPages():
            return notion_key(str(source.get("notion_page_id"))) == key


@contextmanager
def gathered(runtime: Runtime, principal: Principal, origin: Origin) -> Iterator[Gathered]:
    """Give the starts of documents; the texts stored for them go again unless they are taken.

    Raises InvalidRequest and NotFound for pages the crawl does not have (any
    more), NotionFailed where Notion is not connected.
    """
    found = Gathered(origin)
    with ExitStack() as undo:
        match origin:
            case WebPages():
                found.made += _store_pages(runtime, principal, origin, undo)
            case NotionPages():
                found.made += _name_pages(runtime, principal, origin)
            case Uploads():
                pass  # they are stored already, and are taken by the transaction
        yield found
        if found.is_taken:
            undo.pop_all()


def _store_pages(
    runtime: Runtime, principal: Principal, origin: WebPages, undo: ExitStack
) -> Iterator[Start]:
    for page in website_crawls.take_pages(runtime, principal.tenant_id, origin.job_id, origin.urls):
        name = kept_texts.to_name(page.title, page.source_url)
        row, content = kept_texts.to_file(principal.tenant_id, principal.id, name, page.markdown)
        undo.callback(runtime.storage.delete, row.storage_key)
        runtime.storage.put(row.storage_key, content)
        source: JSONObject = {
            "url": page.source_url,
            "provider": origin.provider,
            "job_id": origin.job_id,
            "only_main_content": origin.only_main_content,
            "mode": "crawl",
            "read_at": int(utc_now().timestamp()),
            "upload_file_id": row.id,
        }
        yield Start(name=name, source=source, upload=row)


def _name_pages(runtime: Runtime, principal: Principal, origin: NotionPages) -> Iterator[Start]:
    workspace_id = data_sources.open_notion(runtime, principal.tenant_id).workspace_id
    for page in {notion_key(page.id): page for page in origin.pages}.values():
        source: JSONObject = {
            "notion_workspace_id": workspace_id,
            "notion_page_id": page.id,
            "notion_page_icon": page.icon,
            "type": page.kind,
        }
        yield Start(name=kept_texts.to_name(page.name, page.id), source=source, upload=None)


def to_upload_start(upload: UploadFile) -> Start:
    """Return what a document of an upload begins with."""
    return Start(name=upload.name, source={"upload_file_id": upload.id}, upload=upload)


def notion_key(page_id: str) -> str:
    """Return the id of a Notion page as two spellings of it are compared."""
    return page_id.replace("-", "").lower()


def check_indexable(name: str) -> None:
    """Raise Unsupported for a file whose text is not read."""
    if file_kinds.extension_of(file_kinds.clean_name(name)) not in EXTRACTORS:
        raise Unsupported(f"File type not allowed; documents are: {', '.join(INDEXABLE)}.")


def take_upload(session: Session, principal: Principal, file_id: str) -> UploadFile:
    """Take an upload of the caller for a document; raises FileNotFound, FileInUse, Unsupported."""
    upload = access_file(session, principal, file_id)
    check_indexable(upload.name)
    if upload.attached_at is None and upload.created_at < utc_now() - ATTACHABLE:
        raise FileNotFound("The upload has expired; upload the file again.")
    taken = session.scalars(
        update(UploadFile)
        .where(
            UploadFile.tenant_id == principal.tenant_id,
            UploadFile.id == upload.id,
            UploadFile.attached_at.is_(None),
        )
        .values(attached_at=utc_now())
        .returning(UploadFile)
    ).one_or_none()
    if taken is None:
        raise FileInUse(f"The file {upload.name!r} belongs to a document already; upload it again.")
    return taken
