"""Tells which of the offered tools a question plainly asks for, by its words and by nothing else.

Boundary: pure and deterministic, no model and no weights, like the quotes it
stands beside. A tool is called where

* the question holds an arithmetic expression and the tool needs an
  ``expression`` and nothing else,
* the tool needs nothing, and the words of its name stand in the question
  (``current_time``: "time"),
* it needs a ``query`` and nothing else, and no other tool is meant: then it is
  given the question.

In every other case there is no call: nothing is guessed.
"""

import re
from collections.abc import Callable, Sequence

import orjson

from api.core.model_runtime.types import ToolCall, ToolSpec
from api.core.ports import JSONObject
from api.core.text.words import terms

# A number, then operators and more numbers; a bare hyphen is more likely a date's or a name's.
_NUMBER = r"\(*[-+]?\d+(?:\.\d+)?\)*"
_ARITHMETIC = re.compile(rf"{_NUMBER}(?:(?:\s*(?:\*\*|//|[+*/%^×÷])\s*|\s+[-−]\s+){_NUMBER})+")
_SIGNS = str.maketrans({"×": "*", "÷": "/", "−": "-"})
_IDLE_WORDS = frozenset({"current", "fetch", "get", "list", "now", "read", "tool"})
"""Words of tools' names that say nothing of what a question is about."""

Fill = Callable[[str, ToolSpec], JSONObject | None]


def choose_call(question: str, tools: Sequence[ToolSpec]) -> ToolCall | None:
    """Return the call a question plainly asks for; None where it asks for none."""
    for fill in (_calculation, _named, _query):
        for tool in tools:
            given = fill(question, tool)
            if given is not None:
                return ToolCall(
                    id=f"call_{tool.name}", name=tool.name, arguments=orjson.dumps(given).decode()
                )
    return None


def _calculation(question: str, tool: ToolSpec) -> JSONObject | None:
    found = _ARITHMETIC.search(question)
    if found is None or _needed(tool) != ["expression"]:
        return None
    expression = found[0].translate(_SIGNS)
    is_balanced = expression.count("(") == expression.count(")")
    return {"expression": expression if is_balanced else re.sub(r"[()]", "", expression)}


def _named(question: str, tool: ToolSpec) -> JSONObject | None:
    words = set(terms(re.sub(r"[_-]+", " ", tool.name))) - _IDLE_WORDS
    is_meant = bool(words) and words <= set(terms(question))
    return {} if is_meant and not _needed(tool) else None


def _query(question: str, tool: ToolSpec) -> JSONObject | None:
    return {"query": question} if question.strip() and _needed(tool) == ["query"] else None


def _needed(tool: ToolSpec) -> list[str]:
    """Return the parameters that must be given."""
    required = tool.parameters.get("required")
    return [str(name) for name in required] if isinstance(required, list) else []
