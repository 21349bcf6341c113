"""Puts tables, plug-ins and jobs on the foundation: what a process needs that works but does not serve."""

from functools import partial
from typing import TYPE_CHECKING, cast

from api.backends.broker import Broker
from api.core.model_runtime import providers
from api.core.workflow import nodes
from api.foundation import create_foundation
from api.models import account, app, conversation, dataset, document, file, job, provider, usage, workflow
from api.runtime import Runtime
from api.settings import Settings, SettingsError, load_settings
from api.tasks import MODULES
from api.tasks.registry import run_woken
from api.tasks.schedule import to_ticks

if TYPE_CHECKING:
    from celery import Celery

PLUG_INS = (providers, nodes, MODULES)
"""Importing these fills the registries of providers, nodes and tasks."""
TABLES = (account, app, conversation, dataset, document, file, job, provider, usage, workflow)
"""Importing these fills the metadata."""


def start_queue(runtime: Runtime) -> None:
    """Start what a process does again and again, and its jobs where the queue has them run there."""
    runtime.queue.start(partial(run_woken, runtime), to_ticks(runtime))


def create_worker(settings: Settings | None = None) -> "tuple[Celery, Runtime]":
    """Return the Celery app of a process that works but does not serve, and what it works with.

    Raises SettingsError where jobs run in the serving process.
    """
    from api.backends.celery_app import create_celery  # Celery is heavy; a serving process may do without

    settings = settings or load_settings()
    if settings.queue != "celery":
        raise SettingsError(f"QUEUE={settings.queue} runs jobs in the serving process; set QUEUE=celery.")
    runtime = cast("Runtime", create_foundation(settings).extensions["runtime"])
    celery = create_celery(
        Broker.from_settings(settings),
        lambda job_id, _message_id: run_woken(runtime, job_id),
        to_ticks(runtime),
    )
    return celery, runtime
