"""The process that works but does not serve: ``celery -A api.worker worker -P gevent``, and its beat."""

import api.gevent_boot  # noqa: F401  # isort: skip  # the patch comes before everything it patches

import logging
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from celery import signals

from api.queue_factory import create_worker, start_queue
from api.runtime import Runtime
from api.services.shutdown import Shutdown
from api.settings import SettingsError

POLL_S = 0.5

try:
    celery, _runtime = create_worker()
except SettingsError as error:
    sys.exit(str(error))


class _Ending:
    """Ends jobs and runs within the grace time: Celery by itself would wait for them without end."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._shutdown = Shutdown(runtime)
        self._is_told = False

    def watch(self, **_signal: object) -> None:
        """Beat, as jobs begin runs here too, and wait, beside the worker, until it is told to stop."""
        start_queue(self._runtime)
        threading.Thread(target=self._end, name="shutdown", daemon=True).start()

    def begin(self, **_signal: object) -> None:
        """Note that the worker was told; called in the event loop, where nothing may wait."""
        self._is_told = True

    def _end(self) -> None:
        while not self._is_told:
            time.sleep(POLL_S)
        self._shutdown.begin_within(self._runtime.limits.graceful_timeout_s)
        self._shutdown.end_work(lambda: False)
        if self._runtime.live_jobs:
            self._shutdown.close()
            os._exit(0)  # Celery would still wait for what was given back to others

    def close(self, sender: Any, **_signal: object) -> None:
        """Close what carried the jobs, all of which have ended, once the runs they began have too; end.

        The interpreter is not asked to tidy up: it turns for ever over native threads that are still there.
        """
        self._shutdown.end_work(lambda: False)
        self._shutdown.close()
        logging.shutdown()
        os._exit(sender.exitcode or 0)


def _mark_calls(sender: Any, **_signal: object) -> None:
    """Have each call leave a mark beside the schedule's state, which may be written at the end only."""
    mark = Path(f"{sender.schedule_filename}-called")
    signals.before_task_publish.connect(lambda **_: mark.touch(), weak=False)


_ending = _Ending(_runtime)
signals.beat_init.connect(_mark_calls, weak=False)
signals.setup_logging.connect(lambda **_: None, weak=False)  # the program logs as it does elsewhere
signals.worker_ready.connect(_ending.watch, weak=False)
signals.worker_shutting_down.connect(_ending.begin, weak=False)
signals.worker_shutdown.connect(_ending.close, weak=False)
