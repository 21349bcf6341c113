"""How connections to PostgreSQL are prepared and checked; loaded only where that is the database."""

from typing import Any

import psycopg
from psycopg.abc import Buffer
from psycopg.types.string import StrDumperUnknown, TextLoader
from sqlalchemy import Engine, event, exc

from api.settings import SettingsError


def listen_to_postgres(engine: Engine) -> None:
    """Prepare each connection of an engine, and have it looked at before it is used again."""
    event.listen(engine, "connect", _check_encoding, insert=True)  # before SQLAlchemy asks for text
    event.listen(engine, "connect", _read_ids_as_text)
    event.listen(engine, "connect", _write_no_nul)
    event.listen(engine, "checkout", _check_connection)
    event.listen(engine, "checkout", _begin_transactions)


def _check_encoding(connection: "psycopg.Connection[Any]", _entry: object) -> None:
    """Raise SettingsError for a database that keeps bytes of no known meaning, or not every character."""
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise SettingsError(
            f"DATABASE_URL names a database whose encoding is {encoding}; make one with ENCODING 'UTF8'."
        )


def _read_ids_as_text(connection: "psycopg.Connection[Any]", _entry: object) -> None:
    """Have ids read as the text they are to us; a UUID object for each costs a third of a list's time."""
    connection.adapters.register_loader("uuid", TextLoader)


class _NulFreeText(StrDumperUnknown):
    """Text as the driver sends it, without the NULs that PostgreSQL keeps in no column.

    Requests with one are refused, but models, code and files may bring one, and
    a run whose end cannot be written would go on for ever.
    """

    def dump(self, obj: str) -> Buffer | None:
        """Return the bytes of a text."""
        return super().dump(obj.replace("\0", "") if "\0" in obj else obj)


def _write_no_nul(connection: "psycopg.Connection[Any]", _entry: object) -> None:
    connection.adapters.register_dumper(str, _NulFreeText)


def _begin_transactions(connection: "psycopg.Connection[Any]", *_args: object) -> None:
    """Take back what ``committing_each`` said to whoever had the connection before."""
    if connection.autocommit:
        connection.autocommit = False


def _check_connection(connection: "psycopg.Connection[Any]", *_args: object) -> None:
    """Discard the pool's connections when this one was closed by the server.

    libpq reads what lies in the socket without waiting: 3 µs, where a pre-ping
    is a round trip on each checkout. Twice, because the server's farewell
    message comes before the end of the stream.
    """
    try:
        connection.pgconn.consume_input()
        connection.pgconn.consume_input()
    except psycopg.OperationalError as error:
        raise exc.InvalidatePoolError from error
