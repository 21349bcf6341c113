"""Tells the thinking that some models write into their answers from the answers."""

from typing import Literal

OPENING, CLOSING = "<think>", "</think>"


class ThinkSplitter:
    """Splits a streamed text at ``<think>…</think>``, however the pieces cut the tags.

    Only a tag that opens the text counts, so that an answer may speak of tags;
    a lone closing tag there, left by templates that open it themselves, is
    dropped. Blank space after the thinking is dropped too.
    """

    def __init__(self) -> None:
        self._state: Literal["start", "thinking", "after", "answer"] = "start"
        self._held = ""

    def feed(self, text: str) -> tuple[str, str]:
        """Return what the next piece adds to the answer, and to the thinking."""
        if self._state == "answer":
            return text, ""
        if self._state == "after":
            text = text.lstrip()
            self._state = "answer" if text else "after"
            return text, ""
        if self._state == "thinking":
            return self._think(self._held + text)
        return self._start(self._held + text)

    def rest(self) -> tuple[str, str]:
        """Return what was held back for a tag that never came."""
        held, self._held = self._held, ""
        return ("", held) if self._state == "thinking" else (held, "")

    def _start(self, text: str) -> tuple[str, str]:
        opening = text.lstrip()
        self._held = ""
        if opening.startswith(OPENING):
            self._state = "thinking"
            return self._think(opening.removeprefix(OPENING))
        if opening.startswith(CLOSING):
            self._state = "after"
            return self.feed(opening.removeprefix(CLOSING))
        if OPENING.startswith(opening) or CLOSING.startswith(opening):
            self._held = text
            return "", ""
        self._state = "answer"
        return text, ""

    def _think(self, text: str) -> tuple[str, str]:
        thought, closing, answer = text.partition(CLOSING)
        self._held = ""
        if closing:
            self._state = "after"
            return self.feed(answer)[0], thought
        cut = max(n for n in range(len(CLOSING)) if text.endswith(CLOSING[:n]))
        self._held = text[len(text) - cut :]
        return "", text[: len(text) - cut]


class ThinkJoiner:
    """Writes a model's thinking back into its streamed answer, between the tags it came in."""

    def __init__(self) -> None:
        self._is_thinking = False

    def feed(self, text: str, thought: str) -> str:
        """Return what the next step adds to the text; its thought comes first."""
        said = thought
        if thought and not self._is_thinking:
            self._is_thinking = True
            said = f"{OPENING}\n{thought}"
        return f"{said}{self.rest()}{text}" if text else said

    def rest(self) -> str:
        """Return the closing tag where one is still missing."""
        if not self._is_thinking:
            return ""
        self._is_thinking = False
        return f"\n{CLOSING}\n\n"
