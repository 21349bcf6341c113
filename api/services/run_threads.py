"""The thread a run goes on: its events into its log, its slots back, its end stored, whatever happens."""

import _thread
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from contextvars import copy_context
from typing import Protocol

from api import traces
from api.core.events import ErrorOccurred, Event, EventLog, MessageEnd, RunFinished, RunHeader, RunPaused
from api.core.ports import Cancel
from api.errors import AppError, Internal
from api.principal import works_for
from api.runtime import Runtime
from api.services import limits
from api.services.read_aloud import ReadAloud

logger = logging.getLogger(__name__)

Begin = Callable[[Cancel], Iterator[Event]]


class RunRecorder(Protocol):
    """Stores what a run tells."""

    def watch(self, events: Iterator[Event]) -> Iterator[Event]:
        """Yield every event; store what its readers will look for before it goes out. Raises Unavailable."""
        ...

    def fail(self, error: ErrorOccurred) -> None:
        """Store a run that ended in an error, and what there is of it."""
        ...

    def store_later(self) -> None:
        """Store what could not be stored when the run ended."""
        ...


def launch(
    runtime: Runtime,
    header: RunHeader,
    begin: Begin,
    recorder: RunRecorder,
    slots: tuple[limits.Slot, ...],
    *,
    reading: ReadAloud | None = None,
) -> EventLog:
    """Open a run's log, start its thread, and return the log. ``begin`` makes its events, on that thread.

    ``reading`` puts sound between and after them.
    """
    log = runtime.channel.open(header)
    cancel = Cancel(runtime.limits.run_timeout_s)
    forget = runtime.channel.on_signal(header.task_id, cancel.set)
    runtime.live_runs[header.task_id] = cancel

    def events() -> Iterator[Event]:
        begun = begin(cancel)
        return _giving_back(runtime, slots, begun) if slots else begun

    def drive() -> None:
        with ExitStack() as ends:  # each comes to its turn whatever the others raise, the last first
            ends.callback(runtime.live_runs.pop, header.task_id)
            ends.callback(recorder.store_later)
            ends.callback(limits.free_slots, runtime, slots)
            ends.callback(forget)
            with traces.span(f"run {header.mode}", run_facts(header)) as span:
                written = log if reading is None else reading.begin(log, cancel)
                _drive(events, written, recorder, span)

    context = copy_context()  # the log lines of the run carry the request's id
    context.run(works_for.set, header.tenant_id)
    # Not a Thread: its start waits until it runs, and nobody ever joins it.
    _thread.start_new_thread(context.run, (drive,))
    return log


def _giving_back(
    runtime: Runtime, slots: tuple[limits.Slot, ...], events: Iterator[Event]
) -> Iterator[Event]:
    """Yield the events; the slots are free before the last is told: whoever hears it may ask again."""
    try:
        for event in events:
            if isinstance(event, MessageEnd | RunFinished | RunPaused):
                limits.free_slots(runtime, slots)
            yield event
    finally:
        limits.free_slots(runtime, slots)


def run_facts(header: RunHeader) -> traces.Facts:
    """Return what a span tells of a run."""
    return {
        "slipway.tenant_id": header.tenant_id,
        "slipway.app_id": header.app_id,
        "slipway.app_mode": header.mode,
        "slipway.task_id": header.task_id,
        "slipway.message_id": header.message_id,
        "slipway.workflow_run_id": header.workflow_run_id,
    }


def _drive(
    begin: Callable[[], Iterator[Event]], log: EventLog, recorder: RunRecorder, span: traces.Span
) -> None:
    """Carry the events into the log; whatever happens, the log ends with exactly one terminal event.

    One of the four places where every exception is caught.
    """
    try:
        event = None
        for event in recorder.watch(begin()):
            log.append(event)
        tell_end(span, event)
    except AppError as exc:
        span.fail(exc.code)
        _tell_failure(exc, log, recorder)
    except Exception as exc:
        span.fail(type(exc).__name__)
        logger.exception("run failed", extra={"task_id": log.header.task_id})
        _tell_failure(Internal("Internal Server Error, please contact support."), log, recorder)
    else:
        log.close()


def tell_end(span: traces.Span, last: Event | None) -> None:
    """Tell how a run came out, as its last event says."""
    match last:
        case RunFinished():
            span.tell({"slipway.status": last.status})
            if last.status == "failed":
                span.fail("failed")
        case RunPaused():
            span.tell({"slipway.status": "paused"})
        case MessageEnd():
            span.tell({"slipway.status": last.outcome})
        case ErrorOccurred():
            span.fail(last.code)


def _tell_failure(error: AppError, log: EventLog, recorder: RunRecorder) -> None:
    """Store the failure and tell it; the log ends here even where it cannot be stored."""
    event = ErrorOccurred(status=error.http_status, code=error.code, message=error.message)
    try:
        recorder.fail(event)
    finally:
        log.append(event)
        log.close()
