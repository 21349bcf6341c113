"""Python on Monty: an interpreter that has no files, no network and no environment to give away.

Monty runs in a process below this one; each request has a session of its own.
"""

import os
import re
import signal
from collections.abc import Callable
from typing import Literal

from pydantic_monty import Monty, MontyCrashedError, MontyError, MontySession, ResourceLimits

from api.core.sandbox.child import limit
from api.core.sandbox.engine import (
    KNOWN_NAMES,
    MAX_PRINTED_BYTES,
    PRINTED_TOO_MUCH,
    Failed,
    Request,
    Run,
    to_text,
)

MAX_RECURSION = 500
CALL = f"{KNOWN_NAMES}\nmain(**__inputs__)"
OUR_FRAME = re.compile(r'  File "<python-input-[1-9]\d*>".*\n(?:    .*\n)*')
THEIR_FILE = re.compile(r"<python-input-\d+>")
LACKS = (NotImplementedError, ImportError)
HINT = (
    "This sandbox runs a part of Python: no generators (yield), no inheritance, no method decorators, "
    "no del; of the standard library base64, bisect, collections, copy, csv, dataclasses, datetime, decimal, "
    "functools, hashlib, itertools, json, math, random, re, time, typing and unicodedata. "
    "SANDBOX=bubblewrap runs full CPython."
)


def start(memory_bytes: int) -> Run:
    """Return how to run code, the interpreter's process being up and under its limits."""
    pool = Monty(min_processes=1, max_processes=1)
    pool.__enter__()  # it ends with this process
    with pool.checkout() as session:
        session.feed_run("1")
        limit(_pid(session), 2 * memory_bytes)  # Monty counts its heap itself, which this backs

    def run(request: Request) -> str:
        limits = ResourceLimits(
            max_memory=memory_bytes,
            max_feed_duration_secs=request.timeout_s + 1,  # the server's clock says when; this backs it
            max_total_sleep_secs=request.timeout_s,
            max_recursion_depth=MAX_RECURSION,
        )
        with pool.checkout(limits=limits) as session:
            return _run(session, request)

    return run


def _run(session: MontySession, request: Request) -> str:
    printing = _Printing(_pid(session))
    try:
        session.feed_run(request.source, print_callback=printing)
        result = session.feed_run(CALL, inputs={"__inputs__": request.inputs}, print_callback=printing)
    except MontyCrashedError as exc:
        if printing.is_over:
            raise Failed(PRINTED_TOO_MUCH, is_spent=True) from exc
        raise MemoryError from exc
    except MontyError as exc:
        raise _failure(exc) from exc
    return to_text(result)


class _Printing:
    """Counts what is printed; ends the interpreter where that is too much: it would go on otherwise."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._left_bytes = MAX_PRINTED_BYTES
        self.is_over = False

    def __call__(self, stream: Literal["stdout", "stderr"], text: str) -> None:
        del stream
        self._left_bytes -= len(text.encode())
        if self._left_bytes < 0 and not self.is_over:
            self.is_over = True
            os.kill(self._pid, signal.SIGKILL)


def _failure(exc: MontyError) -> Failed | MemoryError:
    cause = exc.exception()
    if isinstance(cause, MemoryError):
        return MemoryError()
    display: Callable[[], str] = getattr(exc, "display", exc.__str__)
    text = THEIR_FILE.sub("main.py", OUR_FRAME.sub("", display() + "\n")).strip()
    if isinstance(cause, LACKS):
        text = f"{text}\n{HINT}"
    return Failed(text)


def _pid(session: MontySession) -> int:
    pid = session.worker_pid
    assert pid is not None, "a session that is open has a process"
    return pid
