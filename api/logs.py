"""Structured logs: one JSON object a line, with the request's id and without secrets.

Field names on the deny-list are masked whatever they hold; texts that look like
a credential are masked wherever they stand. Content (prompts, answers) is never
logged by anyone.

What must stay true: the log is locked by the interpreter's own locks. A greenlet
that waits for one of gevent's, which a native thread holds, may never be woken,
and its request is never answered; every import on such a thread takes the log's
lock many times. Nobody yields within it.
"""

import _thread
import logging
import re
import sys
from collections.abc import MutableMapping
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

import orjson

# For tracebacks in colour, which no log of ours has, structlog would load rich: 5 MB.
_has_rich = sys.modules.setdefault("rich", None) is not None  # type: ignore[arg-type]  # None: cannot be imported
import structlog  # noqa: E402

if not _has_rich:
    del sys.modules["rich"]

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The id of the request (or job) at hand. Only ever read by the log."""

SECRET_NAMES = re.compile(
    r"(?i)authorization|cookie|password|secret|token$|api_?key|credential|signature|^sign$"
)
SECRET_TEXT = re.compile(
    r"(?i)\b(bearer\s+)\S+|\b(app-|dataset-|sk-)[A-Za-z0-9_-]{8,}|([?&](?:sign|api_key)=)[^&\s]+"
)
MASK = "***"


def configure_logging(level: str, log_format: str) -> None:
    """Send the log of this process to standard error, as JSON lines or as plain text."""
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer(serializer=_dumps)
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=False)
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines(renderer))
    # No line tells where in the code it was written, in which thread or process; each would be found out.
    logging._srcfile = None  # noqa: SLF001  # so says its HOWTO
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler.lock = _thread.RLock()
    logging._lock = _thread.RLock()  # type: ignore[attr-defined]  # noqa: SLF001  # see the module's docstring
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("httpx2", "httpcore2", "openai", "anthropic", "alembic", "celery", "kombu"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


class _Lines(logging.Formatter):
    """Makes a line of a record by structlog's processors; its own formatter copies each record twice."""

    def __init__(self, renderer: structlog.types.Processor) -> None:
        super().__init__()
        self._processors: tuple[structlog.types.Processor, ...] = (
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _add_request_id,
            _redact,
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            renderer,
        )

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; no other handler is to find anything changed in the record."""
        event: Any = {"event": record.getMessage(), "_record": record, "_from_structlog": False}
        if record.exc_info:
            event["exc_info"] = record.exc_info
        for process in self._processors:
            event = process(None, record.levelname.lower(), event)
        return str(event)


def scrub(text: str) -> str:
    """Return a text with everything that looks like a credential masked."""
    return SECRET_TEXT.sub(lambda found: (found[1] or found[2] or found[3]) + MASK, text)


def _add_request_id(_logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if known := request_id.get():
        event["request_id"] = known
    return event


def _redact(_logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in event.items():
        if _is_secret(name):
            event[name] = MASK
        elif isinstance(value, str):
            event[name] = scrub(value)
    return event


@lru_cache(maxsize=1024)
def _is_secret(name: str) -> bool:
    return SECRET_NAMES.search(name) is not None


def _dumps(value: object, **_options: object) -> str:
    return orjson.dumps(value, default=str).decode()
