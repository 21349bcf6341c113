"""Prepared statements do what ``Connection.execute`` does with them, on SQLite and on PostgreSQL."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import bindparam

from api.models.base import Base, new_id
from api.models.prepared import run_prepared
from api.runtime import Runtime
from tests.conftest import BOTH
from tests.factories import make_owner

pytestmark = BOTH

MESSAGES = Base.metadata.tables["messages"]
INSERT = MESSAGES.insert()
COUNT_TOKENS = (
    MESSAGES.update()
    .where(MESSAGES.c.id == bindparam("message_key"), MESSAGES.c.answer_tokens < 5)
    .values(message_tokens=MESSAGES.c.message_tokens + 7)
)


def make_row(tenant_id: str, **changed: Any) -> dict[str, Any]:
    ids = {name: new_id() for name in ("id", "app_id", "conversation_id", "task_id", "owner")}
    return {
        **ids,
        "tenant_id": tenant_id,
        "created_at": datetime(2026, 11, 27, 8, 15, 0, 123456, tzinfo=UTC),
        "mode": "chat",
        "invoke_from": "service-api",
        "inputs": {"世界": [1, None, "%s %(id)s ' \\"]},
        "files": None,
        "query": "100 % of '%(query)s' ?",
        "answer": "",
        "status": "running",
        "message_tokens": 0,
        "answer_tokens": 0,
        "total_price": Decimal("0.0000012345"),
        "currency": "USD",
        "latency_s": 0.5,
        **changed,
    }


def load(runtime: Runtime, row_id: str) -> dict[str, Any]:
    with runtime.autocommit() as connection:
        row = connection.execute(MESSAGES.select().where(MESSAGES.c.id == row_id)).one()
        return dict(row._mapping)  # documented


def test_values_are_stored_as_sqlalchemy_stores_them(runtime: Runtime) -> None:
    row = make_row(make_owner(runtime).tenant_id)
    other = {**row, "id": new_id()}
    with runtime.autocommit() as connection:
        run_prepared(connection, INSERT, row)
    with runtime.autocommit() as connection:
        connection.execute(INSERT, other)

    stored = load(runtime, row["id"])

    assert {**load(runtime, other["id"]), "id": row["id"]} == stored
    assert {name: stored[name] for name in row} == row


def test_statement_keeps_the_values_it_holds_itself(runtime: Runtime) -> None:
    row = make_row(make_owner(runtime).tenant_id)
    with runtime.writing() as connection:
        run_prepared(connection, INSERT, row)
        for _ in range(2):
            run_prepared(connection, COUNT_TOKENS, {"message_key": row["id"]})

    assert load(runtime, row["id"])["message_tokens"] == 14


def test_same_statement_takes_other_columns_the_next_time(runtime: Runtime) -> None:
    row = make_row(make_owner(runtime).tenant_id)
    with runtime.writing() as connection:
        run_prepared(connection, INSERT, row)
        run_prepared(connection, INSERT, {**row, "id": (second := new_id()), "error": "It broke."})

    assert (load(runtime, row["id"])["error"], load(runtime, second)["error"]) == (None, "It broke.")


def test_value_left_to_a_default_is_refused(runtime: Runtime) -> None:
    row = make_row(make_owner(runtime).tenant_id)
    del row["created_at"]

    with runtime.autocommit() as connection, pytest.raises(AssertionError, match="messages"):
        run_prepared(connection, INSERT, row)


def test_parameter_without_a_value_is_refused(runtime: Runtime) -> None:
    with runtime.autocommit() as connection, pytest.raises(KeyError, match="message_key"):
        run_prepared(connection, COUNT_TOKENS, {"id": new_id()})
