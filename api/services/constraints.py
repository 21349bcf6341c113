"""Tells which constraint a refused statement ran into, on either database."""

from sqlalchemy.exc import IntegrityError


def is_duplicate(error: IntegrityError, table: str, *columns: str) -> bool:
    """Tell whether the unique constraint over just these columns of a table refused the statement.

    PostgreSQL names the constraint (models/base.py fixes the names), SQLite its columns.
    """
    diagnosis = getattr(error.orig, "diag", None)
    if diagnosis is not None:
        return bool(diagnosis.constraint_name == "_".join(("uq", table, *columns)))
    named = ", ".join(f"{table}.{column}" for column in columns)
    return str(error.orig) == f"UNIQUE constraint failed: {named}"


def is_orphan(error: IntegrityError, table: str, column: str) -> bool:
    """Tell whether the row a column of a table refers to is gone; on SQLite, whether some row is."""
    diagnosis = getattr(error.orig, "diag", None)
    if diagnosis is not None:
        return bool(diagnosis.constraint_name == f"fk_{table}_{column}")
    return str(error.orig) == "FOREIGN KEY constraint failed"
