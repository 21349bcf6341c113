"""How long the waits of an outbound call may last, and the errors that come of them.

Others import these from api/core/http.py.
"""

import ssl
import time
from dataclasses import dataclass
from typing import Literal

from api.core.ports import Cancel

DRAIN_S = 0.05

Phase = Literal["connect", "send", "first_byte", "idle", "total"]


class HTTPFailure(Exception):
    """A call that got no complete answer."""


class ConnectFailed(HTTPFailure):
    """No connection came about; nothing was sent."""


class ConnectionBroken(HTTPFailure):
    """The connection broke, or the peer spoke no HTTP, before the answer was complete.

    ``is_midway`` tells that some of the body had come.
    """

    def __init__(self, message: str, *, is_midway: bool = True) -> None:
        super().__init__(message)
        self.is_midway = is_midway


class BodyTooLarge(HTTPFailure):
    """The answer is larger than the caller allows."""


class TimedOut(HTTPFailure):
    """A deadline passed; ``phase`` says which."""

    def __init__(self, where: str, phase: Phase) -> None:
        super().__init__(f"{where} did not answer in time ({phase.replace('_', ' ')}).")
        self.phase = phase


class Cancelled(Exception):
    """The call was ended by its Cancel; no fault of either side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long the waits of a call may last; its total comes from ``Cancel.deadline``.

    ``first_byte_s`` runs from the sent request to the first byte of the body,
    ``idle_s`` between two pieces of either body.
    """

    connect_s: float
    first_byte_s: float
    idle_s: float


class Waits:
    """How long the next wait of a call may last, and what it means when it fails.

    ``turn_at`` is when the call last waited or gave way, ``rests_until`` when it
    reads a trickle again; both are ``time.monotonic()`` instants. ``late_s`` is how
    much later than that it last did.
    """

    __slots__ = (
        "_idle_s",
        "_phase_ends_at",
        "_timeouts",
        "cancel",
        "late_s",
        "phase",
        "rests_until",
        "turn_at",
        "where",
    )

    def __init__(self, where: str, timeouts: Timeouts, cancel: Cancel) -> None:
        self.where = where
        self.cancel = cancel
        self.phase: Phase = "connect"
        self._timeouts = timeouts
        self._idle_s = timeouts.idle_s
        self.rests_until = 0.0
        self.late_s = 0.0
        self.turn_at = time.monotonic()
        self._phase_ends_at = self.turn_at + timeouts.connect_s

    def expect_answer(self) -> None:
        self.phase = "first_byte"
        self._phase_ends_at = time.monotonic() + self._timeouts.first_byte_s

    def hurry(self) -> None:
        self.phase = "idle"
        self.rests_until = 0.0
        self._idle_s = DRAIN_S

    def left_s(self, now: float) -> float:
        """Return the seconds a wait from ``now`` may take; raises TimedOut when there are none."""
        cancel = self.cancel
        if cancel.is_set():
            raise Cancelled
        left_s = self._phase_ends_at - now if self.phase in ("connect", "first_byte") else self._idle_s
        left_s = min(left_s, cancel.deadline - now)
        if left_s <= 0:
            raise self._timed_out()
        return left_s

    def failure(self, exc: OSError) -> Exception:
        """Return what the failure of a wait means for the caller."""
        if self.cancel.is_set():
            return Cancelled()
        if isinstance(exc, TimeoutError):
            return self._timed_out()
        if self.phase == "connect":
            reason = exc.verify_message if isinstance(exc, ssl.SSLCertVerificationError) else exc.strerror
            return ConnectFailed(f"No connection to {self.where}: {reason or type(exc).__name__}.")
        return self.broken()

    def broken(self) -> ConnectionBroken:
        """Return what an answer without its end means for the caller."""
        message = f"{self.where} broke off before its answer was complete."
        return ConnectionBroken(message, is_midway=self.phase == "idle")

    def _timed_out(self) -> TimedOut:
        return TimedOut(self.where, "total" if self.cancel.is_overdue() else self.phase)
