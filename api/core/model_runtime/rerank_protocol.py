"""The rerank wire of Cohere and Jina that most servers imitate, and that of Text Embeddings Inference.

Boundary: bytes and values only; calls nobody.
"""

import math
from collections.abc import Sequence
from typing import Any

from api.core.model_runtime.types import Ranking, Score
from api.core.model_runtime.whole_answers import reading
from api.core.ports import JSONObject

# Beyond this the logistic function is 0 or 1 to the last bit, and exp() may overflow.
MAX_LOGIT = 40.0


def rerank_body(model: str, query: str, texts: Sequence[str], top_n: int) -> JSONObject:
    """Return the body of a rerank call as Cohere, Jina, vLLM and llama.cpp take it."""
    return {"model": model, "query": query, "documents": list(texts), "top_n": min(top_n, len(texts))}


def tei_rerank_body(query: str, texts: Sequence[str]) -> JSONObject:
    """Return the body of a rerank call of Text Embeddings Inference, which serves one model and ranks all."""
    return {"query": query, "texts": list(texts), "truncate": True}


def read_rerank(content: bytes, count: int) -> Ranking:
    """Return the ranking of an answer for a call of ``count`` texts.

    Raises CompletionFailed or Unusable for an answer that is malformed or ranks
    a text that was not sent.
    """
    with reading("ranking") as answer:
        body = answer.read(content)
        rows = body if isinstance(body, list) else body.get("results") or body["data"]
        return Ranking(to_scores(rows, count), answer.tokens)


def to_scores(rows: Any, count: int) -> list[Score]:
    """Return the scores in the rows of an answer to a call of ``count`` texts, best first.

    Servers that hand out bare logits are told by a score outside 0..1; all of
    the answer's are then taken through the logistic function, which keeps their
    order. Raises ValueError or the like for rows that are malformed or name a
    text that was not sent.
    """
    found = {_index_of(row, count): _score_of(row) for row in rows}
    if any(not 0.0 <= score <= 1.0 for score in found.values()):
        found = {index: _logistic(score) for index, score in found.items()}
    ranked = sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))
    return [Score(index, score) for index, score in ranked]


def _index_of(row: dict[str, Any], count: int) -> int:
    index = row["index"]
    if type(index) is not int or not 0 <= index < count:
        raise ValueError(index)
    return index


def _score_of(row: dict[str, Any]) -> float:
    score = float(row["relevance_score"] if "relevance_score" in row else row["score"])
    if not math.isfinite(score):
        raise ValueError(score)
    return score


def _logistic(logit: float) -> float:
    return 1.0 / (1.0 + math.exp(-max(-MAX_LOGIT, min(MAX_LOGIT, logit))))
