"""How connections to PostgreSQL are prepared and checked; loaded only where that is the database."""

from typing import Any

import psycopg
from gevent import monkey
from gevent.socket import wait_read, wait_readwrite, wait_write
from psycopg.abc import RV, Buffer, PQGen
from psycopg.types.string import StrDumperUnknown, TextLoader
from psycopg.waiting import Ready, Wait
from sqlalchemy import Dialect, Engine, event, exc

from api.settings import SettingsError


def listen_to_postgres(engine: Engine) -> None:
    """Prepare each connection of an engine, and have it looked at before it is used again."""
    if monkey.is_module_patched("select"):
        event.listen(engine, "do_connect", _connect)
    event.listen(engine, "connect", _check_encoding, insert=True)  # before SQLAlchemy asks for text
    event.listen(engine, "connect", _read_ids_as_text)
    event.listen(engine, "connect", _write_no_nul)
    event.listen(engine, "checkout", _check_connection)
    event.listen(engine, "checkout", _begin_transactions)


class _Connection(psycopg.Connection[Any]):
    """A connection that waits as gevent's sockets do; the driver makes a poll object for each answer."""

    def wait(self, gen: PQGen[RV], interval: float = 0.0, timeout: float | None = None) -> RV:
        """Return what a generator of the driver ends with; others run while it waits."""
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        try:
            wanted = next(gen)
            while True:
                wait, ready = WAITS[wanted]
                wait(self.pgconn.socket)
                wanted = gen.send(ready)
        except StopIteration as done:
            result: RV = done.value
            return result


WAITS = {
    Wait.R: (wait_read, Ready.R),
    Wait.W: (wait_write, Ready.W),
    Wait.RW: (wait_readwrite, Ready.RW),
}


def _connect(_dialect: Dialect, _entry: object, args: Any, options: Any) -> "psycopg.Connection[Any]":
    return _Connection.connect(*args, **options)


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
        return (obj.replace("\0", "") if "\0" in obj else obj).encode()


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
