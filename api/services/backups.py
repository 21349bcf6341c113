"""Backups: every row, file and key of an installation in one archive, and an empty one filled from it.

Rows are read in one transaction, so they are those of one instant however many
change meanwhile; the files come after, since a file is there before its row and
goes after it. Of what stores hold, the vectors are in the archive, by the hash of
their text; the entries are made again from them and the rows (verification.py).

An archive is a tar, compressed by gzip: ``manifest.json``, ``secret_key``,
``rows/{table}/{number}.json``, ``vectors/{number}.json``, ``files/{key}``, and
``end.json``, which counts them. It is the same on SQLite and on PostgreSQL and
whatever the store of vectors, so it also moves an installation from one to another.
"""

import array
import base64
import io
import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import IO, Any, BinaryIO

import orjson
from sqlalchemy import Connection, Date, LargeBinary, Numeric, Table, inspect, select, text, update
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.orm import Session

from api.core.model_runtime.types import ModelRef
from api.errors import Conflict, InvalidRequest, NotFound
from api.models.account import Account, Setup
from api.models.annotation import Annotation, AnnotationSetting
from api.models.base import Base, utc_now
from api.models.types import UTCDateTime
from api.runtime import Runtime
from api.services import annotation_index, held_work, stored_embeddings, verification
from api.services.held_work import Held
from api.services.verification_rows import load_indexed

FORMAT = 1
ROWS_AT_ONCE = 500
MAX_PART_BYTES = 8 * 1024 * 1024
LEVEL = 1
"""Of compression: more costs time, and most of what is large is compressed already."""

