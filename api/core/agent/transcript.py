"""Reads what a model writes in the form of ReAct, piece by piece, however the pieces cut it.

Lines that begin with a label open a section. Pure; each piece costs what it is
long. What must stay true: nothing but the final answer is given out, and none of
the labels.
"""

import re
from dataclasses import dataclass

from api.core.ports import JSONValue
from api.core.text.found_json import find_json

# Models like to set labels in bold, as headings, or in Chinese punctuation.
_LABEL = re.compile(
    r"[ \t>*_#]*(thought|action input|action|observation|final answer)[ \t*_]*[:：][ \t]*(?:\*\*|__)?[ \t]*",
    re.IGNORECASE,
)
_BLOB = re.compile(r"```|\{")
"""Where a JSON object begins."""
_NOTHING = re.compile(r"(?i)\W*(?:none|n/?a|null|nothing)?\W*")
_CUTS = ("observation:", "thought:", "action:", "action input:")
"""What ends a final answer at the beginning of a line: the model goes on for itself."""
_FINAL = "final answer"
_LAST = ("observation", _FINAL)
"""Labels after which another on the same line is text."""
_HALF_MARKS = ("", "*", "_")
"""What may yet become part of the label before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A call as it was written; ``arguments`` where they came as a value of a JSON object."""

    name: str
    written: str
    arguments: JSONValue = None


def _split(line: str) -> tuple[str, str]:
    """Return the last of the labels a line begins with, empty where there is none, and the rest of it."""
    name = ""
    while name not in _LAST and (label := _LABEL.match(line)):
        name, line = label[1].lower(), line[label.end() :]
    return name, line


class Transcript:
    """What one answer of a model comes to. ``is_over`` says that the rest of it is of no use."""

    def __init__(self, *, may_call: bool) -> None:
        self.is_over = False
        self.wanted: Wanted | None = None
        self._may_call = may_call
        self._sections: list[tuple[str, list[str]]] = [("thought", [])]
        self._is_answering = False
        self._line = ""
        self._told_of_line = 0
        self._is_first_line = True
        self._held = ""
        self._answer: list[str] = []

    @property
    def thought(self) -> str:
        """What it wrote before the call or the answer, without labels."""
        texts = ("".join(lines).strip() for name, lines in self._sections if name == "thought")
        return "\n".join(filter(None, texts))

    @property
    def answer(self) -> str:
        """All that was given out."""
        return "".join(self._answer)

    def feed(self, piece: str) -> str:
        """Return what the next piece adds to the final answer."""
        told = []
        for number, part in enumerate(piece.split("\n")):
            if number:
                told.append(self._end_line())
            if self.is_over:
                break
            self._line += part
            told.append(self._answer_more() if self._is_answering else self._look())
        return self._tell("".join(told))

    def close(self) -> str:
        """Return what is left of the answer when nothing more comes; settle what is wanted."""
        rest = ""
        if not self.is_over:
            rest = self._end_line()
        if self._is_answering:
            return self._tell(rest)
        self.wanted = self._find_call() if self._may_call else None
        if self.wanted is not None:
            return ""
        return self._tell(self._plain_answer())

    def _tell(self, text: str) -> str:
        """Return a piece of the answer, which begins and ends with no blank space."""
        if not self._answer:
            text = text.lstrip()
        if text:
            self._answer.append(text)
        return text

    def _look(self) -> str:
        """Look whether the line that is being written opens the answer, or what is not to be read."""
        name, rest = _split(self._line)
        if name == "observation" or (name == _FINAL and self._has_action()):
            self.is_over = True
        elif name == _FINAL and rest not in _HALF_MARKS:
            self._open_answer(rest)
            return self._answer_more()
        return ""

    def _open_answer(self, line: str) -> None:
        self._is_answering, self._is_first_line, self._line = True, True, line

    def _has_action(self) -> bool:
        """Tell whether a call was written that is to be made."""
        return self._may_call and any(
            name == "action" and not _NOTHING.fullmatch("".join(lines)) for name, lines in self._sections
        )

    def _answer_more(self) -> str:
        """Return what may be told of the answer's line, as soon as it can be no label."""
        if not self._is_first_line and not self._told_of_line:
            begun = self._line.lstrip().lower()
            if begun.startswith(_CUTS):
                self.is_over = True
                return ""
            if any(cut.startswith(begun) for cut in _CUTS):
                return ""
        told = self._line[self._told_of_line :]
        self._told_of_line = len(self._line)
        # Blank space at the end waits for what follows it: there may be nothing.
        text = f"{self._held}{told}"
        kept = text.rstrip()
        self._held = text[len(kept) :]
        return kept

    def _end_line(self) -> str:
        """Take in a line that is complete; return what it adds to the answer."""
        if not self._is_answering:
            self._add_line()
            self._line = ""
            return ""
        told = ""
        if self._told_of_line or self._is_first_line or not self._line.lstrip().lower().startswith(_CUTS):
            text = f"{self._held}{self._line[self._told_of_line :]}"
            told = text.rstrip()
            self._held = f"{text[len(told) :]}\n"
        else:
            self.is_over = True
        self._line, self._told_of_line, self._is_first_line = "", 0, False
        return told

    def _add_line(self) -> None:
        name, rest = _split(self._line)
        if not name:
            self._sections[-1][1].append(f"{rest}\n")
        elif name == _FINAL and not self._has_action():
            self._open_answer("")
        else:
            self._sections.append((name, [f"{rest}\n"]))

    def _section(self, wanted: str) -> str:
        return next(("".join(lines).strip() for name, lines in self._sections if name == wanted), "")

    def _find_call(self) -> Wanted | None:
        """Return the call that was written: after labels, or as one JSON object."""
        action, (last, lines) = self._section("action"), self._sections[-1]
        bare = "".join(lines) if last == "thought" and not action else ""
        written = action or bare
        found = find_json(written) if "{" in written else None
        if isinstance(found, dict) and isinstance(found.get("action"), str):
            if bare:
                lines[:] = [_BLOB.split(bare, maxsplit=1)[0]]
            return self._from_json(str(found["action"]), found.get("action_input"))
        first = action.splitlines()[0].strip() if action else ""
        name = first.strip(" \t`*\"'[]()").removesuffix("()")
        if not name or _NOTHING.fullmatch(name):
            return None
        return Wanted(name=name, written=self._section("action input"))

    def _from_json(self, name: str, given: JSONValue) -> Wanted | None:
        if name.strip().lower() == _FINAL:
            self._sections.append((_FINAL, [given if isinstance(given, str) else ""]))
            return None
        return Wanted(name=name.strip(), written=given if isinstance(given, str) else "", arguments=given)

    def _plain_answer(self) -> str:
        """Return what is said for want of a final answer: what the model wrote, without its labels."""
        return self._section(_FINAL) or self.thought or self._section("action input")
