"""Whether this process can do its work, part by part."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import text

from api.errors import AppError
from api.runtime import Runtime

KEEP_S = 1.0
PROBE = "health-probe"


@dataclass(frozen=True, slots=True)
class Readiness:
    """The state of each part by name: ``ok`` or ``down``; good for a second."""

    parts: dict[str, str]
    checked_at: float

    @property
    def is_ready(self) -> bool:
        """Tell whether every part works."""
        return all(state == "ok" for state in self.parts.values())


def check_readiness(runtime: Runtime) -> Readiness:
    """Return the state of database, cache and storage, asked at most once a second."""
    known: Readiness | None = runtime.memory.get("readiness")
    if known is not None and time.monotonic() - known.checked_at < KEEP_S:
        return known
    probes: dict[str, Callable[[], object]] = {
        "database": lambda: _probe_database(runtime),
        "cache": lambda: runtime.cache.get(PROBE),
        "storage": lambda: runtime.storage.exists(PROBE),
    }
    fresh = Readiness({name: _state(probe) for name, probe in probes.items()}, time.monotonic())
    runtime.memory.put("readiness", fresh)
    return fresh


def _probe_database(runtime: Runtime) -> None:
    with runtime.transaction() as session:
        session.execute(text("SELECT 1"))


def _state(probe: Callable[[], object]) -> str:
    try:
        probe()
    except AppError:
        return "down"
    return "ok"
