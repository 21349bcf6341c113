"""What the engines need from the outside, as protocols; backends implement them.

Boundary: names no technology. Values crossing a port are bytes, strings and
JSON, so that an in-memory twin is as honest as the real thing.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import BinaryIO, Protocol, TypeAlias, TypeVar

JSONValue: TypeAlias = "bool | int | float | str | list[JSONValue] | dict[str, JSONValue] | None"
JSONObject: TypeAlias = dict[str, JSONValue]

T = TypeVar("T")


class Storage(Protocol):
    """Files by key. Keys are made by the server: ``[a-z0-9/._-]+``, never a client's name."""

    def put(self, key: str, source: BinaryIO) -> int:
        """Store the bytes of ``source`` from its position on; return their count.

        All or nothing: a reader never sees half a file. Replaces what was there.
        Raises Unavailable when the store is out of space or out of reach.
        """
        ...

    def open(self, key: str) -> BinaryIO:
        """Return a binary reader at position 0; the caller closes it. Raises NotFound."""
        ...

    def delete(self, key: str) -> None:
        """Remove the file; no error when it is not there."""
        ...

    def exists(self, key: str) -> bool:
        """Tell whether the file is there."""
        ...

    def all_keys(self) -> Iterator[str]:
        """Yield the keys of all files, in no order; of what comes or goes meanwhile, any or none."""
        ...


class Cache(Protocol):
    """Short-lived values shared by the processes that serve together."""

    def get(self, key: str) -> bytes | None:
        """Return the value, or None when it is absent or expired."""
        ...

    def set(self, key: str, value: bytes, ttl_s: float) -> None:
        """Store the value for ``ttl_s`` seconds."""
        ...

    def add(self, key: str, value: bytes, ttl_s: float) -> bool:
        """Store the value only if the key is free; True when it was. The basis of a lock."""
        ...

    def increment(self, key: str, amount: int, ttl_s: float) -> int:
        """Add ``amount`` atomically to a counter that starts at 0; return the sum.

        Each call renews the counter's life of ``ttl_s`` seconds.
        """
        ...

    def delete(self, key: str) -> None:
        """Forget the key; no error when it is not there."""
        ...

    def take(self, key: str, member: str, limit: int, ttl_s: float) -> bool:
        """Take one of the ``limit`` places at ``key``, which holds no value; False when all are taken.

        The place is free again when its ``member`` gives it back, or ``ttl_s``
        seconds from now whatever others do meanwhile.
        """
        ...

    def give(self, key: str, member: str) -> None:
        """Give the member's place back; no error when it has none."""
        ...


class Queue(StrEnum):
    """What a job waits in. Each has places of its own, so that slow jobs never hold up short ones."""

    DEFAULT = "default"
    TITLES = "titles"
    INDEXING = "indexing"
    SUMMARIES = "summaries"
    CRAWLS = "crawls"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """Something done again and again, every ``every_s`` seconds and at the start.

    A shared one is done by some worker for the whole installation, and must bear
    being done by several at once; any other by each serving process for itself.
    """

    name: str
    every_s: float
    call: Callable[[], object]
    is_shared: bool


class TaskQueue(Protocol):
    """Wakes a worker. The job itself is a row (services/jobs.py), so a lost wake-up loses nothing."""

    def enqueue(self, job_id: str, *, queue: str, delay_s: float = 0.0) -> None:
        """Ask some worker to run the job row ``job_id`` after ``delay_s`` seconds, once or more.

        Never raises and never waits; while the broker is away the wake-up is lost.
        """
        ...

    def start(self, run: Callable[[str], None], ticks: Sequence[Tick]) -> None:
        """Serve from now on: call the ticks of this process, ``run`` jobs and call the shared ticks.

        Where the workers are processes of their own, those do the last two.
        """
        ...

    def drain(self) -> None:
        """Run no more jobs here; those that run, and the ticks of this process, go on."""
        ...

    def stop(self, timeout_s: float) -> bool:
        """Start nothing more; wait up to ``timeout_s`` for what is running, tell whether all of it ended."""
        ...


