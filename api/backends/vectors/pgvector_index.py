"""Builds HNSW indexes beside the traffic: searches and writes go on meanwhile."""

import logging
import threading

from sqlalchemy import Connection, Engine, exc, text

logger = logging.getLogger(__name__)

MAX_FULL_DIMENSION = 2_000
MAX_DIMENSION = 4_000
"""What pgvector can index, of floats of 32 and of 16 bits."""

FIND_INVALID = """
SELECT FROM pg_index WHERE indexrelid = to_regclass(:index) AND NOT indisvalid
"""


def operand(expression: str, dimension: int) -> str:
    """Return what the index of that dimension holds of a vector: itself, or in half precision."""
    return f"({expression})::halfvec({dimension})" if dimension > MAX_FULL_DIMENSION else expression


class IndexBuilder:
    """Builds on a thread of its own, one index of a table at a time among all processes.

    A build that fails, or is cancelled because its table is dropped, is tried
    again with the next write.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._building: set[str] = set()

    def build(self, table: str, dimension: int) -> None:
        """Start building the index of a table, unless this process does already."""
        with self._lock:
            if table in self._building:
                return
            self._building.add(table)
        threading.Thread(
            target=self._run, args=(table, dimension), name=f"index-{table}", daemon=True
        ).start()

    def _run(self, table: str, dimension: int) -> None:
        try:
            with self._engine.connect() as connection:
                _build(connection.execution_options(isolation_level="AUTOCOMMIT"), table, dimension)
        except exc.SQLAlchemyError as error:
            logger.warning("the index of %s was not built: %s", table, type(error).__name__)
        finally:
            with self._lock:
                self._building.discard(table)


def _build(connection: Connection, table: str, dimension: int) -> None:
    index = f"{table}_hnsw"
    lock = {"name": index}
    if not connection.execute(
        text("SELECT pg_try_advisory_lock(hashtextextended(:name, 0))"), lock
    ).scalar_one():
        return
    operators = "halfvec_cosine_ops" if dimension > MAX_FULL_DIMENSION else "vector_cosine_ops"
    indexed = f"({operand('vector', dimension)}) {operators}"
    create = f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {index} ON {table} USING hnsw ({indexed})"
    try:
        connection.execute(text("SET statement_timeout = 0"))
        if connection.execute(text(FIND_INVALID), {"index": index}).first() is not None:
            connection.execute(text(f"DROP INDEX CONCURRENTLY IF EXISTS {index}"))
        connection.execute(text(create))
    finally:
        connection.execute(text("RESET statement_timeout"))
        connection.execute(text("SELECT pg_advisory_unlock(hashtextextended(:name, 0))"), lock)
