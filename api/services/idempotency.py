"""Requests that must not be done twice: the same ``Idempotency-Key`` gets the first answer again.

The claim is a row written in the transaction of the thing created. A second
request with the key waits for that transaction, finds the row, and is given
what it says. Kept for at least 24 hours.
Wire: docs/wire/idempotency.md.
"""

import hashlib
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.orm import Session

from api.errors import Conflict, InvalidRequest, Unprocessable
from api.models.base import new_id, utc_now
from api.models.job import IdempotencyKey
from api.models.types import insert_for
from api.runtime import Runtime

KEEP = timedelta(hours=48)
MAX_KEY_CHARS = 255
PURPOSE = "idempotency"


class StillRunning(Conflict):
    """The first request with this key is still under way."""

    code = "idempotency_in_progress"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A key, who used it on which route, and the SHA-256 of what was asked."""

    tenant_id: str
    scope: str
    key: str
    fingerprint: str


def to_claim(tenant_id: str, actor: str, route: str, key: str, body: bytes) -> Claim:
    """Return the claim of a request; raises InvalidRequest for a key that is empty or too long."""
    if not 0 < len(key) <= MAX_KEY_CHARS:
        raise InvalidRequest(
            f"Idempotency-Key must have 1 to {MAX_KEY_CHARS} characters",
            field="Idempotency-Key",
            fault="too_long",
        )
    fingerprint = hashlib.sha256(body).hexdigest()
    return Claim(tenant_id=tenant_id, scope=f"{actor} {route}", key=key, fingerprint=fingerprint)


def take(session: Session, claim: Claim, *, message_id: str | None = None) -> IdempotencyKey | None:
    """Take the claim in this transaction: None when it is ours now, else the row of the first request.

    Waits for a first request that has not committed yet. Raises Unprocessable
    when that one asked something else.
    """
    values = {
        "id": new_id(),
        "tenant_id": claim.tenant_id,
        "created_at": utc_now(),
        "scope": claim.scope,
        "key": claim.key,
        "fingerprint": claim.fingerprint,
        "message_id": message_id,
    }
    made = session.execute(
        insert_for(session)(IdempotencyKey)
        .values(values)
        .on_conflict_do_nothing()
        .returning(IdempotencyKey.id)
    ).one_or_none()
    if made is not None:
        return None
    first = session.scalars(select(IdempotencyKey).where(*_same(claim))).one()
    if first.fingerprint != claim.fingerprint:
        raise Unprocessable("This Idempotency-Key was used for another request.", field="Idempotency-Key")
    return first


def keep_answer(runtime: Runtime, session: Session, claim: Claim, status: int, body: bytes) -> None:
    """Store the answer beside what it tells of, in the same transaction."""
    sealed = runtime.vault.seal(PURPOSE, body, f"{claim.scope}\x00{claim.key}")
    session.execute(
        update(IdempotencyKey).where(*_same(claim)).values(response_status=status, sealed_body=sealed)
    )


def first_answer(runtime: Runtime, first: IdempotencyKey) -> tuple[int, bytes]:
    """Return status and body of the first answer; raises StillRunning where there is none yet."""
    if first.response_status is None or first.sealed_body is None:
        raise StillRunning(
            "The first request with this Idempotency-Key is still being processed.", retry_after_s=1
        )
    body = runtime.vault.unseal(PURPOSE, first.sealed_body, f"{first.scope}\x00{first.key}")
    return first.response_status, body


def forget_old(runtime: Runtime) -> None:
    """Remove claims older than 48 hours."""
    with runtime.transaction() as session:
        session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < utc_now() - KEEP))


def _same(claim: Claim) -> tuple[ColumnElement[bool], ...]:
    return (
        IdempotencyKey.tenant_id == claim.tenant_id,
        IdempotencyKey.scope == claim.scope,
        IdempotencyKey.key == claim.key,
    )
