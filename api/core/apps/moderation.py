"""Texts that must not be said: what people send is checked before a run, what a model says while it speaks.

Boundary: events and texts; what looks at a text is handed in. What must stay
true: a token costs an append, for the answer is looked at a few hundred
characters at a time; and what was found is never told after it was replaced.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from api.core.apps.config import WordAvoidance
from api.core.apps.prompting import to_text
from api.core.apps.speech import Lines, heard, shared_beginning
from api.core.events import AgentThought, Event, MessageEnd, RunFinished, RunPaused, TextChunk, TextReplaced
from api.core.ports import Cancel, JSONObject

CHUNK_CHARS = 300
OVERLAP_CHARS = 10_000
"""How much of what was looked at before is looked at again, for what begins there, at most."""
REASON = "output_moderation"

Flags = Callable[[str], bool]
"""Tells whether a text must not be said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What an app is asked: the values of its variables, and the query."""

    inputs: JSONObject
    query: str = ""

    @property
    def text(self) -> str:
        """All of it as one text."""
        return "\n".join(filter(None, [*map(to_text, self.inputs.values()), self.query]))


@dataclass(frozen=True, slots=True)
class Refused:
    """A text may not stand; ``preset`` is said in its place."""

    preset: str


ChecksInput = Callable[[Asked], Asked | Refused]
"""Returns what may be asked: the same, or the same with what must not be said covered."""
ChecksOutput = Callable[[str], str | Refused]
"""Returns what may be said: the same, or the same with what must not be said covered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moderator:
    """What looks at an app's texts; None where a side is not looked at.

    ``overlap_chars`` is how far back something may begin that ends in what is new.
    """

    checks_input: ChecksInput | None
    checks_output: ChecksOutput | None
    overlap_chars: int = OVERLAP_CHARS


def flags_keywords(avoidance: WordAvoidance) -> Flags:
    """Return what finds any of the keywords, one a line, whatever its case."""
    words = _keywords(avoidance)

    def flags(text: str) -> bool:
        folded = text.casefold()
        return any(word in folded for word in words)

    return flags


def _keywords(avoidance: WordAvoidance) -> list[str]:
    return [word.strip().casefold() for word in avoidance.config.keywords.splitlines() if word.strip()]


def to_moderator(avoidance: WordAvoidance, flags: Flags) -> Moderator:
    """Return the moderator of an app whose texts ``flags`` looks at; what it finds is refused."""
    inputs, outputs = avoidance.config.inputs_config, avoidance.config.outputs_config

    def check_input(asked: Asked) -> Asked | Refused:
        return Refused(inputs.preset_response) if flags(asked.text) else asked

    def check_output(text: str) -> str | Refused:
        return Refused(outputs.preset_response) if flags(text) else text

    return Moderator(
        checks_input=check_input if inputs.enabled else None,
        checks_output=check_output if outputs.enabled else None,
        overlap_chars=_overlap(avoidance),
    )


def _overlap(avoidance: WordAvoidance) -> int:
    """Return how far back to look: no further than the longest keyword, for each look costs all of them."""
    if avoidance.type != "keywords":
        return OVERLAP_CHARS
    return min(OVERLAP_CHARS, max(map(len, _keywords(avoidance)), default=0))


def say(text: str) -> Iterator[Event]:
    """Yield a canned answer."""
    yield TextChunk(text=text)
    yield MessageEnd(usage=None)


def screen(
    moderator: Moderator,
    cancel: Cancel,
    asked: Asked,
    run: Callable[[Asked], Iterator[Event]],
    refuse: Callable[[str], Iterator[Event]] | None = None,
    *,
    lines: Lines | None = None,
) -> Iterator[Event]:
    """Yield the events of ``run`` with an answer that may be said, a canned one for what may not be asked.

    A workflow has outputs and no answer: ``refuse`` is how its run says that it does not begin.
    ``lines`` take what may be read aloud: what was looked at, where it is.
    """
    checked: Asked | Refused = asked
    if moderator.checks_input is not None and asked.text:
        checked = moderator.checks_input(asked)
    if isinstance(checked, Refused):
        yield from heard((refuse or say)(checked.preset), lines)
    elif moderator.checks_output is None:
        yield from heard(run(checked), lines)
    else:
        screening = _Screening(
            checks=moderator.checks_output,
            overlap_chars=moderator.overlap_chars,
            cancel=cancel,
            has_outputs=refuse is not None,
            lines=lines,
        )
        yield from screening.watch(run(checked))


