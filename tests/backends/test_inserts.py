"""Rows inserted many at once: they lie in the database as one by one, on SQLite and on PostgreSQL."""

from datetime import UTC, datetime
from typing import Any

from api.models.base import Base, new_id
from api.models.inserts import insert_rows
from api.models.workflow import pack
from api.runtime import Runtime
from tests.factories import make_owner

EXECUTIONS = Base.metadata.tables["workflow_node_executions"]
VALUES = {"text": "世界 \\ \0" * 100}
AT = datetime(2026, 11, 26, 8, 15, 0, 123456, tzinfo=UTC)


def make_row(tenant_id: str, **changed: Any) -> dict[str, Any]:
    ids = {name: new_id() for name in ("id", "app_id", "workflow_id", "workflow_run_id", "from_account_id")}
    return {
        **ids,
        "tenant_id": tenant_id,
        "triggered_from": "workflow-run",
        "index": 1,
        "node_id": "n",
        "node_type": "code",
        "title": "世界 \\u0000 \\ \" %s % ' \x01",
        "predecessor_node_id": None,
        "iteration_id": None,
        "loop_id": None,
        "inputs": pack(VALUES),
        "process_data": None,
        "outputs": pack({}),
        "kept_at": None,
        "status": "succeeded",
        "error": None,
        "edge": "source",
        "elapsed_s": 0.1,
        "execution_metadata": pack({}),
        "finished_order": 2**31 - 1,
        "from_end_user_id": None,
        "finished_at": AT,
        "created_at": AT,
        **changed,
    }


def load(runtime: Runtime, tenant_id: str) -> list[dict[str, Any]]:
    query = EXECUTIONS.select().where(EXECUTIONS.c.tenant_id == tenant_id).order_by(EXECUTIONS.c.node_id)
    with runtime.autocommit() as connection:
        return [dict(row._mapping) for row in connection.execute(query)]  # documented


def test_rows_are_stored_as_they_were_given(runtime: Runtime) -> None:
    tenant_id = make_owner(runtime).tenant_id
    rows = [make_row(tenant_id, node_id=str(number)) for number in range(5)]

    with runtime.writing() as connection:
        insert_rows(connection, EXECUTIONS, rows)

    read = {"inputs": VALUES, "outputs": {}, "execution_metadata": {}}
    assert load(runtime, tenant_id) == [{**row, **read} for row in rows]


def test_rows_that_are_there_stay_as_they_are(runtime: Runtime) -> None:
    tenant_id = make_owner(runtime).tenant_id
    first = make_row(tenant_id, node_id="a")
    with runtime.writing() as connection:
        insert_rows(connection, EXECUTIONS, [first])

    with runtime.writing() as connection:
        again = [{**first, "status": "failed"}, make_row(tenant_id, node_id="b")]
        insert_rows(connection, EXECUTIONS, again, skip_known=True)

    assert [(row["node_id"], row["status"]) for row in load(runtime, tenant_id)] == [
        ("a", "succeeded"),
        ("b", "succeeded"),
    ]


def test_nul_in_a_text_does_not_lose_the_row(runtime: Runtime) -> None:
    tenant_id = make_owner(runtime).tenant_id
    with runtime.writing() as connection:
        insert_rows(connection, EXECUTIONS, [make_row(tenant_id, error="\\\0\\u0000 a\0b")])

    [row] = load(runtime, tenant_id)
    assert row["error"].replace("\0", "") == "\\\\u0000 ab"


def test_no_rows_are_no_statement(runtime: Runtime) -> None:
    with runtime.writing() as connection:
        insert_rows(connection, EXECUTIONS, [])
