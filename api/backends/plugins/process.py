"""Plugins in processes of their own, a few of each version and workspace kept warm, more while it is called.

Implements PluginRunner. A process serves one call at a time, so that whatever a
call does to it, no other sees it; one whose call did not end as it should is
killed. It is started on an interpreter without site packages, with an
environment, a directory and limits of its own; its other end is
api/core/plugins/child.py. Waiting is cooperative: gevent patches ``socket``,
``subprocess`` and ``threading``.
"""

import contextlib
import os
import shutil
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from api.backends.offload import Backend as Offload
from api.backends.places import Places, Stopped
from api.backends.plugins.child import Child, Talk
from api.core.http import Cancelled, Timeouts
from api.core.plugins.declarations import BadPackage
from api.core.plugins.package import is_intact, unpack
from api.core.plugins.runner import Answer, PluginCode, PluginFailed
from api.core.ports import Cancel, JSONObject
from api.errors import NotFound, Unavailable
from api.settings import Settings

IDLE_S = 300.0
KEPT = 4
"""Processes of one plugin and workspace that wait for calls: those that answer at once come in bursts."""
WAIT_S = 60.0
UNPACK_S = 60.0
UNUSED_S = 7 * 86_400.0
"""How long files stay unpacked that nothing is started from; they are unpacked again when they are needed."""
MIN_MEMORY_MB = 128
"""Less than this Python does not start with."""
MB = 1024 * 1024


class Backend:
    """Implements PluginRunner; at most ``max_processes`` work at once, and as many wait for work.

    One workspace has at most three quarters of them, so that others find one
    however long its calls take.
    """

    def __init__(
        self, root: Path, offload: Offload, *, memory_mb: int, max_processes: int, isolation: str
    ) -> None:
        self._root = root
        self._offload = offload
        self._memory_mb = memory_mb
        self._max_processes = max_processes
        self._isolation = isolation
        self._places = Places(max_processes, most_of_one=max(1, max_processes * 3 // 4))
        self._idle: list[Child] = []
        self._busy: set[Child] = set()
        self._lock = threading.Lock()
        self._is_stopped = False

    @classmethod
    def from_settings(cls, settings: Settings, *, offload: Offload) -> Self:
        """Unpack under DATA_DIR; bound by PLUGIN_MEMORY_MB and PLUGIN_PROCESSES."""
        return cls(
            settings.data_dir.absolute() / "plugins",
            offload,
            memory_mb=settings.plugin_memory_mb,
            max_processes=settings.plugin_processes,
            isolation=settings.plugin_isolation,
        )

    def call(
        self,
        code: PluginCode,
        request: JSONObject,
        *,
        max_bytes: int,
        cancel: Cancel,
        answer: Answer,
        timeouts: Timeouts | None = None,
    ) -> Iterator[JSONObject]:
        """Yield what a plugin streams; see PluginRunner."""
        if self._is_stopped:
            raise PluginFailed("The plugin was stopped.")
        try:
            with self._places.hold(cancel, WAIT_S, owner=code.tenant_id):
                child = self._take(code) or self._start(code)
                self._note(child)
                try:
                    talk = Talk(max_bytes=max_bytes, cancel=cancel, answer=answer, timeouts=timeouts)
                    yield from child.ask(request, talk)
                finally:
                    self._put(child)
        except TimeoutError as exc:
            raise Unavailable("Too many plugins are being called now; try again shortly.") from exc
        except Stopped as exc:
            raise Cancelled from exc

    def drop(self, tenant_id: str, digest: str) -> None:
        """End the idle processes of a plugin; see PluginRunner."""
        with self._lock:
            over = [
                each for each in self._idle if (each.code.tenant_id, each.code.digest) == (tenant_id, digest)
            ]
            self._idle = [each for each in self._idle if each not in over]
        _end(over)

    def close_idle(self) -> None:
        """End processes that were not called for a while, remove files that were not used for days."""
        self._end_idle()
        self._offload.call(_remove_unused, self._root, timeout_s=UNPACK_S)

    def _end_idle(self) -> None:
        oldest = time.monotonic() - IDLE_S
        with self._lock:
            over = [each for each in self._idle if each.idle_since < oldest]
            self._idle = [each for each in self._idle if each not in over]
        _end(over)

    def stop(self) -> None:
        """End all processes; see PluginRunner."""
        with self._lock:
            self._is_stopped = True
            idle, self._idle = self._idle, []
            for child in self._busy:
                child.kill()
        _end(idle)

    def _take(self, code: PluginCode) -> Child | None:
        """Return a warm process of a plugin; one that died while it was idle is forgotten."""
        with self._lock:
            warm = [each for each in self._idle if each.code == code]
            dead = [each for each in warm if not each.is_alive()]
            found = next((each for each in warm if each not in dead), None)
            self._idle = [each for each in self._idle if each is not found and each not in dead]
        _end(dead)
        return found

    def _start(self, code: PluginCode) -> Child:
        memory_mb = max(MIN_MEMORY_MB, min(code.memory_bytes // MB or self._memory_mb, self._memory_mb))
        return Child.start(code, self._unpacked(code), memory_mb, self._isolation)

    def _unpacked(self, code: PluginCode) -> Path:
        """Return the directory of a plugin, its files as they were installed, whatever was done to them."""
        directory = self._root / code.digest
        try:
            if not self._offload.call(is_intact, directory, code.digest, timeout_s=UNPACK_S):
                self._offload.call(_unpack, code.fetch(), directory, code.digest, timeout_s=UNPACK_S)
            os.utime(directory)
        except BadPackage as exc:
            raise PluginFailed(exc.message) from exc
        except NotFound as exc:
            raise PluginFailed("The plugin was removed.") from exc
        except TimeoutError as exc:
            raise Unavailable("The plugin's files could not be read in time; try again.") from exc
        except OSError as exc:
            raise Unavailable("There is no room for the plugin's files now.") from exc
        return directory

    def _note(self, child: Child) -> None:
        with self._lock:
            self._busy.add(child)
            if self._is_stopped:
                child.kill()

    def _put(self, child: Child) -> None:
        """Keep a few processes of a plugin for its next calls, and no more in all than there are places."""
        child.idle_since = time.monotonic()
        over = [child]
        with self._lock:
            self._busy.discard(child)
            is_wanted = sum(each.code == child.code for each in self._idle) < KEPT
            if child.is_usable and is_wanted and not self._is_stopped:
                self._idle.append(child)
                over = [self._idle.pop(0)] if len(self._idle) > self._max_processes else []
        _end(over)
        self._end_idle()


def _end(children: list[Child]) -> None:
    for child in children:
        child.end()


def _remove_unused(root: Path) -> None:
    """Remove what was not started from for days: other processes, too, say when they start from it."""
    oldest = time.time() - UNUSED_S
    for directory in root.iterdir() if root.is_dir() else ():
        with contextlib.suppress(FileNotFoundError):  # another process was first
            if directory.stat().st_mtime < oldest:
                shutil.rmtree(directory)


def _unpack(content: bytes, directory: Path, digest: str) -> None:
    """Put a package's files in place of what is there; another process may do the same at once."""
    fresh = directory.with_name(f".{uuid.uuid4()}")
    try:
        unpack(content, fresh, digest)
        try:
            fresh.rename(directory)
        except OSError:  # something is there: the same by now, or what somebody changed
            if not is_intact(directory, digest):
                directory.rename(fresh.with_suffix(".old"))
                fresh.rename(directory)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(fresh.with_suffix(".old"), ignore_errors=True)
