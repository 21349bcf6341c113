"""Answers read aloud while they come: their sentences become sound, on a thread of its own, in the run's log.

What must stay true: no token waits for its sound, no fault of the sound is one
of the answer, and it ends in its time: at once where the run fails or is
stopped, else ``speech_timeout_s`` after the answer.
Wire: docs/wire/streaming.md#speech.
"""

import logging
import threading
from base64 import b64encode
from collections.abc import Callable, Generator
from contextlib import closing
from contextvars import copy_context
from functools import partial

from api.core.apps.config import Switch
from api.core.apps.features import Speech
from api.core.apps.spec import AppSpec
from api.core.apps.speech import Lines, is_automatic, voice_of
from api.core.events import ErrorOccurred, Event, EventBatch, EventLog, RunHeader, SpeechChunk, SpeechEnd
from api.core.http import Cancelled
from api.core.model_runtime.types import ModelRef, ModelType
from api.core.ports import Cancel
from api.errors import AppError, ProviderNotConfigured
from api.runtime import Runtime
from api.services import providers
from api.services.asks import Ask
from api.services.ledger import Tally

logger = logging.getLogger(__name__)

LISTEN_EVERY_S = 0.1
END_S = 1.0
"""How long the thread has to end once it was told to; what it says after that is not heard."""


def wanted(tally: Tally, app: AppSpec, ask: Ask, switch: Switch | Speech) -> "ReadAloud | None":
    """Return what reads an answer aloud; None where its app does not want that, or nobody would hear it.

    What it takes of a model is added to the tally of the run.
    """
    if not (ask.is_watched and ask.may_be_spoken and is_automatic(switch)):
        return None
    return ReadAloud(tally, app.providers_version, voice=voice_of(switch))


def speaking_model(runtime: Runtime, tenant_id: str) -> ModelRef:
    """Return a workspace's model that speaks. Raises ProviderNotConfigured where it has none."""
    with runtime.reading() as session:
        ref = providers.default_speech_model(runtime, session, tenant_id, ModelType.TTS)
    if ref is None:
        raise ProviderNotConfigured("No model provider of the workspace turns text into speech.")
    return ref


class ReadAloud:
    """Reads one answer aloud. Implements EventLog for its run: what that tells, with sound between.

    The run writes the text that may be spoken to ``lines``, and its events here.
    """

    def __init__(self, tally: Tally, providers_version: int, *, voice: str) -> None:
        self.lines = Lines()
        self._tally = tally
        self._providers_version = providers_version
        self._voice = voice
        self._speaks: Callable[[str], Generator[bytes]] | None = None
        self._cancel = Cancel()
        self._is_written = threading.Event()
        self._is_over = False
        self._told = 0
        self._lock = threading.Lock()  # a log has one writer at a time
        self._log: EventLog
        self._thread: threading.Thread
        self._run: Cancel

    def begin(self, log: EventLog, run: Cancel) -> EventLog:
        """Start to speak into a log, until the ``run`` is stopped; return what the run writes to."""
        self._log, self._run = log, run
        run.on_cancel(self._cancel.set)
        name = f"speech-{log.header.task_id}"
        self._thread = threading.Thread(
            target=copy_context().run, args=(self._speak,), name=name, daemon=True
        )
        self._thread.start()
        return self

    @property
    def header(self) -> RunHeader:
        """Who runs what."""
        return self._log.header

    def append(self, event: Event) -> None:
        """Add one event of the run; after an error there is no sound."""
        with self._lock:
            self._is_over = self._is_over or isinstance(event, ErrorOccurred)
            self._log.append(event)
        if self._is_over:
            self._cancel.set()

    def close(self) -> None:
        """End the log once all that was written is said, or time is up."""
        self._is_written.set()
        if not self._cancel.is_set():
            self._thread.join(min(self._tally.runtime.limits.speech_timeout_s, self._run.remaining_s()))
            if self._thread.is_alive():
                logger.warning("answer not read aloud to its end", extra={"task_id": self.header.task_id})
        self.end()
        self._log.close()

    def read(self, after: int, timeout_s: float) -> EventBatch:
        """Return the events numbered above ``after``; see EventLog."""
        return self._log.read(after, timeout_s)

    def end(self) -> int:
        """End the sound here; return how many events of the log it took."""
        self._cancel.set()
        self._thread.join(END_S)
        self._tell(SpeechEnd())
        return self._told

    def _tell(self, event: SpeechChunk | SpeechEnd) -> bool:
        """Add one event of the sound, unless there is no more of it."""
        with self._lock:
            if self._is_over:
                return False
            if isinstance(event, SpeechChunk) and not self.lines.still_stands():
                return False
            self._is_over = isinstance(event, SpeechEnd)
            self._log.append(event)
            self._told += 1
        return True

    def _speak(self) -> None:
        """Speak what comes, until the answer is over; whatever goes wrong ends the sound alone."""
        try:
            while part := self._next_part():
                self._say(part)
        except Cancelled:
            return
        except AppError as exc:
            logger.warning("answer not read aloud: %s", exc.code, extra={"task_id": self.header.task_id})
        if self.lines.is_cut:
            logger.warning("answer too long to be read aloud", extra={"task_id": self.header.task_id})

    def _next_part(self) -> str:
        """Wait for the next sentences; blank where there are no more."""
        while not self._cancel.is_set():
            is_over = self._is_written.is_set()  # asked first: nothing is written once it is
            part = self.lines.next_part(is_over=is_over)
            if part or is_over:
                return part
            self._is_written.wait(LISTEN_EVERY_S)
        return ""

    def _say(self, part: str) -> None:
        """Tell the sound of some sentences, as far as they still stand."""
        if not any(map(str.isalnum, part)):
            return  # a line of Markdown, which some models fail at
        if self._speaks is None:
            self._speaks = self._open_model()
        with closing(self._speaks(part)) as spoken:
            for piece in spoken:
                if not self._tell(SpeechChunk(audio=b64encode(piece).decode())):
                    return

    def _open_model(self) -> Callable[[str], Generator[bytes]]:
        tally = self._tally
        models = providers.model_runtime(tally, self._providers_version)
        ref = speaking_model(tally.runtime, tally.tenant_id)
        return partial(models.speak, tally.tenant_id, ref, voice=self._voice, cancel=self._cancel)
