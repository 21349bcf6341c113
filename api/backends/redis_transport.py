"""kombu's Redis transport, for workers on greenlets.

Celery's loop for greenlets sleeps up to two seconds in the transport. A finished
job does not end that sleep, so a worker with all its places taken would leave
each of them empty for as long. Here it sleeps shorter while no place is free.
"""

from typing import Any

from kombu.transport import redis

TAKEN_POLL_S = 0.05


class Transport(redis.Transport):  # type: ignore[misc]  # kombu is untyped
    """A connection that looks for a free place every 50 ms while there is none."""

    def drain_events(self, connection: Any, timeout: float | None = None) -> None:
        """Deliver one message; raises TimeoutError where none came in time."""
        if not all(channel.qos.can_consume() for channel in self.channels):
            timeout = TAKEN_POLL_S if timeout is None else min(timeout, TAKEN_POLL_S)
        super().drain_events(connection, timeout=timeout)