class Offload(Protocol):
    """Runs native work (numpy, the embedding engine, heavy imports) off the event loop."""

    def call(self, fn: Callable[..., T], *args: object, timeout_s: float) -> T:
        """Return ``fn(*args)``; other work goes on meanwhile. Raises TimeoutError after ``timeout_s``.

        What ``fn`` raises is raised here. A call that timed out is not killed,
        only no longer waited for.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """A mail to one person: plain text, UTF-8. ``text`` may hold a secret, so it is never logged."""

    to: str
    subject: str
    text: str = field(repr=False)


class Mailer(Protocol):
    """Sends mail."""

    def send(self, mail: Mail) -> None:
        """Hand a mail to the mail server; raises Unavailable where that does not take it now."""
        ...


class Extractor(Protocol):
    """Turns documents into text, each apart from the server and under limits of its own."""

    def extract(self, content: BinaryIO, extension: str, *, cancel: "Cancel") -> str:
        """Return the text of the document read from ``content``'s position on.

        ``extension`` is in lower case without its dot. The text is Markdown
        where the format has headings, never empty, its lines end in LF and it
        holds no NUL. Raises ExtractionFailed (api/core/rag/extraction.py) with a
        sentence for the document's owner: encrypted, damaged, without text, of
        an extension that is not read, over a limit of time, memory or size.
        When ``cancel`` is set the work ends within 300 ms, with the cancel's
        failure or ExtractionFailed. Raises Unavailable when no work can be
        started. Whatever a document does, the next one is read.
        """
        ...


class CodeFailed(Exception):
    """Code of a workflow's author failed, or met a limit; the message names which, for the author."""


class CodeSandbox(Protocol):
    """Runs code and templates of workflow authors, each apart from the server and under limits of its own.

    Nothing of the server is visible there: no environment, no files, no network,
    nothing of other runs.
    """

    def run(
        self, language: str, code: str, inputs: JSONObject, *, timeout_s: float, cancel: "Cancel"
    ) -> JSONObject:
        """Return what ``main`` of the code returns for the inputs as keyword arguments.

        ``language`` is ``python3`` or ``javascript``. Raises CodeFailed with what
        the code printed of its failure, where it does not return an object, and
        with the name of the limit where it met one: time, memory, output. When
        ``cancel`` is set the work ends within 300 ms with CodeFailed. Raises
        Unavailable when no work can be started.
        """
        ...

    def render(self, template: str, variables: JSONObject, *, timeout_s: float, cancel: "Cancel") -> str:
        """Return a Jinja2 template filled with the variables. Fails as :meth:`run` does."""
        ...

    def stop(self) -> None:
        """End what runs; nothing is run any more."""
        ...


class Cancel:
    """Ends one run early: set once, from any thread, by a stop or by what makes it fail.

    ``failure`` is None after a stop; otherwise the run raises it, and so ends as
    an error. Whoever waits for something outside (a model's stream, a tool)
    registers how to close that wait with :meth:`on_cancel`, so that a blocked
    read ends at once instead of at its time-out. ``deadline`` is a
    ``time.monotonic()`` instant, infinite when there is none.
    """

    def __init__(self, total_s: float = float("inf")) -> None:
        self.deadline = time.monotonic() + total_s
        self.failure: Exception | None = None
        self._is_set = False
        self._closers: dict[int, Callable[[], None]] = {}
        self._next = 0
        self._lock = threading.Lock()

    def is_set(self) -> bool:
        """Tell whether the run was told to stop; says nothing of the deadline."""
        return self._is_set

    def is_overdue(self) -> bool:
        """Tell whether the total time is used up."""
        return time.monotonic() >= self.deadline

    def remaining_s(self) -> float:
        """Seconds until the deadline, never negative."""
        return max(0.0, self.deadline - time.monotonic())

    def set(self, failure: Exception | None = None) -> None:
        """Stop the run, or fail it with ``failure``: mark it and close every registered wait.

        Later calls do nothing.
        """
        with self._lock:
            if self._is_set:
                return
            self.failure = failure
            self._is_set = True
            closers = list(self._closers.values())
            self._closers.clear()
        for close in closers:
            close()

    def on_cancel(self, close: Callable[[], None]) -> Callable[[], None]:
        """Call ``close`` when the run is stopped (at once if it was); return how to forget it.

        ``close`` must not raise and must not block.
        """
        with self._lock:
            if not self._is_set:
                key = self._next
                self._next += 1
                self._closers[key] = close
                return lambda: self._forget(key)
        close()
        return lambda: None

    def _forget(self, key: int) -> None:
        with self._lock:
            self._closers.pop(key, None)
