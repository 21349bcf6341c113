"""Places for work of which only so much may go on at once, shared fairly between workspaces.

What must stay true: however many of one workspace wait, the next place goes to
the workspace that holds the fewest, and among those to each in turn; a place is
empty only while nobody waits who may have it.
"""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from api.core.ports import Cancel
from api.principal import works_for


class Stopped(Exception):
    """The work was cancelled while it waited for a place."""


@dataclass(eq=False)
class _Waiter:
    """Who waits; ``has_place`` is written under the lock of the places."""

    woken: threading.Event = field(default_factory=threading.Event)
    has_place: bool = False


@dataclass(eq=False)
class _Share:
    """What a workspace has of the places: those it holds, its line, and which turn was its last."""

    held: int = 0
    line: deque[_Waiter] = field(default_factory=deque)
    last_turn: int = 0


class Places:
    """So many places; who finds none free waits in the line of its workspace.

    One workspace has at most ``most_of_one`` of them.
    """

    def __init__(self, count: int, most_of_one: int | None = None) -> None:
        self._free = count
        self._most_of_one = most_of_one or count
        self._turns = 0
        self._shares: dict[str, _Share] = {}
        self._lock = threading.Lock()

    @property
    def waiting(self) -> int:
        """How many wait."""
        with self._lock:
            return sum(len(share.line) for share in self._shares.values())

    @contextmanager
    def hold(self, cancel: Cancel, wait_s: float, owner: str | None = None) -> Iterator[None]:
        """Hold a place, for the workspace ``owner`` or the one that is worked for.

        Raises Stopped, or TimeoutError after ``wait_s`` or the work's own time.
        """
        tenant_id = works_for.get() if owner is None else owner
        self._take(tenant_id, cancel, wait_s)
        try:
            yield
        finally:
            self._give(tenant_id)

    def _take(self, tenant_id: str, cancel: Cancel, wait_s: float) -> None:
        if cancel.is_set():
            raise Stopped
        with self._lock:
            share = self._shares.setdefault(tenant_id, _Share())
            if self._free and self._may_have(share):
                self._free -= 1
                self._serve(share)
                return
            waiter = _Waiter()
            share.line.append(waiter)
        is_stopped = True  # unless the wait comes to its end
        forget = cancel.on_cancel(waiter.woken.set)
        try:
            waiter.woken.wait(min(wait_s, cancel.remaining_s()))
            is_stopped = cancel.is_set()
        finally:
            forget()
            has_place = self._leave_line(tenant_id, waiter)
            if has_place and is_stopped:
                self._give(tenant_id)
        if is_stopped:
            raise Stopped
        if not has_place:
            raise TimeoutError

    def _leave_line(self, tenant_id: str, waiter: _Waiter) -> bool:
        """Wait no longer; tell whether a place was given by now."""
        with self._lock:
            if not waiter.has_place:
                self._shares[tenant_id].line.remove(waiter)
                self._forget_idle(tenant_id)
            return waiter.has_place

    def _give(self, tenant_id: str) -> None:
        """Give a place back: to who waits for it, where anybody does."""
        with self._lock:
            self._shares[tenant_id].held -= 1
            waiting = [share for share in self._shares.values() if share.line and self._may_have(share)]
            if waiting:
                next_one = min(waiting, key=lambda share: (share.held, share.last_turn))
                waiter = next_one.line.popleft()
                self._serve(next_one)
                waiter.has_place = True
                waiter.woken.set()
            else:
                self._free += 1
            self._forget_idle(tenant_id)

    def _may_have(self, share: _Share) -> bool:
        return share.held < self._most_of_one

    def _serve(self, share: _Share) -> None:
        self._turns += 1
        share.last_turn = self._turns
        share.held += 1

    def _forget_idle(self, tenant_id: str) -> None:
        share = self._shares[tenant_id]
        if not share.held and not share.line:
            del self._shares[tenant_id]
