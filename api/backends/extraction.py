"""Documents to text, each in a child process that can be killed.

Implements Extractor. The child (api/core/rag/extract_child.py) bounds itself;
here it is given a fixed environment without our secrets, its time is watched,
and its end, however it comes, becomes a text or a sentence. Documents and texts
travel in unnamed temporary files, which no crash can leave behind. Waiting is
cooperative: gevent patches ``subprocess``.
"""

import logging
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, Self

import api
from api.backends.places import Places, Stopped
from api.core.parallel import give_way
from api.core.ports import Cancel
from api.core.rag import extract_child
from api.core.rag.extraction import ExtractionFailed
from api.errors import Unavailable
from api.settings import Settings

logger = logging.getLogger(__name__)

ROOT = Path(api.__file__).resolve().parents[1]
MAX_TEXT_MB = 50
CHUNK_BYTES = 1024 * 1024
TAIL_BYTES = 2000
STOPPED = "Reading the document was stopped."
# How Python, Rust and C++ say it when they end for lack of memory.
OUT_OF_MEMORY = re.compile(rb"MemoryError|memory allocation|bad_alloc")


@dataclass(frozen=True, slots=True)
class _Files:
    """What a child reads and writes."""

    document: IO[bytes]
    text: IO[bytes]
    errors: IO[bytes]


class Backend:
    """Implements Extractor by one child process a document, at most ``max_children`` at once."""

    def __init__(self, timeout_s: int, memory_mb: int, max_children: int) -> None:
        self._timeout_s = timeout_s
        self._memory_mb = memory_mb
        self._places = Places(max_children)

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Bound documents by EXTRACT_TIMEOUT_S, EXTRACT_MEMORY_MB and EXTRACT_PARALLEL."""
        return cls(settings.extract_timeout_s, settings.extract_memory_mb, settings.extract_parallel)

    def extract(self, content: BinaryIO, extension: str, *, cancel: Cancel) -> str:
        """Return the text of a document; see Extractor."""
        with ExitStack() as stack:
            stack.enter_context(self._place(cancel))
            try:
                files = _Files(*(stack.enter_context(tempfile.TemporaryFile()) for _ in range(3)))
                _copy(content, files.document)
                child = self._start(files, extension)
            except OSError as exc:
                raise Unavailable("Documents cannot be read now: no room for another process.") from exc
            exit_code = self._wait(child, cancel)
            files.text.seek(0)
            text = files.text.read().decode("utf-8", "replace")
            if exit_code == 0:
                return text
            if exit_code == extract_child.EXIT_REFUSED:
                raise ExtractionFailed(text)
            raise self._failure(exit_code, _tail(files.errors))

    @contextmanager
    def _place(self, cancel: Cancel) -> Iterator[None]:
        """Hold one of the places for children. Raises what ended the wait for it: a stop, or the time."""
        with ExitStack() as stack:
            try:
                stack.enter_context(self._places.hold(cancel, self._timeout_s))
            except TimeoutError as exc:
                raise Unavailable("Too many documents are being read now; try again shortly.") from exc
            except Stopped as exc:
                raise cancel.failure or ExtractionFailed(STOPPED) from exc
            yield

    def _start(self, files: _Files, extension: str) -> subprocess.Popen[bytes]:
        limits = (self._memory_mb, self._timeout_s, MAX_TEXT_MB)
        return subprocess.Popen(  # noqa: S603  # our own interpreter; the arguments are ours but for the extension
            [sys.executable, "-P", "-s", "-m", extract_child.__name__, extension, *map(str, limits)],
            stdin=files.document,
            stdout=files.text,
            stderr=files.errors,
            cwd="/",
            env={"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"},
        )

    def _wait(self, child: subprocess.Popen[bytes], cancel: Cancel) -> int:
        """Return the child's exit code. Raises what ended it from here: a stop or the time."""
        forget = cancel.on_cancel(child.kill)
        try:
            exit_code = child.wait(min(self._timeout_s, cancel.remaining_s()))
        except subprocess.TimeoutExpired as exc:
            raise ExtractionFailed(
                f"Reading the document took more than {exc.timeout:.3g} s; split it into smaller files."
            ) from exc
        finally:
            forget()
            child.kill()
            child.wait()
        if cancel.is_set():
            raise cancel.failure or ExtractionFailed(STOPPED)
        return exit_code

    def _failure(self, exit_code: int, errors: bytes) -> ExtractionFailed:
        """Return the sentence for a child that ended without one of its own."""
        if OUT_OF_MEMORY.search(errors):
            return ExtractionFailed(
                f"Reading the document takes more than {self._memory_mb} MB of memory; split it."
            )
        if exit_code == -signal.SIGXCPU:
            return ExtractionFailed(
                f"Reading the document took more than {self._timeout_s} s of CPU time; split it."
            )
        logger.error("a document's reader ended with %s: %s", exit_code, errors.decode("utf-8", "replace"))
        return ExtractionFailed("The document makes its reader crash; save it again, or in another format.")


def _copy(content: BinaryIO, document: IO[bytes]) -> None:
    """Copy a document to where the child reads it, and go to its beginning."""
    while chunk := content.read(CHUNK_BYTES):
        document.write(chunk)
        give_way()  # lets other greenlets run: files do not
    document.seek(0)


def _tail(errors: IO[bytes]) -> bytes:
    """Return the last bytes of what a child complained."""
    errors.seek(max(errors.seek(0, 2) - TAIL_BYTES, 0))
    return errors.read()
