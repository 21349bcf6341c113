"""What the tests of queues share: a run that records, and ids."""

import threading
import uuid
from collections.abc import Callable

PATIENCE_S = 30.0
"""How long a job may take to be run, on a machine that has much else to do."""


class Recorder:
    """Records what it is asked to run, and can be made to wait."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.may_go = threading.Event()
        self.may_go.set()
        self._changed = threading.Condition()

    def run(self, job_id: str) -> None:
        with self._changed:
            self.ran.append(job_id)
            self._changed.notify_all()
        assert self.may_go.wait(PATIENCE_S)

    def wait_for(self, is_true: Callable[[list[str]], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: is_true(self.ran), PATIENCE_S), self.ran


def make_ids(count: int) -> list[str]:
    return [str(uuid.uuid4()) for _ in range(count)]
