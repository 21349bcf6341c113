"""Places are shared between workspaces, whoever comes first and however many of one wait."""

import threading
from contextlib import ExitStack
from contextvars import copy_context
from dataclasses import dataclass, field

import pytest

from api.backends.places import Places, Stopped
from api.core.ports import Cancel
from api.principal import works_for
from tests.waiting import wait_until

WAIT_S = 30.0


@dataclass
class Crowd:
    """Work that wants places, each in a thread; ``order`` says who got one, ``ends`` lets one end."""

    places: Places
    order: list[str] = field(default_factory=list)
    ends: dict[str, threading.Event] = field(default_factory=dict)
    asked: int = 0

    def come(self, name: str) -> None:
        """Have work of the workspace of that initial ask for a place, and wait until it does."""
        self.ends[name] = threading.Event()
        context = copy_context()
        context.run(works_for.set, name[0])
        threading.Thread(target=context.run, args=(self._work, name), daemon=True).start()
        self.asked += 1
        wait_until(lambda: len(self.order) + self.places.waiting == self.asked)

    def end(self, name: str) -> None:
        """End work that has a place, and wait until the next has it."""
        before = len(self.order)
        self.ends[name].set()
        wait_until(lambda: len(self.order) == before + 1)

    def _work(self, name: str) -> None:
        with self.places.hold(Cancel(), WAIT_S):
            self.order.append(name)
            assert self.ends[name].wait(WAIT_S)


def test_flood_of_one_workspace_waits_for_the_first_of_another() -> None:
    crowd = Crowd(Places(2))
    for name in ("a1", "a2", "a3", "a4", "a5", "b1", "b2", "c1"):
        crowd.come(name)
    for ended in ("a1", "a2", "b1", "c1", "b2", "a3"):
        crowd.end(ended)
    for name in ("a4", "a5"):
        crowd.ends[name].set()

    # b and c come as soon as a place is free; then each has one, until nobody but a is left.
    assert crowd.order == ["a1", "a2", "b1", "c1", "a3", "b2", "a4", "a5"]


def test_one_place_goes_from_workspace_to_workspace() -> None:
    crowd = Crowd(Places(1))
    for name in ("a1", "a2", "a3", "b1", "b2", "c1"):
        crowd.come(name)
    for ended in ("a1", "b1", "c1", "a2", "b2"):
        crowd.end(ended)
    crowd.ends["a3"].set()

    assert crowd.order == ["a1", "b1", "c1", "a2", "b2", "a3"]


def test_who_gives_up_waiting_keeps_no_place() -> None:
    places = Places(1)
    cancel, late = Cancel(), Cancel()
    stopped: list[type[Exception]] = []

    def wait() -> None:
        with pytest.raises(Stopped), places.hold(cancel, WAIT_S):
            pass
        stopped.append(Stopped)

    with ExitStack() as stack:
        stack.enter_context(places.hold(Cancel(), WAIT_S))
        thread = threading.Thread(target=wait)
        thread.start()
        wait_until(lambda: places.waiting == 1)
        cancel.set()
        thread.join(WAIT_S)
        with pytest.raises(TimeoutError), places.hold(late, 0.01):
            pass
    late.set()
    with pytest.raises(Stopped), places.hold(late, WAIT_S):
        pass

    assert stopped == [Stopped]
    with places.hold(Cancel(), 0.01):
        pass


def test_one_workspace_has_no_more_than_its_most_though_places_are_free() -> None:
    crowd = Crowd(Places(3, most_of_one=2))
    for name in ("a1", "a2", "a3", "b1"):
        crowd.come(name)
    crowd.end("a1")
    for name in ("a2", "a3", "b1"):
        crowd.ends[name].set()

    assert crowd.order == ["a1", "a2", "b1", "a3"]
