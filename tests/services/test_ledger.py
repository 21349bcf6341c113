"""When what models took comes into the ledger."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Connection, func, select

from api.core.model_runtime.metering import Spent
from api.core.model_runtime.types import ModelRef
from api.errors import Unavailable
from api.models.usage import UsageDay
from api.runtime import Runtime
from api.services import ledger
from api.services.ledger import Tally
from tests.factories import Owner
from tests.waiting import wait_until

SPENT = Spent(
    ref=ModelRef("p", "m"), prompt_tokens=3, completion_tokens=2, total_price=Decimal(1), currency="USD"
)


def tokens(runtime: Runtime, owner: Owner) -> int:
    with runtime.reading() as session:
        summed = select(func.sum(UsageDay.prompt_tokens)).where(UsageDay.tenant_id == owner.tenant_id)
        return int(session.scalar(summed) or 0)


def test_calls_of_a_run_wait_for_its_end_and_late_ones_do_not(runtime: Runtime, owner: Owner) -> None:
    tally = Tally(runtime=runtime, tenant_id=owner.tenant_id, wait=True)

    tally.add([SPENT])
    assert tokens(runtime, owner) == 0
    tally.end()
    assert tokens(runtime, owner) == 3
    tally.add([SPENT])
    assert tokens(runtime, owner) == 6


def test_calls_are_kept_while_the_database_is_away(
    runtime: Runtime, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    add, failures = ledger.add, [Unavailable("away"), Unavailable("away")]

    def flaky(connection: Connection, rows: Sequence[Any]) -> None:
        if failures:
            raise failures.pop()
        add(connection, rows)

    monkeypatch.setattr(ledger, "STORE_AGAIN_S", (0.001, 0.001))
    monkeypatch.setattr(ledger, "add", flaky)

    Tally(runtime=runtime, tenant_id=owner.tenant_id).add([SPENT])

    wait_until(lambda: tokens(runtime, owner) == 3)
