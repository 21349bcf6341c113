"""Alembic's entry: migrates the database of the running Flask app, one process at a time."""

from alembic import context
from flask import current_app
from sqlalchemy import Connection, text

from api.backends.vectors import local_tables

LOCK_ID = 4_871_936
"""PostgreSQL advisory lock: of two starts at once, one migrates and the other finds it done."""


def migrate() -> None:
    """Run the migrations in one transaction on the app's engine."""
    database = current_app.extensions["migrate"].db
    with database.engine.connect() as connection:
        _take_turn(connection)
        context.configure(
            connection=connection,
            target_metadata=[database.metadata, local_tables.METADATA],
            include_name=_is_migrated,
            render_as_batch=True,
            compare_type=True,
        )
        with context.begin_transaction():
            context.run_migrations()
        connection.commit()


def _is_migrated(name: str | None, kind: str, _parents: object) -> bool:
    """Tell whether a table is one of those compared: pgvector and the keyword index look after theirs."""
    return kind != "table" or not (name or "").startswith(("vectors_", "keyword_"))


def _take_turn(connection: Connection) -> None:
    """Wait for any other migration to end; SQLite's write lock does the same by itself."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET statement_timeout = 0"))
        connection.execute(text("SET lock_timeout = '60s'"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:id)"), {"id": LOCK_ID})


migrate()
