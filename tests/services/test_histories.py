"""Whatever was done to documents and segments: searches find what lives, all of it and nothing else."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.core.ports import JSONObject
from api.models.dataset import Dataset
from api.models.document import Document, Segment
from api.principal import Principal
from api.runtime import Runtime
from api.services import document_sources, documents, rebuilds, retrieval, segments, verification
from api.services.document_settings import DocumentSettings
from api.services.document_sources import Replacement, to_text_file
from api.services.segments import SegmentText
from api.services.verification_rows import Checked
from tests.conftest import BOTH
from tests.factories import Owner, make_owner
from tests.knowledge import Sleeping, finish_jobs, make_dataset

pytestmark = BOTH

METHODS = ("keyword_search", "full_text_search", "semantic_search", "hybrid_search")
TEXTS = tuple(f"Harbour {word} counts ships." for word in ("north", "south", "east", "west", "old", "new"))
QUERY = "harbour ships"
EXAMPLES = 2
"""Others in each run: a history takes about a second."""
RULE: JSONObject = {
    "mode": "custom",
    "rules": {
        "pre_processing_rules": [],
        "segmentation": {"separator": "\n\n", "max_tokens": 100, "chunk_overlap": 0},
        "parent_mode": "paragraph",
        "subchunk_segmentation": {"separator": " counts ", "max_tokens": 50, "chunk_overlap": 0},
    },
}
KINDS = ("economy", "hierarchical_model", "text_model")
"""The form of high_quality documents, or the other technique."""


@dataclass
class Piece:
    """A segment as it must be; ``waits`` until a worker has seen what it says now."""

    text: str
    is_on: bool = True
    waits: bool = False


@dataclass
class Paper:
    """A document as it must be: not indexed while ``pieces``, which are by their id, are None."""

    texts: list[str]
    is_on: bool = True
    is_archived: bool = False
    pieces: dict[str, Piece] | None = None


@dataclass
class History:
    """A dataset, and what must be in it; each step does what it says unless that would be refused."""

    runtime: Runtime
    owner: Owner
    kind: str
    papers: dict[str, Paper] = field(default_factory=dict)
    names: "count[int]" = field(default_factory=count)

    def __post_init__(self) -> None:
        form = "text_model" if self.kind == "economy" else self.kind
        rule: JSONObject = {**RULE, "mode": "hierarchical" if form == "hierarchical_model" else "custom"}
        technique = "economy" if self.kind == "economy" else "high_quality"
        self.settings = DocumentSettings(indexing_technique=technique, doc_form=form, process_rule=rule)
        self.dataset = make_dataset(self.runtime, self.owner)
        self.act("add document", 0, 0)

    def act(self, step: str, which: int, text: int) -> None:
        """Do a step to the document, or segment, that ``which`` chooses, with a text that ``text`` does."""
        said = TEXTS[text % len(TEXTS)]
        if step == "add document":
            self._add([said, TEXTS[which % len(TEXTS)]])
        elif step == "work":
            self._work()
        elif step == "rebuild":
            self._rebuild()
        elif self.papers:
            ids = list(self.papers)
            paper_id = ids[which % len(ids)]
            ACTS[step](self, paper_id, self.papers[paper_id], which, said)

    def live(self) -> dict[str, str]:
        """Return what must be found: the texts of segments by their ids."""
        return {
            found: piece.text
            for paper in self.papers.values()
            if paper.is_on and not paper.is_archived
            for found, piece in (paper.pieces or {}).items()
            if piece.is_on and not piece.waits
        }

    def found(self, method: str) -> dict[str, str]:
        """Return what a search finds, alike."""
        raw: JSONObject = {"search_method": method, "reranking_enable": False, "top_k": 50}
        result = retrieval.hit_test(self.runtime, self.owner.principal, self.dataset, QUERY, raw)
        return {record.segment.id: record.segment.content for record in result.records}

    def methods(self) -> tuple[str, ...]:
        return METHODS[:2] if self.kind == "economy" else METHODS

    def switch(self, paper_id: str, action: str) -> bool:
        """Switch a document where that is not refused; tell whether it was done."""
        if self.papers[paper_id].pieces is None:
            return False
        with self.runtime.transaction() as session:
            documents.switch(session, self.owner.principal, self.dataset, [paper_id], action)
        return True

    def write(self, paper_id: str, change: Callable[..., Any], *args: Any) -> Any:
        """Change segments of a document."""
        with self.runtime.transaction() as session:
            document = segments.open_for_change(session, self.owner.principal, self.dataset, paper_id)
            return change(self.runtime, session, self.owner.principal, document, *args)

    def _add(self, texts: list[str]) -> None:
        file = to_text_file(f"{next(self.names)}", "\n\n".join(texts))
        view = document_sources.create_from_file(
            self.runtime, self.owner.principal, self.dataset, file, self.settings
        )
        self.papers[view.document.id] = Paper(texts)

    def _rebuild(self) -> None:
        with self.runtime.transaction() as session:
            row = session.get_one(Dataset, self.dataset)
            model = {"provider": row.embedding_provider, "model": row.embedding_model}
            rebuilds.request_rebuild(self.runtime, session, row, technique=row.indexing_technique, **model)

    def _work(self) -> None:
        """Be the worker; what it made of new documents must be what they say."""
        finish_jobs(self.runtime, self.owner)
        for paper_id, paper in self.papers.items():
            if paper.pieces is None:
                query = select(Segment).where(Segment.document_id == paper_id).order_by(Segment.position)
                with self.runtime.reading() as session:
                    rows = session.scalars(query).all()
                assert [row.content for row in rows] == paper.texts
                paper.pieces = {row.id: Piece(row.content) for row in rows}
            for piece in paper.pieces.values():
                piece.waits = False


def _replace(history: History, paper_id: str, paper: Paper, _which: int, said: str) -> None:
    if not paper.is_archived:
        file = to_text_file(f"{next(history.names)}", said)
        change = Replacement(file=file)
        document_sources.replace_content(
            history.runtime, history.owner.principal, history.dataset, paper_id, change
        )
        paper.texts, paper.pieces = [said], None


def _delete(history: History, paper_id: str, paper: Paper, _which: int, _said: str) -> None:
    if not paper.is_archived:
        with history.runtime.transaction() as session:
            documents.delete_documents(
                history.runtime, session, history.owner.principal, history.dataset, [paper_id]
            )
        del history.papers[paper_id]


def _disable(history: History, paper_id: str, paper: Paper, which: int, _said: str) -> None:
    if history.switch(paper_id, "disable" if paper.is_on else "enable"):
        paper.is_on = not paper.is_on


def _archive(history: History, paper_id: str, paper: Paper, which: int, _said: str) -> None:
    if history.switch(paper_id, "un_archive" if paper.is_archived else "archive"):
        paper.is_archived = not paper.is_archived


def _add_segment(history: History, paper_id: str, paper: Paper, _which: int, said: str) -> None:
    if paper.pieces is not None and paper.is_on and not paper.is_archived:
        page = history.write(paper_id, segments.create_segments, [SegmentText(content=said)])
        paper.pieces[page.views[0].segment.id] = Piece(said, waits=True)


def _edit_segment(history: History, paper_id: str, paper: Paper, which: int, said: str) -> None:
    if paper.pieces and not paper.is_archived:
        chosen = list(paper.pieces)[which % len(paper.pieces)]
        piece = paper.pieces[chosen]
        text = SegmentText(content=said, regenerate_child_chunks=piece.text != said)
        history.write(paper_id, segments.update_segment, chosen, text)
        piece.waits |= piece.text != said
        piece.text = said


def _switch_segment(history: History, paper_id: str, paper: Paper, which: int, _said: str) -> None:
    if paper.pieces and not paper.is_archived:
        chosen = list(paper.pieces)[which % len(paper.pieces)]
        piece = paper.pieces[chosen]

        def switch(_runtime: Runtime, session: Session, principal: Principal, document: Document) -> None:
            action = "disable" if piece.is_on else "enable"
            segments.switch_segments(session, principal, document, [chosen], action)

        history.write(paper_id, switch)
        piece.is_on = not piece.is_on


def _delete_segment(history: History, paper_id: str, paper: Paper, which: int, _said: str) -> None:
    if paper.pieces and not paper.is_archived:
        chosen = list(paper.pieces)[which % len(paper.pieces)]
        history.write(paper_id, segments.delete_segments, [chosen])
        del paper.pieces[chosen]


ACTS = {
    "replace document": _replace,
    "delete document": _delete,
    "disable or enable document": _disable,
    "archive or un-archive document": _archive,
    "add segment": _add_segment,
    "edit segment": _edit_segment,
    "disable or enable segment": _switch_segment,
    "delete segment": _delete_segment,
}
STEPS = st.tuples(
    st.sampled_from(["add document", "work", "rebuild", *ACTS]), st.integers(0, 5), st.integers(0, 5)
)


@pytest.fixture(scope="module")
def desk(house: Flask) -> tuple[Runtime, Owner]:
    """A program whose jobs wait for the test, and a workspace that knows the vectors of all texts soon."""
    awake: Runtime = house.extensions["runtime"]
    idle = replace(awake, queue=Sleeping())  # type: ignore[arg-type]  # only ever asked to wake
    return idle, make_owner(idle)


EVERYTHING = [
    ("disable or enable segment", 0, 0),
    ("add segment", 0, 2),
    ("edit segment", 1, 3),
    ("work", 0, 0),
    ("delete segment", 1, 0),
    ("add document", 1, 4),
    ("disable or enable segment", 0, 0),
    ("rebuild", 0, 0),
    ("edit segment", 0, 5),
    ("work", 0, 0),
    ("disable or enable document", 0, 0),
    ("archive or un-archive document", 1, 0),
    ("replace document", 0, 1),
    ("disable or enable document", 0, 0),
    ("archive or un-archive document", 1, 0),
    ("delete document", 1, 0),
    ("add document", 3, 2),
    ("work", 0, 0),
    ("delete segment", 1, 0),
]
"""Each step at least once."""


@example(kind="hierarchical_model", steps=EVERYTHING)
@settings(deadline=None, max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow])
@given(kind=st.sampled_from(KINDS), steps=st.lists(STEPS, min_size=5, max_size=12))
def test_history_leaves_what_lives_found_and_nothing_else(
    desk: tuple[Runtime, Owner], kind: str, steps: list[tuple[str, int, int]]
) -> None:
    history = History(*desk, kind)
    for number, step in enumerate([("work", 0, 0), *steps, ("work", 0, 0)]):
        history.act(*step)
        methods = history.methods()
        method = methods[number % len(methods)]
        assert history.found(method) == history.live(), (method, step)

    for method in history.methods():
        assert history.found(method) == history.live(), method
    pieces = sum(len(paper.pieces or ()) for paper in history.papers.values())
    (checked,) = verification.verify(history.runtime, history.dataset)
    assert isinstance(checked, Checked)
    assert checked.segments == pieces
