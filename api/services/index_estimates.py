"""What indexing would make of documents, before it is done: how many segments, and the first of them.

The same functions read, clean and split here as in indexing, so that what is
shown is what will be. No session is open while a document is read.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.core.ports import Cancel
from api.core.rag import charsets, qa
from api.core.text.clean import clean
from api.core.text.process_rule import DocForm, ProcessRule
from api.core.text.splitter import Passage, split
from api.core.text.tokens import count_tokens
from api.errors import InvalidRequest, NotFound
from api.models.dataset import ProcessRuleRow
from api.models.document import Document
from api.models.file import UploadFile
from api.principal import Principal
from api.runtime import Runtime
from api.services import document_settings
from api.services.access import access_file
from api.services.document_settings import DocumentSettings
from api.services.document_sources import check_indexable
from api.services.documents import load_batch, open_document, to_rule

PREVIEWS = 10
TOTAL_S = 120.0
TABLES_OF_PAIRS = "csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A stored file and how it would be processed."""

    storage_key: str
    extension: str
    rule: ProcessRule
    doc_form: DocForm


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


def estimate_uploads(
    runtime: Runtime, principal: Principal, file_ids: Sequence[str], settings: DocumentSettings
) -> Estimate:
    """Return what the caller's uploads would become; raises FileNotFound, Unsupported, InvalidRequest."""
    rule = document_settings.check_rule(runtime, settings)
    form = DocForm(settings.doc_form or DocForm.TEXT)
    with runtime.reading() as session:
        uploads = [access_file(session, principal, file_id) for file_id in dict.fromkeys(file_ids)]
    for upload in uploads:
        check_indexable(upload.name)
    return _estimate(runtime, [_to_source(upload, rule, form) for upload in uploads])


def estimate_document(runtime: Runtime, principal: Principal, dataset_id: str, document_id: str) -> Estimate:
    """Return what a document becomes; raises NotFound, Forbidden."""
    with runtime.reading() as session:
        document = open_document(session, principal, dataset_id, document_id)
        source = _source_of(session, document)
    return _estimate(runtime, [source])


def estimate_batch(runtime: Runtime, principal: Principal, dataset_id: str, batch: str) -> Estimate:
    """Return what documents that came in together become; raises NotFound, Forbidden."""
    with runtime.reading() as session:
        found = load_batch(session, principal, dataset_id, batch)
        sources = [_source_of(session, status.document) for status in found]
    return _estimate(runtime, sources)


def _source_of(session: Session, document: Document) -> Source:
    upload = session.scalars(
        select(UploadFile).where(
            UploadFile.tenant_id == document.tenant_id,
            UploadFile.id == document.source.get("upload_file_id"),
        )
    ).one_or_none()
    if upload is None:
        raise NotFound("The document was not made of a file.")
    row = session.get(ProcessRuleRow, document.process_rule_id) if document.process_rule_id else None
    return _to_source(upload, to_rule(row), DocForm(document.doc_form))


def _to_source(upload: UploadFile, rule: ProcessRule, form: DocForm) -> Source:
    return Source(storage_key=upload.storage_key, extension=upload.extension, rule=rule, doc_form=form)


def _estimate(runtime: Runtime, sources: Sequence[Source]) -> Estimate:
    cancel = Cancel(TOTAL_S)
    texts = [(source, _read(runtime, source, cancel)) for source in sources]
    try:
        return runtime.offload.call(_count, texts, timeout_s=TOTAL_S)
    except TimeoutError as exc:
        raise InvalidRequest("The documents are too large to be estimated; index them instead.") from exc


def _read(runtime: Runtime, source: Source, cancel: Cancel) -> str:
    with runtime.storage.open(source.storage_key) as content:
        if _holds_pairs(source):
            return charsets.decode(content.read())
        return runtime.extractor.extract(content, source.extension, cancel=cancel)


def _holds_pairs(source: Source) -> bool:
    return source.doc_form is DocForm.QA and source.extension == TABLES_OF_PAIRS


def _count(texts: Sequence[tuple[Source, str]]) -> Estimate:
    """Cut all texts; only the first passages are kept."""
    total = tokens = 0
    preview: list[Passage] = []
    for passage in chain.from_iterable(_cut(source, text) for source, text in texts):
        total, tokens = total + 1, tokens + passage.tokens
        if len(preview) < PREVIEWS:
            preview.append(passage)
    return Estimate(total_segments=total, tokens=tokens, preview=preview)


def _cut(source: Source, text: str) -> Iterator[Passage]:
    if _holds_pairs(source):
        for pair in qa.parse_qa_csv(text):
            yield Passage(text=pair.question, tokens=count_tokens(pair.question), answer=pair.answer)
        return
    yield from split(clean(text, source.rule.cleaning), source.rule, source.doc_form)
