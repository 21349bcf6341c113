"""Texts that must not be said: what people send is checked before a run, what a model says while it speaks.

Boundary: events and texts; what looks at a text is handed in. What must stay
true: a token costs an append, for the answer is looked at a few hundred
characters at a time; and what was found is never told after it was replaced.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from api.core.apps.config import WordAvoidance
from api.core.apps.prompting import to_text
from api.core.events import AgentThought, Event, MessageEnd, RunFinished, RunPaused, TextChunk, TextReplaced
from api.core.ports import Cancel, JSONObject

CHUNK_CHARS = 300
OVERLAP_CHARS = 10_000
"""How much of what was looked at before is looked at again, for what begins there, at most."""
REASON = "output_moderation"

Flags = Callable[[str], bool]
"""Tells whether a text must not be said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moderator:
    """What looks at an app's texts, and what is said in their place; None where a side is not looked at.

    ``overlap_chars`` is how far back something may begin that ends in what is new.
    """

    flags: Flags
    input_preset: str | None
    output_preset: str | None
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
    """Return the moderator of an app whose texts ``flags`` looks at."""
    inputs, outputs = avoidance.config.inputs_config, avoidance.config.outputs_config
    return Moderator(
        flags=flags,
        input_preset=inputs.preset_response if inputs.enabled else None,
        output_preset=outputs.preset_response if outputs.enabled else None,
        overlap_chars=_overlap(avoidance),
    )


def _overlap(avoidance: WordAvoidance) -> int:
    """Return how far back to look: no further than the longest keyword, for each look costs all of them."""
    if avoidance.type != "keywords":
        return OVERLAP_CHARS
    return min(OVERLAP_CHARS, max(map(len, _keywords(avoidance)), default=0))


def screen(
    moderator: Moderator, cancel: Cancel, inputs: JSONObject, query: str, run: Callable[[], Iterator[Event]]
) -> Iterator[Event]:
    """Yield the events of ``run`` with an answer that may be said, a canned one for what may not be asked."""
    asked = "\n".join(filter(None, [*map(to_text, inputs.values()), query]))
    if moderator.input_preset is not None and asked and moderator.flags(asked):
        yield TextChunk(text=moderator.input_preset)
        yield MessageEnd(usage=None)
    elif moderator.output_preset is None:
        yield from run()
    else:
        yield from _screen_output(run(), moderator, moderator.output_preset, cancel)


def _screen_output(
    events: Iterator[Event], moderator: Moderator, preset: str, cancel: Cancel
) -> Iterator[Event]:
    """Yield the events; once the answer must not be said it is replaced, and its run stopped."""
    seen = ""
    fresh: list[str] = []
    fresh_chars = 0
    for event in events:
        if isinstance(event, AgentThought) and event.thought:
            # Shown beside the answer, so it is looked at as if it were of it, before it is told.
            fresh.append(event.thought)
            fresh_chars += len(event.thought)
        elif isinstance(event, TextChunk | TextReplaced):
            if isinstance(event, TextReplaced):
                seen, fresh, fresh_chars = "", [], 0
            fresh.append(event.text)
            fresh_chars += len(event.text)
            yield event
            if fresh_chars < CHUNK_CHARS:
                continue
        elif not (fresh and isinstance(event, RunFinished | RunPaused | MessageEnd)):
            yield event
            continue
        seen = (seen + "".join(fresh))[-fresh_chars - moderator.overlap_chars :]
        fresh, fresh_chars = [], 0
        is_flagged = moderator.flags(seen)
        if is_flagged:
            yield TextReplaced(text=preset, reason=REASON)
            cancel.set()
        if not isinstance(event, TextChunk | TextReplaced):
            yield _without_answer(event, preset) if is_flagged else event
        if is_flagged:
            yield from _end(events, preset)
            return


def _end(events: Iterator[Event], preset: str) -> Iterator[Event]:
    """Yield what is left of a run that is being stopped, but for what it still says."""
    for event in events:
        if not isinstance(event, TextChunk | TextReplaced):
            yield _without_answer(event, preset)


def _without_answer(event: Event, preset: str) -> Event:
    """Return an end that does not tell the answer that was replaced."""
    match event:
        case RunFinished() | RunPaused() if "answer" in event.outputs:
            return replace(event, outputs={**event.outputs, "answer": preset})
        case AgentThought():
            return replace(event, thought="")
        case MessageEnd():
            return replace(event, outcome="finished")
    return event
