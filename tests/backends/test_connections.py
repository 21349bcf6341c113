"""What of a connection's last use may not reach its next: that its statements committed one by one."""

import contextlib
import time

import pytest
from sqlalchemy import func, select, update

from api.models.account import Tenant
from api.runtime import Runtime
from tests.conftest import BOTH
from tests.factories import make_owner

pytestmark = BOTH


class GivenUp(Exception):
    """What the test raises."""


def rename(runtime: Runtime, tenant_id: str) -> None:
    """Change a row in a transaction that comes to nothing."""
    with contextlib.suppress(GivenUp), runtime.transaction() as session:
        session.get_one(Tenant, tenant_id).name = "Renamed"
        session.flush()
        raise GivenUp


def name_of(runtime: Runtime, tenant_id: str) -> str:
    with runtime.reading() as session:
        return session.get_one(Tenant, tenant_id).name


def test_transaction_on_a_connection_that_only_read_is_all_or_nothing(runtime: Runtime) -> None:
    tenant_id = make_owner(runtime).tenant_id
    before = name_of(runtime, tenant_id)
    for _ in range(3):  # the same connection again and again: the last one given back is taken first
        rename(runtime, tenant_id)
        assert name_of(runtime, tenant_id) == before
        with runtime.autocommit() as connection:
            connection.execute(select(Tenant.id))
        with contextlib.suppress(GivenUp), runtime.writing() as connection:
            connection.execute(update(Tenant).values(name="Renamed"))
            raise GivenUp
        assert name_of(runtime, tenant_id) == before


def test_statements_that_only_read_each_see_what_is_committed(runtime: Runtime) -> None:
    if runtime.engine.dialect.name != "postgresql":
        pytest.skip("SQLite has no clock of transactions")
    with runtime.reading() as session:
        first = session.scalar(select(func.now()))
        time.sleep(0.01)
        assert session.scalar(select(func.now())) != first
    with runtime.transaction() as session:
        first = session.scalar(select(func.now()))
        time.sleep(0.01)
        assert session.scalar(select(func.now())) == first
