"""The events of a run through all its parts: where it pauses, a reader waits for what comes after."""

import time
from dataclasses import replace

from sqlalchemy import select

from api.core.apps.spec import AppSpec
from api.core.events import Event, EventBatch, EventLog, RunHeader, RunPaused, from_json
from api.errors import NotFound
from api.models.workflow import WorkflowRun
from api.principal import Principal
from api.runtime import Runtime
from api.services import generation, workflow_runs
from api.services.messages import StoredLog

LOOK_EVERY_S = 1.0
OPEN_S = 5.0
"""How long the log of a run that goes on may take to be opened once its row says so, on a busy machine."""
OPEN_PAUSE_S = 0.02
MAX_READ_S = 86_400.0
"""A reader that hears nothing for so long asks again."""


def find_events(
    runtime: Runtime, principal: Principal, app: AppSpec, run_id: str, *, goes_on: bool
) -> EventLog:
    """Return the log of the present part of a run the caller started; ``goes_on`` reads on after a pause.

    Raises NotFound for any other run, and for events that are no longer kept; a
    run that waits is told from its row.
    """
    workflow_runs.task_of(runtime, principal, app, run_id)
    with runtime.reading() as session:
        run = workflow_runs.access_run(session, app.tenant_id, app.id, run_id)
    _wait_until_open(runtime, run)
    if not goes_on:
        return generation.find_run(runtime, principal, app.id, run.task_id)
    log = _log_of(runtime, run, principal)
    if log is None:
        raise NotFound("There is no such run, or its events are no longer kept.")
    return OngoingLog(runtime, log, principal)


class OngoingLog:
    """Implements EventLog for readers: the log of one part after the other.

    Numbers are those of the present part, whose ``header.told_events`` says what
    came before it.
    """

    def __init__(self, runtime: Runtime, log: EventLog, principal: Principal) -> None:
        self._runtime = runtime
        self._principal = principal
        self._switch(log)

    @property
    def header(self) -> RunHeader:
        """That of the present part, with the time a reader may wait."""
        return self._header

    def append(self, event: Event) -> None:
        """Refuse: this is for reading."""
        raise ValueError(f"{event!r} cannot be added here")

    def close(self) -> None:
        """Do nothing: it is the writer's to close its log."""

    def read(self, after: int, timeout_s: float) -> EventBatch:
        """Return what follows ``after`` in the present part; nothing where another part begins."""
        batch = self._log.read(after, timeout_s)
        if not batch.is_last:
            return batch
        if batch.events:
            is_paused = isinstance(batch.events[-1], RunPaused)
            return EventBatch(batch.events, is_last=not is_paused)
        paused = self._log.read(max(0, after - 1), 0.0).events
        if not paused or not isinstance(paused[-1], RunPaused):
            return batch
        return self._next(timeout_s)

    def _next(self, timeout_s: float) -> EventBatch:
        """Wait for what comes after the pause; how the run ended without going on is its last event."""
        give_up_at = time.monotonic() + timeout_s
        while True:
            run = self._run()
            if run is None:
                return EventBatch((), is_last=True)
            log = self._runtime.channel.find(run.task_id) if run.task_id != self._header.task_id else None
            if log is not None:
                self._switch(log)
                return EventBatch((), is_last=False)
            if run.status not in ("paused", "running"):
                return EventBatch((from_json(run.outcome or {}),), is_last=True)
            left_s = give_up_at - time.monotonic()
            if left_s <= 0:
                return EventBatch((), is_last=False)
            time.sleep(min(LOOK_EVERY_S, left_s))

    def _run(self) -> WorkflowRun | None:
        with self._runtime.reading() as session:
            return session.scalars(
                select(WorkflowRun).where(
                    WorkflowRun.tenant_id == self._header.tenant_id,
                    WorkflowRun.id == self._header.workflow_run_id,
                )
            ).one_or_none()

    def _switch(self, log: EventLog) -> None:
        self._log = log
        self._header = replace(log.header, total_s=MAX_READ_S)


def _wait_until_open(runtime: Runtime, run: WorkflowRun) -> None:
    """Return once a run that has just gone on after a pause has its log: its row says so a moment earlier."""
    give_up_at = time.monotonic() + OPEN_S
    while run.status == "running" and runtime.channel.find(run.task_id) is None:
        if time.monotonic() > give_up_at:
            return
        time.sleep(OPEN_PAUSE_S)


def _log_of(runtime: Runtime, run: WorkflowRun, principal: Principal) -> EventLog | None:
    """Return the log of a run's present part; that of one that waits is made of its row where it is gone."""
    log = runtime.channel.find(run.task_id)
    if log is not None or run.status != "paused":
        return log
    told_before = replace(workflow_runs.to_header(run, principal), told_events=run.told_events - 1)
    return StoredLog(header=told_before, events=(from_json(run.outcome or {}),))