@dataclass(slots=True, kw_only=True)
class _Screening:
    """An answer while it is said: ``seen`` was looked at last, ``before`` stands in front of it.

    ``refusal`` is what the whole answer was replaced by, ``is_covered`` whether
    parts of it were. What ``has_outputs`` is a workflow, whose outputs need not
    have been said before. ``lines`` take what was looked at and may be said;
    after a text that ``is_anew`` in place of another.
    """

    checks: ChecksOutput
    overlap_chars: int
    cancel: Cancel
    has_outputs: bool
    lines: Lines | None = None
    is_anew: bool = False
    before: list[str] = field(default_factory=list)
    seen: str = ""
    fresh: list[str] = field(default_factory=list)
    fresh_chars: int = 0
    refusal: Refused | None = None
    is_covered: bool = False
    thought: tuple[str, str | Refused] = ("", "")

    def watch(self, events: Iterator[Event]) -> Iterator[Event]:
        """Yield the events; once the answer must not be said it is replaced, and its run stopped."""
        for event in events:
            match event:
                case TextChunk() | TextReplaced() if self.refusal is not None:
                    continue
                case TextChunk() | TextReplaced():
                    self._add(event)
                    yield event
                    if self.fresh_chars >= CHUNK_CHARS:
                        yield from self._look()
                case RunFinished() | RunPaused() | MessageEnd():
                    if self.fresh:
                        yield from self._look()
                    yield from self._end(event)
                case AgentThought() if event.thought:
                    yield from self._tell_thought(event)
                case _:
                    yield event

    def _tell_thought(self, event: AgentThought) -> Iterator[Event]:
        """Look at what is shown beside the answer before it is told; what was looked at is not again."""
        if self.refusal is None and event.thought != self.thought[0]:
            self.thought = (event.thought, self.checks(event.thought))
        checked = self.thought[1]
        if self.refusal is None and isinstance(checked, Refused):
            yield self._refuse(checked)
        told = checked if self.refusal is None and isinstance(checked, str) else ""
        yield replace(event, thought=told)

    def _add(self, event: TextChunk | TextReplaced) -> None:
        if isinstance(event, TextReplaced):
            if self.lines is not None:
                self.lines.write(TextReplaced(text=shared_beginning(self._answer(), event.text)))
            self.before, self.seen, self.fresh, self.fresh_chars = [], "", [], 0
            self.is_anew = True
        self.fresh.append(event.text)
        self.fresh_chars += len(event.text)

    def _look(self) -> Iterator[Event]:
        """Look at what is new and at what it may have begun in; yield what takes the answer's place."""
        fresh = "".join(self.fresh)
        text = self.seen + fresh
        cut = max(0, len(text) - self.fresh_chars - self.overlap_chars)
        self.before.append(text[:cut])
        self.seen, self.fresh, self.fresh_chars = text[cut:], [], 0
        checked = self.checks(self.seen)
        if isinstance(checked, Refused):
            yield self._refuse(checked)
            return
        passed: TextChunk | TextReplaced = TextReplaced(text=fresh) if self.is_anew else TextChunk(text=fresh)
        is_changed = checked != self.seen
        if is_changed:
            self.seen, self.is_covered = checked, True
            passed = TextReplaced(text=self._answer(), reason=REASON)
        self.is_anew = False
        if self.lines is not None:
            self.lines.write(passed)
        if is_changed:
            yield passed

    def _refuse(self, refused: Refused) -> Event:
        self.refusal = refused
        if self.lines is not None:
            self.lines.write(TextReplaced(text=""))  # what is being spoken is not told after this
        self.cancel.set()
        return TextReplaced(text=refused.preset, reason=REASON)

    def _answer(self) -> str:
        return "".join([*self.before, self.seen])

    def _end(self, event: RunFinished | RunPaused | MessageEnd) -> Iterator[Event]:
        """Yield an end that does not tell what was replaced."""
        match event:
            case MessageEnd():
                yield event if self.refusal is None else replace(event, outcome="finished")
            case _ if self.has_outputs:
                yield from self._end_workflow(event)
            case _ if "answer" in event.outputs and self.refusal is not None:
                yield replace(event, outputs={**event.outputs, "answer": self.refusal.preset})
            case _ if "answer" in event.outputs and self.is_covered:
                yield replace(event, outputs={**event.outputs, "answer": self._answer()})
            case _:
                yield event

    def _end_workflow(self, event: RunFinished | RunPaused) -> Iterator[Event]:
        """Yield the end of a workflow, its outputs looked at; one that may not stand takes all along."""
        outputs = dict(event.outputs)
        for name, value in event.outputs.items() if self.refusal is None else ():
            text = to_text(value)
            checked = self.checks(text) if text else text
            if isinstance(checked, Refused):
                yield self._refuse(checked)
                break
            if checked != text:
                outputs[name] = checked
        if self.refusal is not None:
            preset = self.refusal.preset
            event = replace(event, outputs=dict.fromkeys(outputs, preset))
            yield replace(event, status="stopped", error=preset) if isinstance(event, RunFinished) else event
        else:
            yield replace(event, outputs=outputs)