MANIFEST, SECRET, END = "manifest.json", "secret_key", "end.json"
ROWS, VECTORS, FILES = "rows/", "vectors/", "files/"
LEFT_OUT = frozenset({"worker_beats", "stored_embeddings", "log_blocks", "log_places", "log_grams"})
"""Tables of what runs at the moment, of vectors, which come from the stores: there are all of them, and of
the index of logs, which is made again."""
SEGMENTS_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What an archive says of itself first. ``revision`` is the schema its rows have."""

    version: str
    revision: str
    created_at: str


@dataclass(frozen=True, slots=True)
class Contents:
    """How many rows of each table, how many files, and what a restore holds back."""

    rows: Mapping[str, int]
    files: int
    held: Held = field(default_factory=Held)


def back_up(runtime: Runtime, target: BinaryIO, *, revision: str, secret: str) -> Contents:
    """Write the archive of an installation, which may work meanwhile, and return what is in it.

    Raises Unavailable where the database or the files cannot be read.
    """
    rows: Counter[str] = Counter()
    files = 0
    with tarfile.open(fileobj=target, mode="w:gz", compresslevel=LEVEL) as archive:
        about = {"version": runtime.limits.version, "revision": revision, "created_at": utc_now().isoformat()}
        _add(archive, MANIFEST, orjson.dumps({"format": FORMAT, **about}))
        _add(archive, SECRET, secret.encode())
        with _snapshot(runtime) as connection:
            for table in _tables():
                for number, (count, part) in enumerate(_parts(connection, table)):
                    _add(archive, f"{ROWS}{table.name}/{number:06}.json", part)
                    rows[f"{table.name}"] += count  # as plain text, which SQLAlchemy's names are not
        for number, part in enumerate(_vectors(runtime)):
            _add(archive, f"{VECTORS}{number:06}.json", part)
        for key in runtime.storage.all_keys():
            files += _add_file(runtime, archive, key)
        _add(archive, END, orjson.dumps({"rows": rows, "files": files}))
    return Contents(rows, files)


def read_head(source: BinaryIO) -> tuple[Manifest, str]:
    """Return what an archive says of itself, and its root secret. Raises InvalidRequest for no archive."""
    with _opened(source) as archive:
        about, secret = (_read(archive, _next(archive, name)) for name in (MANIFEST, SECRET))
        told = orjson.loads(about)
        if told.get("format") != FORMAT:
            raise InvalidRequest(f"The archive is of format {told.get('format')!r}; {FORMAT} can be read.")
        manifest = Manifest(
            version=str(told["version"]),
            revision=str(told["revision"]),
            created_at=str(told["created_at"]),
        )
        return manifest, secret.decode()


def check_empty(runtime: Runtime) -> None:
    """Raise Conflict where the installation has an owner: what is there would be mixed with what comes.

    A database without tables is empty.
    """
    if not inspect(runtime.engine).has_table(Setup.__tablename__):
        return
    with runtime.reading() as session:
        if session.get(Setup, 1) is not None or session.scalar(select(Account.id).limit(1)) is not None:
            raise Conflict("The database is not empty. Restore into a new one.")


def restore(runtime: Runtime, source: BinaryIO, *, is_copy: bool = True) -> Contents:
    """Fill an empty installation with the rows and files of an archive; all rows, or none.

    A copy, beside which the original may work, holds back what it would do by itself (held_work.py).
    Its schema must be the archive's. Afterwards vectors and words are to be
    filled (``verify``). Raises Conflict where it is not empty, InvalidRequest for
    an archive that is broken off or damaged.
    """
    check_empty(runtime)
    rows: Counter[str] = Counter()
    files = 0
    tables = {table.name: table for table in _tables()}
    with _opened(source) as archive, runtime.writing() as connection:
        _wait_without_end(connection)
        for member in archive:
            if member.name.startswith(ROWS):
                name = member.name.split("/")[1]
                rows[name] += _insert(connection, tables[name], _read(archive, member))
            elif member.name.startswith(VECTORS):
                _keep_vectors(connection, _read(archive, member))
            elif member.name.startswith(FILES):
                with _content(archive, member) as content:
                    runtime.storage.put(member.name.removeprefix(FILES), content)  # type: ignore[arg-type]
                files += 1
            elif member.name == END:
                if orjson.loads(_read(archive, member)) != {"rows": rows, "files": files}:
                    raise InvalidRequest("The archive does not hold what its last part says.")
                break
        else:
            raise InvalidRequest("The archive is broken off: its last part is missing.")
        _forget_annotation_entries(runtime, connection)
        with Session(connection) as session:
            held = held_work.hold(session) if is_copy else Held()
    return Contents(rows, files, held)


def _tables() -> list[Table]:
    """Return the tables whose rows are kept, each after those it refers to."""
    return [table for table in Base.metadata.sorted_tables if table.name not in LEFT_OUT]


@contextmanager
def _snapshot(runtime: Runtime) -> Iterator[Connection]:
    """Yield a connection that sees the rows of one instant, and keeps no writer waiting."""
    with runtime.engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            _wait_without_end(connection)
        else:
            connection.exec_driver_sql("BEGIN")
        yield connection
        connection.rollback()


def _wait_without_end(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        for limit in ("statement_timeout", "idle_in_transaction_session_timeout"):
            connection.execute(text(f"SET LOCAL {limit} = 0"))


def _parts(connection: Connection, table: Table) -> Iterator[tuple[int, bytes]]:
    """Yield a table's rows as JSON lists of some megabytes, each with their number."""
    lines: list[bytes] = []
    size_bytes = 0
    found = connection.execution_options(stream_results=True, yield_per=ROWS_AT_ONCE).execute(select(table))
    for row in found.mappings():
        lines.append(orjson.dumps(dict(row), default=_to_text))
        size_bytes += len(lines[-1])
        if size_bytes > MAX_PART_BYTES:
            yield len(lines), b"[" + b",\n".join(lines) + b"]"
            lines, size_bytes = [], 0
    if lines:
        yield len(lines), b"[" + b",\n".join(lines) + b"]"


