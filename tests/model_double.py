"""A server of models that reports other token counts with each answer, and remembers what it reported.

It speaks the OpenAI wire and that of rerankers. ``Double.told`` is what a ledger must come to.
"""

import itertools
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from tests.servers import Reply, Seen, Step

Told: TypeAlias = Counter[tuple[str, str]]
"""Calls, and tokens of prompts and answers, by model and by what of them."""

SIZE = 8
"""Numbers in a vector."""


class Double:
    """Answers whatever it is asked; a model named ``…-broken`` reports its tokens and then is of no use."""

    def __init__(self, say: Callable[[Any], str]) -> None:
        self.told: Told = Counter()
        self._say = say
        self._prompt = itertools.count(1_001, 17)
        self._answer = itertools.count(101, 7)
        self._answers = {
            "chat/completions": self._chat,
            "embeddings": self._embed,
            "rerank": self._rerank,
            "audio/speech": self._speak,
            "moderations": self._moderate,
        }

    def __call__(self, seen: Seen) -> Reply:
        """Answer a request."""
        path = seen.target.partition("?")[0].removeprefix("/v1/")
        if path == "models":
            return Reply.of_json({"object": "list", "data": []})
        if path == "audio/transcriptions":
            return self._hear(seen.body)
        return self._answers[path](seen.json)

    def _chat(self, body: Any) -> Reply:
        """Answer in a stream that reports as it goes on, and at the end what the whole took."""
        model = body["model"]
        usage = self._report(model, "prompt_tokens", "completion_tokens")
        told = {"choices": [], "usage": usage}
        text = {"choices": [{"index": 0, "delta": {"content": self._say(body)}, "finish_reason": None}]}
        if model.endswith("-stopped"):
            return Reply.of_events(text, told, self._dot(), Step.HANG)
        if model.endswith("-broken"):
            return Reply.of_events(text, told, Step.DROP)
        last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        early = {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}
        return Reply.of_events(text, early, last, told)

    def _dot(self) -> Any:
        return {"choices": [{"index": 0, "delta": {"content": "."}, "finish_reason": None}]}

    def _embed(self, body: Any) -> Reply:
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        usage = self._report(body["model"], "prompt_tokens")
        rows = [{"index": at, "embedding": _vector(text)} for at, text in enumerate(texts)]
        if body["model"].endswith("-broken"):
            rows = rows[1:]
        return Reply.of_json({"data": rows, "usage": usage})

    def _rerank(self, body: Any) -> Reply:
        usage = self._report(body["model"], "total_tokens")
        rows = [{"index": at, "relevance_score": 0.9} for at in range(len(body["documents"]))]
        return Reply.of_json({"results": rows, "usage": usage})

    def _hear(self, form: bytes) -> Reply:
        named = re.search(rb'name="model"\r\n\r\n(.+?)\r\n', form)
        assert named is not None
        usage = self._report(named[1].decode(), "input_tokens", "output_tokens")
        return Reply.of_json({"text": "What is counted?", "usage": {"type": "tokens", **usage}})

    def _speak(self, body: Any) -> Reply:
        self._count(body["model"], 0, 0)
        return Reply(body=b"ID3" + b"x" * 100)

    def _moderate(self, body: Any) -> Reply:
        self._count(body["model"], 0, 0)
        return Reply.of_json({"results": [{"flagged": False}]})

    def _report(self, model: str, *names: str) -> dict[str, int]:
        """Return a usage of new figures under the names a vendor has for them."""
        figures = [next(counter) for counter, _ in zip((self._prompt, self._answer), names, strict=False)]
        self._count(model, *figures, *([0] * (2 - len(figures))))
        return dict(zip(names, figures, strict=True))

    def _count(self, model: str, prompt: int, answer: int) -> None:
        self.told.update({(model, "calls"): 1, (model, "prompt"): prompt, (model, "answer"): answer})


def to_told(rows: list[dict[str, Any]]) -> Told:
    """Return what rows of the ledger come to."""
    told: Told = Counter()
    for row in rows:
        told[row["model"], "calls"] += row["calls"]
        told[row["model"], "prompt"] += row["prompt_tokens"]
        told[row["model"], "answer"] += row["completion_tokens"]
    return told


def says(*answers: tuple[str, str]) -> Callable[[Any], str]:
    """Return what answers a prompt in which one of the words stands with what belongs to it."""

    def say(body: Any) -> str:
        prompt = json.dumps(body["messages"], ensure_ascii=False)
        return next((answer for word, answer in answers if word in prompt), "Seven ships.")

    return say


def _vector(text: str) -> list[float]:
    letters: Iterator[int] = (text.lower().count(chr(97 + place)) for place in range(SIZE))
    return [1.0 + count for count in letters]
