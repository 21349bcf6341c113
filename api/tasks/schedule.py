"""What is done again and again, and how often."""

from collections.abc import Callable
from functools import partial

from api.core.ports import Tick
from api.runtime import Runtime
from api.services import (
    app_purge,
    confirmations,
    dataset_purge,
    files,
    forms,
    idempotency,
    invitations,
    jobs,
    log_blocks,
    mcp_servers,
    measures,
    plugins,
    run_purge,
    runs,
    stored_embeddings,
    tokens,
    trigger_runs,
    warm_up,
    workspace_deletion,
)

Call = Callable[[Runtime], object]

OWN: tuple[tuple[float, Call], ...] = (
    (5.0, runs.beat),
    (3600.0, warm_up.warm_up),
    (30.0, tokens.save_uses),
    (60.0, mcp_servers.close_idle),
    (60.0, plugins.end_idle),
)
"""Seconds between two calls, and what each serving process does for itself."""
TOLD: tuple[float, Call] = (2.0, measures.publish)
"""The same where several processes tell their figures as one."""
PURGES: tuple[tuple[float, Call], ...] = (
    (60.0, run_purge.purge_old_runs),
    (600.0, log_blocks.settle_logs),
    (3600.0, idempotency.forget_old),
    (3600.0, invitations.forget_expired),
    (3600.0, confirmations.forget_spent),
    (3600.0, files.purge_unattached),
    (3600.0, app_purge.sweep_deleted_apps),
    (86_400.0, dataset_purge.sweep_deleted_datasets),
    (86_400.0, workspace_deletion.sweep_deleted_workspaces),
    (86_400.0, stored_embeddings.purge_unused),
)
"""The same for what is deleted, unused, or was kept long enough; an operator may call it too."""
SHARED: tuple[tuple[float, Call], ...] = (
    (10.0, jobs.wake_due_jobs),
    (10.0, forms.close_overdue),
    (10.0, trigger_runs.fire_due),
    (60.0, log_blocks.index_logs),
    *PURGES,
)
"""The same for what beat has some worker do; each must bear being done by several at once."""


def to_ticks(runtime: Runtime) -> list[Tick]:
    """Return the schedule as the queue takes it."""
    own = OWN if runtime.board is None else (*OWN, TOLD)
    return [
        Tick(
            name=call.__qualname__,
            every_s=every_s,
            call=partial(call, runtime),
            is_shared=is_shared,
        )
        for is_shared, entries in ((False, own), (True, SHARED))
        for every_s, call in entries
    ]
