"""The end of a serving process: first its runs, then what carries them.

A run belongs to the server, so a process that is told to stop lets its runs go
on for a while, whether or not anybody reads them, and fails those that are left
so that each is stored and told. Its jobs have the same time; what is left of
them is given back. What must stay true: the process beats until its last run
has ended, or others would take its runs for lost.
"""

import logging
import math
import time
from collections.abc import Callable
from contextlib import ExitStack

from sqlalchemy import delete

from api.errors import Unavailable
from api.models.job import WorkerBeat
from api.runtime import Runtime
from api.services import leases, measures

logger = logging.getLogger(__name__)

RESERVED_S = 5.0
"""What is kept of the graceful time-out to tell the runs that are left, and to close."""
TELL_S = 3.0
"""How long failed runs have to store and tell their end."""
JOBS_S = 1.0
"""How long the worker has to end once its jobs have."""
SPANS_S = 1.0
"""How long the last spans may take to the collector."""
POLL_S = 0.1


class Shutdown:
    """Ends the work of one process. Until :meth:`begin` nothing is asked to end."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._fail_at = math.inf

    def begin(self, patience_s: float) -> None:
        """Let the runs go on for ``patience_s`` seconds from now, or shorter where that was said before."""
        self._fail_at = min(self._fail_at, time.monotonic() + patience_s)

    def begin_within(self, grace_s: float) -> None:
        """The same, for as long as is left of ``grace_s`` seconds for the process's whole end."""
        self.begin(grace_s - RESERVED_S)

    def end_work(self, may_start_more: Callable[[], bool]) -> None:
        """Take no more jobs; wait until none and no run is left or can start; end those whose time is up.

        Returns at the latest ``TELL_S`` seconds after that time, whatever is left.
        """
        self._runtime.queue.drain()
        while self._runtime.live_runs or self._runtime.live_jobs or may_start_more():
            overdue_s = time.monotonic() - self._fail_at
            if overdue_s >= TELL_S:
                break
            if overdue_s >= 0:
                self._fail_runs()
                leases.end_jobs(self._runtime)
            time.sleep(POLL_S)
        for task_id in list(self._runtime.live_runs):
            logger.error("run lost by the shutdown", extra={"task_id": task_id})

    def _fail_runs(self) -> None:
        for task_id, cancel in list(self._runtime.live_runs.items()):
            if not cancel.is_set():
                logger.warning("run cut short by the shutdown", extra={"task_id": task_id})
                cancel.set(Unavailable("The server is shutting down; ask again."))

    def close(self) -> None:
        """Stop the jobs, give back what is left, bring the channel's last events out, and sign off.

        Each step is taken whatever the others raise.
        """
        runtime = self._runtime
        with ExitStack() as steps:  # the last one in is the first one taken
            steps.callback(self._sign_off)
            steps.callback(measures.publish, runtime, is_last=True)
            steps.callback(runtime.tracer.stop, SPANS_S)
            steps.callback(runtime.provider_http.close)
            steps.callback(runtime.http.close)
            steps.callback(runtime.mcp_sessions.close)
            steps.callback(runtime.plugins.stop)
            steps.callback(runtime.sandbox.stop)
            steps.callback(runtime.channel.stop)
            steps.callback(runtime.queue.stop, JOBS_S)
            steps.callback(self._give_back_jobs)

    def _give_back_jobs(self) -> None:
        """Let others have the jobs at once; where the database is away, when their leases have run out."""
        try:
            leases.give_back(self._runtime)
        except Unavailable:
            logger.warning("could not give jobs back")

    def _sign_off(self) -> None:
        """Beat no more; where the database is away, others notice by the silence."""
        try:
            with self._runtime.transaction() as session:
                session.execute(delete(WorkerBeat).where(WorkerBeat.id == self._runtime.owner))
        except Unavailable:
            logger.warning("could not sign off")