def _vectors(runtime: Runtime) -> Iterator[bytes]:
    """Yield the vectors of indexed texts by their hash: those of some segments of a dataset at a time."""
    for target in verification.load_targets(runtime):
        last = ""
        while target.embedding is not None:
            with runtime.reading() as session:
                segments = load_indexed(session, target, after=last, limit=SEGMENTS_AT_ONCE)
            if not segments:
                break
            last = segments[-1].id
            hashes = {text.id: text.hash for segment in segments for text in segment.texts}
            held = runtime.vectors.vectors(target.collection, list(hashes))
            vectors = {hashes[found]: array.array("f", vector).tobytes() for found, vector in held.items()}
            made_by = {"provider": target.embedding.provider, "model": target.embedding.model}
            part = {"tenant_id": target.tenant_id, **made_by, "vectors": vectors}
            yield orjson.dumps(part, default=_to_text)


def _keep_vectors(connection: Connection, part: bytes) -> None:
    told = orjson.loads(part)
    model = ModelRef(told["provider"], told["model"])
    vectors = {digest: array.array("f", base64.b64decode(each)) for digest, each in told["vectors"].items()}
    with Session(connection) as session:
        stored_embeddings.keep(session, told["tenant_id"], model, vectors, ())


def _to_text(value: object) -> str:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"{type(value).__name__} is no value of a column")


def _insert(connection: Connection, table: Table, part: bytes) -> int:
    rows: Sequence[dict[str, Any]] = orjson.loads(part)
    for column in table.c:
        convert = _converter(column.type)
        if convert is not None:
            for row in rows:
                if row[column.name] is not None:
                    row[column.name] = convert(row[column.name])
    for start in range(0, len(rows), ROWS_AT_ONCE):
        connection.execute(table.insert(), rows[start : start + ROWS_AT_ONCE])
    return len(rows)


def _converter(kind: object) -> Any:
    """Return what makes a column's value of its JSON; None where it is one."""
    if isinstance(kind, UTCDateTime):
        return datetime.fromisoformat
    if isinstance(kind, Date):
        return date.fromisoformat
    if isinstance(kind, LargeBinary):
        return base64.b64decode
    return Decimal if isinstance(kind, Numeric) and kind.asdecimal else None


def _forget_annotation_entries(runtime: Runtime, connection: Connection) -> None:
    """Have the questions of annotations put into the store again, once the program works."""
    with Session(connection) as session:
        session.execute(update(Annotation).values(indexed_in=None, updated_at=Annotation.updated_at))
        for tenant_id, app_id in session.execute(
            select(AnnotationSetting.tenant_id, AnnotationSetting.app_id).where(
                AnnotationSetting.is_enabled.is_(True)
            )
        ):
            annotation_index.request_indexing(runtime, session, tenant_id, app_id)
        session.flush()


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    _add_member(archive, name, io.BytesIO(content), len(content))


def _add_member(archive: tarfile.TarFile, name: str, content: IO[bytes], size_bytes: int) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size_bytes, 0o600
    archive.addfile(member, content)


def _add_file(runtime: Runtime, archive: tarfile.TarFile, key: str) -> int:
    """Add a file, and return 1; 0 for one that was removed meanwhile."""
    try:
        content = runtime.storage.open(key)
    except NotFound:
        return 0
    with content:
        size_bytes = content.seek(0, io.SEEK_END)
        content.seek(0)
        _add_member(archive, f"{FILES}{key}", content, size_bytes)
    return 1


@contextmanager
def _opened(source: BinaryIO) -> Iterator[tarfile.TarFile]:
    source.seek(0)
    try:
        with tarfile.open(fileobj=source, mode="r|gz") as archive:
            yield archive
    except (tarfile.TarError, EOFError, OSError, KeyError, ValueError) as exc:
        raise InvalidRequest(f"The archive cannot be read: {exc}") from exc
    except (IntegrityError, DataError) as exc:
        raise InvalidRequest(f"The rows of the archive do not fit together: {exc.orig}") from exc


def _next(archive: tarfile.TarFile, name: str) -> tarfile.TarInfo:
    member = archive.next()
    if member is None or member.name != name:
        raise InvalidRequest(f"This is no archive of Slipway: it does not begin with {name}.")
    return member


def _read(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    with _content(archive, member) as content:
        return content.read()


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    content = archive.extractfile(member)
    if content is None:
        raise InvalidRequest(f"The part {member.name} of the archive is no file.")
    return content
