"""Exchanges the root secret. Sessions, passports and signed links end with it; API keys do not.

What must stay true: no process seals anything under the old secret meanwhile, or nobody could read it again.
"""

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from api.core.vault import SealBroken, Vault
from api.errors import Conflict
from api.models.account import DataKey
from api.models.base import utc_now
from api.models.job import IdempotencyKey, WorkerBeat
from api.runtime import Runtime
from api.services.runs import SILENT_AFTER


def rotate(runtime: Runtime, new_secret: str) -> int:
    """Seal every workspace's key under a new root secret; return how many there are. All of them, or none.

    Raises Conflict where one is not sealed under the present secret, and while a
    server or a worker runs. Answers kept for repeated requests are forgotten:
    only the old secret reads them.
    """
    new = Vault(new_secret)
    with runtime.transaction() as session:
        _check_still(session)
        rows = session.scalars(select(DataKey).with_for_update()).all()
        for row in rows:
            try:
                key = runtime.vault.open_data_key(row.id, row.sealed_key)
            except SealBroken as exc:
                raise Conflict("The keys of the workspaces are sealed under another root secret.") from exc
            row.sealed_key = new.seal_data_key(key)
        session.execute(delete(IdempotencyKey).where(IdempotencyKey.sealed_body.is_not(None)))
    return len(rows)


def _check_still(session: Session) -> None:
    """Raise Conflict where a process has beaten that has not signed off, nor been silent since."""
    running = select(WorkerBeat.id).where(WorkerBeat.beat_at > utc_now() - SILENT_AFTER)
    if session.scalar(running.limit(1)) is not None:
        raise Conflict(
            "The program runs on this database: stop its servers and workers first, and wait "
            f"{SILENT_AFTER.seconds} seconds after one that was killed."
        )
