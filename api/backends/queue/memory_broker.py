"""A broker in this process's memory, as a transport of kombu that is woken instead of polling.

kombu's own memory transport looks every so often whether something came, and
shares its queues with every connection of the process. Here whoever waits is
woken by what it waits for (a message, or a place to take one), and the queues
belong to one :class:`Mailbox`, handed over as a transport option.
"""

import threading
import time
from collections import defaultdict, deque
from queue import Empty
from typing import Any

from kombu.transport import virtual

TRANSPORT = f"{__name__}:Transport"
MAILBOX = "mailbox"


class Mailbox:
    """The messages that wait, by queue, and the exchanges known; shared by the connections to it."""

    def __init__(self) -> None:
        self.state = virtual.BrokerState()
        self.queues: defaultdict[str, deque[Any]] = defaultdict(deque)
        self._changed = threading.Condition()
        self._changes = 0
        self._is_closed = False

    @property
    def changes(self) -> int:
        """How often something changed that others may wait for."""
        return self._changes

    def tell(self) -> None:
        """Wake whoever waits: there is a message, or a place to take one."""
        with self._changed:
            self._changes += 1
            self._changed.notify_all()

    def wait(self, seen: int, timeout_s: float | None) -> bool:
        """Wait until more than ``seen`` changes were told; False when time is up or the mailbox closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or self._changes != seen, timeout_s)
            return not self._is_closed and self._changes != seen

    def close(self) -> None:
        """Let nobody wait any more."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()


class Channel(virtual.Channel):  # type: ignore[misc]  # kombu is untyped
    """Puts and takes messages; the names are kombu's."""

    do_restore = False

    @property
    def _mailbox(self) -> Mailbox:
        mailbox: Mailbox = self.connection.mailbox
        return mailbox

    def _has_queue(self, queue: str, **_: object) -> bool:
        return queue in self._mailbox.queues

    def _new_queue(self, queue: str, **_: object) -> None:
        self._mailbox.queues.setdefault(queue, deque())

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        del timeout
        try:
            return self._mailbox.queues[queue].popleft()
        except IndexError:
            raise Empty from None

    def _put(self, queue: str, message: Any, **_: object) -> None:
        self._mailbox.queues[queue].append(message)
        self._mailbox.tell()

    def _size(self, queue: str) -> int:
        return len(self._mailbox.queues[queue])

    def _purge(self, queue: str) -> int:
        count = self._size(queue)
        self._mailbox.queues[queue].clear()
        return count

    def basic_ack(self, delivery_tag: str, multiple: bool = False) -> None:
        """Note that a message is done with, which makes a place for another."""
        super().basic_ack(delivery_tag, multiple)
        self._mailbox.tell()


class Transport(virtual.Transport):  # type: ignore[misc]  # kombu is untyped
    """A connection to the mailbox in its options."""

    Channel = Channel
    driver_type = driver_name = "memory"

    def __init__(self, client: Any, **options: Any) -> None:
        super().__init__(client, **options)
        self.mailbox: Mailbox = client.transport_options[MAILBOX]
        self.state = self.mailbox.state

    def driver_version(self) -> str:
        """Return what there is to say."""
        return "N/A"

    def drain_events(self, _connection: object, timeout: float | None = None) -> None:
        """Deliver one message; raises TimeoutError where none came in time."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            seen = self.mailbox.changes
            try:
                self.cycle.get(self._deliver, timeout=timeout)
            except Empty:
                left_s = None if deadline is None else max(0.0, deadline - time.monotonic())
                if not self.mailbox.wait(seen, left_s):
                    raise TimeoutError from None
            else:
                return
