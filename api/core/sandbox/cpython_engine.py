"""Python on CPython itself, for a process with a wall around it: here nothing is kept from the code."""

import asyncio
import io
import linecache
import sys
import traceback
from inspect import iscoroutine
from typing import Any

from api.core.sandbox.engine import (
    KNOWN_NAMES,
    MAX_PRINTED_BYTES,
    PRINTED_TOO_MUCH,
    Failed,
    Request,
    Run,
    to_text,
)

FILE = "main.py"


def start(memory_bytes: int) -> Run:
    """Return how to run code; what it does to this interpreter stays, so each runs only one."""
    del memory_bytes  # bounded by the process

    def run(request: Request) -> str:
        sys.stdout = sys.stderr = printing = _Printing()
        try:
            result = _call(request)
        except MemoryError:
            raise
        except BaseException as exc:  # SystemExit and KeyboardInterrupt are the code's too
            raise Failed(PRINTED_TOO_MUCH if printing.is_over else _told(exc)) from exc
        if printing.is_over:
            raise Failed(PRINTED_TOO_MUCH)
        return to_text(result)

    return run


def _call(request: Request) -> Any:
    linecache.cache[FILE] = (len(request.source), None, request.source.splitlines(keepends=True), FILE)
    space: dict[str, Any] = {"__name__": "main"}
    exec(compile(request.source, FILE, "exec"), space)  # noqa: S102  # what this process is for
    if "main" not in space:
        raise Failed("The code defines no function main.")
    exec(KNOWN_NAMES, space)  # noqa: S102  # two imports of ours
    result = space["main"](**request.inputs)
    return asyncio.run(result) if iscoroutine(result) else result


def _told(exc: BaseException) -> str:
    """Return a traceback of the author's own lines."""
    if isinstance(exc, Failed):
        return exc.message
    told = traceback.TracebackException.from_exception(exc)
    frames = [frame for frame in told.stack if frame.filename != __file__]
    told.stack = traceback.StackSummary.from_list(frames)
    return "".join(told.format(chain=False)).strip()


class _Printing(io.TextIOBase):
    """Counts what is printed and keeps nothing."""

    def __init__(self) -> None:
        self._left_bytes = MAX_PRINTED_BYTES

    @property
    def is_over(self) -> bool:
        return self._left_bytes < 0

    def write(self, text: str) -> int:
        self._left_bytes -= len(text.encode("utf-8", "replace"))
        if self.is_over:
            raise Failed(PRINTED_TOO_MUCH)
        return len(text)
