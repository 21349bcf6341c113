"""Exchanges the root secret. Sessions, passports and signed links end with it; API keys do not."""

from sqlalchemy import delete, select

from api.core.vault import SealBroken, Vault
from api.errors import Conflict
from api.models.account import DataKey
from api.models.job import IdempotencyKey
from api.runtime import Runtime


def rotate(runtime: Runtime, new_secret: str) -> int:
    """Seal every workspace's key under a new root secret; return how many there are. All of them, or none.

    Raises Conflict where one is not sealed under the present secret. Answers kept
    for repeated requests are forgotten: only the old secret reads them.
    """
    new = Vault(new_secret)
    with runtime.transaction() as session:
        rows = session.scalars(select(DataKey).with_for_update()).all()
        for row in rows:
            try:
                key = runtime.vault.open_data_key(row.id, row.sealed_key)
            except SealBroken as exc:
                raise Conflict("The keys of the workspaces are sealed under another root secret.") from exc
            row.sealed_key = new.seal_data_key(key)
        session.execute(delete(IdempotencyKey).where(IdempotencyKey.sealed_body.is_not(None)))
    return len(rows)
