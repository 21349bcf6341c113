"""Sets of passages and questions with known answers, and how well a ranking finds them."""

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(os.environ.get("BENCH_DATA") or Path(__file__).parents[3] / "shared/data/retrieval")
"""Where the sets are, if they are: beside this repository, or where BENCH_DATA says."""

BASELINES = {
    "scifact-train-2500": 0.741,
    "xquad-en": 0.969,
    "xquad-zh": 0.963,
    "cmrc2018-trial": 0.987,
    "drcd-dev": 0.971,
}
"""nDCG@10 of plain BM25 on the sets, as measured elsewhere; where there are two figures, the higher."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """Passages and questions by id, and for each question the relevant passages with their grade."""

    name: str
    passages: Mapping[str, str]
    questions: Mapping[str, str]
    relevant: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Quality:
    """Means over all questions, of the first ten passages found."""

    ndcg: float
    recall: float


def is_here(name: str) -> bool:
    """Tell whether the set is on this machine."""
    return (FOLDER / name / "corpus.jsonl").exists()


def load_corpus(name: str) -> Corpus:
    """Return a set; a passage is its title and its text."""
    relevant: dict[str, dict[str, float]] = {}
    for line in (FOLDER / name / "qrels.tsv").read_text().splitlines():
        question, passage, grade = line.split()
        relevant.setdefault(question, {})[passage] = float(grade)
    return Corpus(
        name=name,
        passages={row["id"]: f"{row['title']}\n{row['text']}" for row in _rows(name, "corpus.jsonl")},
        questions={row["id"]: row["text"] for row in _rows(name, "queries.jsonl") if row["id"] in relevant},
        relevant=relevant,
    )


def measure(corpus: Corpus, find: Callable[[str], Sequence[str]], *, every: int = 1) -> Quality:
    """Return how well ``find`` (question id to passage ids, best first) answers the questions."""
    questions = list(corpus.questions)[::every]
    gains, recalls = [], []
    for question in questions:
        grades = corpus.relevant[question]
        found = find(question)[:10]
        best = _gain(sorted(grades.values(), reverse=True)[:10])
        gains.append(_gain([grades.get(passage, 0.0) for passage in found]) / best)
        recalls.append(len(grades.keys() & set(found)) / len(grades))
    return Quality(math.fsum(gains) / len(questions), math.fsum(recalls) / len(questions))


def _gain(grades: Sequence[float]) -> float:
    return math.fsum(grade / math.log2(place + 2) for place, grade in enumerate(grades))


def _rows(name: str, file: str) -> Iterator[dict[str, str]]:
    with (FOLDER / name / file).open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)
