"""What indexing would make of documents, before it is done: how many segments, and the first of them.

The same functions read, clean and split here as in indexing, so that what is
shown is what will be. No session is open while a document is read.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.core.ports import Cancel
from api.core.rag import charsets, qa
from api.core.rag.sources.notion import NotionClient
from api.core.text.clean import clean
from api.core.text.process_rule import DocForm, ProcessRule
from api.core.text.splitter import Passage, split
from api.core.text.tokens import count_tokens
from api.errors import InvalidRequest
from api.models.dataset import ProcessRuleRow
from api.models.document import Document
from api.models.file import UploadFile
from api.principal import Principal
from api.runtime import Runtime
from api.services import data_sources, document_settings, website_crawls
from api.services.access import access_file
from api.services.document_origins import (
    NotionPages,
    NotionRef,
    Origin,
    Uploads,
    WebPages,
    check_indexable,
    check_origin,
    keys_of,
)
from api.services.document_settings import DocumentSettings
from api.services.documents import DocumentIndexing, load_batch, open_document, to_rule

PREVIEWS = 10
TOTAL_S = 120.0
TABLES_OF_PAIRS = "csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A text that can be read, and how it would be processed; ``is_table`` for questions and answers."""

    read: Callable[[Cancel], str]
    rule: ProcessRule
    doc_form: DocForm
    is_table: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """How many segments and tokens there would be, and the first passages or pairs."""

    total_segments: int
    tokens: int
    preview: Sequence[Passage] = field(default_factory=tuple)

    @property
    def pairs(self) -> Sequence[Passage]:
        """Those of the preview that are questions with answers."""
        return [passage for passage in self.preview if passage.answer is not None]


def estimate_origin(
    runtime: Runtime, principal: Principal, origin: Origin, settings: DocumentSettings
) -> Estimate:
    """Return what documents of an origin would become.

    Raises InvalidRequest, FileNotFound, Unsupported, NotFound for a crawl that
    is over a day old, and NotionFailed.
    """
    check_origin(origin)
    rule = document_settings.check_rule(runtime, settings)
    form = DocForm(settings.doc_form or DocForm.TEXT)
    match origin:
        case Uploads():
            return _estimate(runtime, _of_uploads(runtime, principal, origin, rule, form))
        case WebPages():
            reads = _of_pages(runtime, principal, origin)
        case NotionPages():
            reads = _of_notion(runtime, principal, origin)
    return _estimate(runtime, [Draft(read=read, rule=rule, doc_form=form) for read in reads])


def _of_uploads(
    runtime: Runtime, principal: Principal, origin: Uploads, rule: ProcessRule, form: DocForm
) -> list[Draft]:
    with runtime.reading() as session:
        uploads = [access_file(session, principal, file_id) for file_id in keys_of(origin)]
    for upload in uploads:
        check_indexable(upload.name)
    return [_of_file(runtime, upload, rule, form) for upload in uploads]


def _of_pages(runtime: Runtime, principal: Principal, origin: WebPages) -> list[Callable[[Cancel], str]]:
    pages = website_crawls.take_pages(runtime, principal.tenant_id, origin.job_id, origin.urls)
    return [partial(_known, page.markdown) for page in pages]


def _of_notion(runtime: Runtime, principal: Principal, origin: NotionPages) -> list[Callable[[Cancel], str]]:
    client = data_sources.open_notion(runtime, principal.tenant_id).client
    return [partial(_read_notion, client, page) for page in origin.pages]


def _known(text: str, _cancel: Cancel) -> str:
    return text


def _read_notion(client: NotionClient, page: NotionRef, cancel: Cancel) -> str:
    return client.read(page.id, page.kind, cancel).markdown


def estimate_document(runtime: Runtime, principal: Principal, dataset_id: str, document_id: str) -> Estimate:
    """Return what a document becomes; raises NotFound, Forbidden."""
    with runtime.reading() as session:
        document = open_document(session, principal, dataset_id, document_id)
        draft = _of_document(runtime, session, document)
    return _estimate(runtime, [draft])


def estimate_batch(runtime: Runtime, principal: Principal, dataset_id: str, batch: str) -> Estimate:
    """Return what documents that came in together become; raises NotFound, Forbidden."""
    with runtime.reading() as session:
        found = load_batch(session, principal, dataset_id, batch)
        drafts = [_of_document(runtime, session, status.document) for status in found]
    return _estimate(runtime, drafts)


def _of_document(runtime: Runtime, session: Session, document: Document) -> Draft:
    upload = session.scalars(
        select(UploadFile).where(
            UploadFile.tenant_id == document.tenant_id,
            UploadFile.id == document.source.get("upload_file_id"),
        )
    ).one_or_none()
    if upload is None:
        raise DocumentIndexing("The text of the document has not been read yet; try again later.")
    row = session.get(ProcessRuleRow, document.process_rule_id) if document.process_rule_id else None
    return _of_file(runtime, upload, to_rule(row), DocForm(document.doc_form))


def _of_file(runtime: Runtime, upload: UploadFile, rule: ProcessRule, form: DocForm) -> Draft:
    is_table = form is DocForm.QA and upload.extension == TABLES_OF_PAIRS
    read = partial(_read_file, runtime, upload.storage_key, None if is_table else upload.extension)
    return Draft(read=read, rule=rule, doc_form=form, is_table=is_table)


def _read_file(runtime: Runtime, storage_key: str, extension: str | None, cancel: Cancel) -> str:
    """Return the text of a stored file; the bytes decoded where no ``extension`` says how to read it."""
    with runtime.storage.open(storage_key) as content:
        if extension is None:
            return charsets.decode(content.read())
        return runtime.extractor.extract(content, extension, cancel=cancel)


def _estimate(runtime: Runtime, drafts: Sequence[Draft]) -> Estimate:
    cancel = Cancel(TOTAL_S)
    texts = [(draft, draft.read(cancel)) for draft in drafts]
    try:
        return runtime.offload.call(_count, texts, timeout_s=TOTAL_S)
    except TimeoutError as exc:
        raise InvalidRequest("The documents are too large to be estimated; index them instead.") from exc


def _count(texts: Sequence[tuple[Draft, str]]) -> Estimate:
    """Cut all texts; only the first passages are kept."""
    total = tokens = 0
    preview: list[Passage] = []
    for passage in chain.from_iterable(_cut(draft, text) for draft, text in texts):
        total, tokens = total + 1, tokens + passage.tokens
        if len(preview) < PREVIEWS:
            preview.append(passage)
    return Estimate(total_segments=total, tokens=tokens, preview=preview)


def _cut(draft: Draft, text: str) -> Iterator[Passage]:
    if draft.is_table:
        for pair in qa.parse_qa_csv(text):
            yield Passage(text=pair.question, tokens=count_tokens(pair.question), answer=pair.answer)
        return
    yield from split(clean(text, draft.rule.cleaning), draft.rule, draft.doc_form)
