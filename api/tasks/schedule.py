"""What is done again and again, and how often."""

from collections.abc import Callable

from api.runtime import Runtime
from api.services import app_purge, files, idempotency, jobs, runs, tokens, warm_up

SCHEDULE: tuple[tuple[float, Callable[[Runtime], object]], ...] = (
    (5.0, runs.beat),
    (3600.0, warm_up.warm_up),
    (10.0, jobs.wake_due_jobs),
    (30.0, tokens.save_uses),
    (3600.0, idempotency.forget_old),
    (3600.0, files.purge_unattached),
    (3600.0, app_purge.sweep_deleted_apps),
)
"""Seconds between two calls, and what is called. Each must bear being called by several processes."""
