"""A worker as it is run in scale-out, whose first attempt at a job never ends by itself.

Each attempt adds a line ``pid attempt`` to the file MARKS names. Run by Celery's command line.
"""

import os
import time
from pathlib import Path

from api.runtime import Runtime
from api.services.jobs import Job, Lease
from api.tasks.registry import TASKS
from api.worker import celery as celery  # noqa: PLC0414 - what Celery looks for


def work(_runtime: Runtime, lease: Lease) -> None:
    with Path(os.environ["MARKS"]).open("a") as marks:
        marks.write(f"{os.getpid()} {lease.attempt}\n")
    while lease.attempt == 1:
        time.sleep(0.05)


TASKS[Job.NAME_CONVERSATION] = work
