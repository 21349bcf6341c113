"""What of an answer is read aloud, while it is still coming: its sentences, each once, in order.

Boundary: texts; who speaks them is elsewhere (services/read_aloud.py). What must
stay true: a token costs an append, and what was replaced is not begun any more.
"""

from collections.abc import Iterator
from itertools import takewhile

from api.core.apps import config, features
from api.core.events import Event, TextChunk, TextReplaced
from api.core.text.sentences import sentence_spans

MAX_TEXT_CHARS = 40_000
"""What is read aloud of one answer or text, at most."""
PART_CHARS = 600
"""How much is spoken by one call where more sentences are there; one that is longer is still one call."""
ENDS = tuple(".!?。！？；…\n")


def voice_of(switch: config.Switch | features.Speech) -> str:
    """Return the voice an app wants its answers read in, blank where it names none."""
    voice = getattr(switch, "voice", None)
    return voice if isinstance(voice, str) else ""


def is_automatic(switch: config.Switch | features.Speech) -> bool:
    """Tell whether answers are read aloud without being asked to."""
    return switch.enabled and getattr(switch, "autoPlay", None) == "enabled"


class Lines:
    """An answer on its way from who writes it to who speaks it, each on a thread of its own.

    To write is to append to a list; all else is done by the speaker, on its time.
    ``is_cut`` tells that there is more of the answer than is read aloud.
    """

    def __init__(self) -> None:
        self._written: list[TextChunk | TextReplaced] = []
        self._taken = 0
        self._said = ""  # how the answer begins, up to what was taken last
        self._untold = 0  # where of that begins what is being spoken
        self._rest = ""
        self._stands = True
        self.is_cut = False

    def write(self, event: TextChunk | TextReplaced) -> None:
        """Let a text be spoken after all before it, or in its place: then without what is said already."""
        self._written.append(event)

    def next_part(self, *, is_over: bool) -> str:
        """Return what is to be spoken next: whole sentences, blank where there are none yet.

        The last one may still go on, unless the answer ``is_over``, or pauses where a sentence may end.
        """
        self._untold = len(self._said)
        may_go_on = self._hear()
        self._stands = True
        spans = list(sentence_spans(self._rest, 0, len(self._rest)))
        if not is_over and (may_go_on or not self._rest.endswith(ENDS)):
            spans = spans[:-1]
        if not spans:
            return ""
        begin, end = spans[0]
        for _, later in spans[1:]:
            if later - begin <= PART_CHARS:
                end = later
        part = self._rest[begin:end]
        self._untold = len(self._said) + begin
        self._said, self._rest = self._said + self._rest[:end], self._rest[end:]
        return part

    def still_stands(self) -> bool:
        """Tell whether what was taken last has not been replaced since."""
        self._hear()
        return self._stands

    def _hear(self) -> bool:
        """Take in what was written meanwhile, and tell whether there was any."""
        written = self._written[self._taken :]
        self._taken += len(written)
        fresh: list[str] = []
        for event in written:
            if isinstance(event, TextReplaced):
                self._begin_anew(event.text)
                fresh.clear()
            else:
                fresh.append(event.text)
        self._rest += "".join(fresh)
        room = MAX_TEXT_CHARS - len(self._said)
        self.is_cut = self.is_cut or len(self._rest) > room
        self._rest = self._rest[:room]
        return bool(written)

    def _begin_anew(self, text: str) -> None:
        if text.startswith(self._said):
            self._rest = text[len(self._said) :]
            return
        self._stands = False
        alike = min(len(shared_beginning(self._said, text)), self._untold)
        ends = (end for _, end in sentence_spans(text, 0, len(text)) if end <= alike)
        known = max(ends, default=0)
        self._said, self._rest = text[:known], text[known:]


def shared_beginning(one: str, other: str) -> str:
    """Return what two texts begin with, character for character."""
    alike = takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return "".join(char for char, _ in alike)


def heard(events: Iterator[Event], lines: Lines | None) -> Iterator[Event]:
    """Yield the events of an answer that is read aloud, if it is, as it comes."""
    if lines is None:
        return events
    return _heard(events, lines)


def _heard(events: Iterator[Event], lines: Lines) -> Iterator[Event]:
    for event in events:
        if isinstance(event, TextChunk | TextReplaced):
            lines.write(event)
        yield event
