"""What this process was given at start: the chosen backends, the limits, and ``transaction()``.

Boundary: holds and hands out; decides nothing. Made once by the composition
root (api/foundation.py) and passed down as an argument.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, exc
from sqlalchemy.orm import Session as Session  # noqa: PLC0414  # doors name the type without knowing SQLAlchemy
from sqlalchemy.orm import sessionmaker
from sqlalchemy.orm.exc import StaleDataError

from api.core.events import Channel
from api.core.http import HTTPClient
from api.core.model_runtime.types import IdStyle
from api.core.plugins.index import PluginIndex
from api.core.plugins.runner import PluginRunner
from api.core.ports import Cache, Cancel, CodeSandbox, Extractor, Mailer, Offload, Storage, TaskQueue
from api.core.rag.vector_store import KeywordIndex, VectorStore
from api.core.tools.mcp.sessions import MCPSessions
from api.core.vault import Vault
from api.core.workflow.deps import FlowLimits
from api.errors import NotFound, Unavailable
from api.metrics import Board, Metrics
from api.models.base import new_id
from api.traces import NO_TRACER, Tracer

logger = logging.getLogger(__name__)

AFTER_COMMIT = "after_commit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """At most ``limit`` calls in ``seconds``; a limit of 0 means none."""

    limit: int
    seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Policy numbers, all from the settings; the names say the unit. Zero means no limit where said."""

    version: str
    deploy_env: str
    public_url: str
    console_web_url: str
    default_plan: str
    is_app_name_unique: bool
    are_rate_limits_on: bool
    enterprise_windows: tuple[Window, ...]
    visitor_rpm: int
    console_rpm: int
    max_active_requests: int
    key_max_active_requests: int
    workspace_max_active_requests: int
    max_json_bytes: int
    max_file_bytes: dict[str, int]
    max_segment_tokens: int
    files_url_ttl_s: int
    access_ttl_s: int
    refresh_ttl_s: int
    login_max_failures: int
    login_lock_s: int
    connect_timeout_s: float
    first_token_timeout_s: float
    idle_timeout_s: float
    run_timeout_s: float
    speech_timeout_s: float
    ping_interval_s: float
    graceful_timeout_s: int
    job_lease_s: float
    job_turn_s: float
    workflow_log_retention_days: int
    flow: FlowLimits
    plugin_public_key: str
    provider_id_style: IdStyle
    cookie_domain: str
    notion_api_url: str
    metrics_token: str = field(repr=False)
    admin_api_key: str = field(repr=False)


class Memory:
    """A bounded map of this process: the least recently used entry goes first.

    Holds only what may be lost at any time and is checked against its source
    by the key (a version or a short instant is part of it).
    """

    def __init__(self, max_entries: int) -> None:
        self._max_entries = max_entries
        self._entries: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Any:
        """Return the value, or None."""
        with self._lock:
            if key not in self._entries:
                return None
            self._entries.move_to_end(key)
            return self._entries[key]

    def put(self, key: Hashable, value: Any) -> None:
        """Keep the value until room is needed."""
        with self._lock:
            self._entries[key] = value
            self._entries.move_to_end(key)
            if len(self._entries) > self._max_entries:
                self._entries.popitem(last=False)


