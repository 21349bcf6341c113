"""The indexing runner: extract → clean → split → embed → store, told step by step.

Boundary: yields what happened; whoever consumes it writes that down, in one
short transaction for each event, and so makes it a check-point. What must stay
true: an event is yielded only after the one before it was written, and a run
that starts from what was written goes on there. Everything made here follows
from document, version and content, so that doing a part twice makes nothing
twice.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from api.core.ports import Cancel
from api.core.rag.qa import Pair
from api.core.text.clean import clean
from api.core.text.process_rule import DocForm, ProcessRule
from api.core.text.segment_hash import child_chunk_id, content_hash, segment_id
from api.core.text.splitter import Passage, split
from api.core.text.tokens import count_tokens

PASSAGES_PER_BATCH = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class NewChild:
    """A child chunk as it is first written; ``position`` counts from 1 within its segment."""

    id: str
    position: int
    text: str
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSegment:
    """A segment as it is first written; ``position`` counts from 1 within the document."""

    id: str
    position: int
    text: str
    answer: str | None
    tokens: int
    hash: str
    children: tuple[NewChild, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unembedded:
    """A text that waits to be indexed: a segment's own, or that of one of its children."""

    id: str
    segment_id: str
    text: str
    hash: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """The text or table was read; ``words`` counts its characters, as the wire's word_count does."""

    words: int


@dataclass(frozen=True, slots=True)
class SegmentsMade:
    """The next segments; with them written, the first ``passages_done`` passages of the text are done."""

    segments: Sequence[NewSegment]
    passages_done: int


@dataclass(frozen=True, slots=True)
class SplitDone:
    """All segments are written."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """Vectors for the texts of some waiting segments, by the id of each text; none for economy datasets.

    ``made`` are those just made, by hash, worth keeping for the next text that is the same.
    """

    texts: Sequence[Unembedded]
    vectors: Mapping[str, Sequence[float]]
    made: Mapping[str, Sequence[float]]


IndexEvent = Parsed | SegmentsMade | SplitDone | Embedded


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding:
    """How texts become vectors: what is known already by hash, and a model for the rest."""

    recall: Callable[[Sequence[str]], Mapping[str, Sequence[float]]]
    embed: Callable[[Sequence[str]], Sequence[Sequence[float]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexJob:
    """One document to index, and how far an earlier run of the same version came.

    ``read`` returns the extracted text; ``read_pairs`` is set where the document
    is a table of questions and answers, which is read instead. ``pending``
    returns the next texts of segments not yet indexed (whole segments, none at
    the end), ``ask_pairs`` the questions and answers of a passage. ``embedding`` is None where words alone
    find the segments.
    """

    document_id: str
    version: int
    doc_form: DocForm
    rule: ProcessRule
    read: Callable[[], str]
    read_pairs: Callable[[], Sequence[Pair]] | None = None
    pending: Callable[[], Sequence[Unembedded]]
    ask_pairs: Callable[[str], Sequence[Pair]]
    embedding: Embedding | None
    passages_done: int = 0
    segments_made: int = 0
    is_split: bool = False


def run_indexing(job: IndexJob, cancel: Cancel) -> Iterator[IndexEvent]:
    """Yield the steps of one document's way into the index; ends early when ``cancel`` is set.

    Raises the AppError of the step that failed.
    """
    if not job.is_split:
        yield from _make_segments(job, cancel)
        if cancel.is_set():
            return
        yield SplitDone()
    while not cancel.is_set() and (texts := job.pending()):
        yield embed_texts(job.embedding, texts) if job.embedding else Embedded(texts, {}, {})


def _make_segments(job: IndexJob, cancel: Cancel) -> Iterator[IndexEvent]:
    is_asked = job.doc_form is DocForm.QA and job.read_pairs is None
    passages: Iterator[Passage]
    if job.read_pairs is not None:
        pairs = job.read_pairs()
        yield Parsed(sum(len(pair.question) + len(pair.answer) for pair in pairs))
        passages = map(_to_passage, pairs)
    else:
        text = clean(job.read(), job.rule.cleaning)
        yield Parsed(len(text))
        passages = split(text, job.rule, job.doc_form)
    done, position = job.passages_done, job.segments_made
    rest = islice(passages, done, None)
    # A model is asked for the pairs of each passage, so that each is a check-point of its own.
    size = 1 if is_asked else PASSAGES_PER_BATCH
    while not cancel.is_set() and (batch := list(islice(rest, size))):
        made = [_to_passage(pair) for pair in job.ask_pairs(batch[0].text)] if is_asked else batch
        if cancel.is_set():
            return
        segments = [_to_segment(job, position + number, passage) for number, passage in enumerate(made, 1)]
        done, position = done + len(batch), position + len(segments)
        yield SegmentsMade(segments, done)


def _to_passage(pair: Pair) -> Passage:
    return Passage(text=pair.question, tokens=count_tokens(pair.question), answer=pair.answer)


def _to_segment(job: IndexJob, position: int, passage: Passage) -> NewSegment:
    digest = content_hash(passage.text)
    own_id = segment_id(job.document_id, job.version, position, digest)
    return NewSegment(
        id=own_id,
        position=position,
        text=passage.text,
        answer=passage.answer,
        tokens=passage.tokens,
        hash=digest,
        children=to_children(own_id, passage.children),
    )


def to_children(parent_id: str, texts: Sequence[str]) -> tuple[NewChild, ...]:
    """Return the child chunks of a segment."""
    hashes = [content_hash(text) for text in texts]
    return tuple(
        NewChild(id=child_chunk_id(parent_id, position, digest), position=position, text=text, hash=digest)
        for position, (text, digest) in enumerate(zip(texts, hashes, strict=True), 1)
    )


def embed_texts(embedding: Embedding, texts: Sequence[Unembedded]) -> Embedded:
    """Return vectors for the texts; each distinct text is asked for once, and only if it is not known."""
    by_hash = {text.hash: text.text for text in texts}
    known = embedding.recall(list(by_hash))
    new = [digest for digest in by_hash if digest not in known]
    made = dict(zip(new, embedding.embed([by_hash[digest] for digest in new]), strict=True)) if new else {}
    vectors = {text.id: known[text.hash] if text.hash in known else made[text.hash] for text in texts}
    return Embedded(texts, vectors, made)