@dataclass(frozen=True, kw_only=True, eq=False)
class Runtime:
    """The chosen backends of one process.

    ``http`` obeys the egress guard; ``provider_http`` is for the endpoints of
    model providers, which an owner may put on a private network. ``mailer`` is
    None where no mail server is configured. ``owner`` names this process in rows
    that must be taken over when it dies. ``mcp_sessions`` are those this process has
    with servers of tools. ``used_keys`` collects when API keys were used, to be
    written now and then; ``live_runs`` are the runs of this process that have not
    ended, by task id, ``live_jobs`` its jobs, by id and attempt; ``epochs`` count
    what makes remembered things out of date, ``lookups`` are under way for them.
    """

    session_factory: sessionmaker[Session]
    storage: Storage
    cache: Cache
    channel: Channel
    keywords: KeywordIndex
    queue: TaskQueue
    offload: Offload
    extractor: Extractor
    sandbox: CodeSandbox
    vectors: VectorStore
    vault: Vault
    http: HTTPClient
    provider_http: HTTPClient
    plugin_index: PluginIndex
    plugins: PluginRunner
    limits: Limits
    mailer: Mailer | None = None
    memory: Memory = field(default_factory=lambda: Memory(50_000))
    mcp_sessions: MCPSessions = field(default_factory=MCPSessions)
    used_keys: dict[str, datetime] = field(default_factory=dict)
    live_runs: dict[str, Cancel] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=dict)
    lookups: dict[Hashable, threading.Event] = field(default_factory=dict)
    live_jobs: dict[tuple[str, int], Cancel] = field(default_factory=dict)
    owner: str = field(default_factory=new_id)
    metrics: Metrics = field(default_factory=Metrics)
    tracer: Tracer = NO_TRACER
    board: Board | None = None

    @property
    def engine(self) -> Engine:
        """The database its sessions are opened on."""
        engine: Engine = self.session_factory.kw["bind"]
        return engine

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Yield a session; commit on return, roll back on raise, then run what waited for the commit.

        Raises Unavailable when the database is out of reach or its pool is
        exhausted, NotFound when another transaction deleted a row this one
        changed. Keep the block short: nothing outside is waited for in it.
        """
        with _FAULTS_TOLD, self.session_factory() as session:
            yield session
            session.commit()
        for action in session.info.pop(AFTER_COMMIT, ()):
            action()

    @contextmanager
    def autocommit(self) -> Iterator[Connection]:
        """Yield a connection whose statements commit one by one: for one that writes, or some that read.

        One statement is all or nothing anyway, and on PostgreSQL this saves two
        of three round trips. Raises Unavailable as :meth:`transaction` does.
        """
        with _FAULTS_TOLD, self.engine.connect() as connection:
            yield committing_each(connection)

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Yield a connection in a transaction, for a few statements that need no session.

        Raises Unavailable as :meth:`transaction` does.
        """
        with _FAULTS_TOLD, self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Yield a session for statements that only read; each sees what is committed as it starts.

        That is what they see in a transaction too, but here none is begun and
        ended around them, which on PostgreSQL takes as many round trips again.
        Raises Unavailable as :meth:`transaction` does.
        """
        with _FAULTS_TOLD, self.session_factory() as session:
            reading_each(session.connection())
            yield session
            assert not session.new, "a session that reads was given a row"
            assert not session.dirty, "a session that reads changed a row"


def committing_each(connection: Connection) -> Connection:
    """Have each statement of a connection that was just taken commit for itself, until it is given back.

    On PostgreSQL that is a word to the driver, which sends no BEGIN then, and
    taken back when the connection is taken again (backends/postgres.py):
    SQLAlchemy's own way takes as long as half a statement.
    """
    if connection.dialect.name == "sqlite":
        return connection.execution_options(isolation_level="AUTOCOMMIT")
    driver: Any = connection.connection.dbapi_connection
    driver.autocommit = True
    return connection


def reading_each(connection: Connection) -> Connection:
    """Have a connection that was just taken begin no transaction around statements that only read.

    SQLite begins none before the first statement that writes (backends/database.py).
    """
    return connection if connection.dialect.name == "sqlite" else committing_each(connection)


class _FaultsTold:
    """Tells the database's faults as errors of ours; a class, because every message enters it twice."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, exc.OperationalError | exc.InterfaceError | exc.TimeoutError):
            logger.warning("database unavailable: %s", type(error).__name__)
            raise Unavailable("The database is not available; try again shortly.") from error
        if isinstance(error, StaleDataError):
            raise NotFound("What you wanted to change was deleted meanwhile.") from error


_FAULTS_TOLD = _FaultsTold()


def on_commit(session: Session, action: Callable[[], None]) -> None:
    """Run ``action`` once the transaction of ``session`` is committed; never if it is rolled back.

    ``action`` must not raise: the caller's answer no longer depends on it.
    """
    session.info.setdefault(AFTER_COMMIT, []).append(action)
