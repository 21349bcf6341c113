"""Connections are handed from one to the next, and none is lost or had by two, however many ask."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy.util.queue import Empty, Full

from api.backends.pool import LeanQueue
from tests.waiting import wait_until

ENOUGH_S = 60.0


def make_queue(*items: str, room: int = 10, use_lifo: bool = True) -> LeanQueue[str]:
    queue: LeanQueue[str] = LeanQueue(room, use_lifo)
    for item in items:
        queue.put(item, False)
    return queue


def test_last_one_put_in_comes_out_first_where_that_is_asked() -> None:
    assert make_queue("a", "b").get(False) == "b"
    assert make_queue("a", "b", use_lifo=False).get(False) == "a"


def test_no_item_and_no_room_are_told_at_once() -> None:
    with pytest.raises(Empty):
        make_queue().get(False)
    with pytest.raises(Full):
        make_queue("a", room=1).put("b", False)


def test_who_waits_too_long_is_told_so() -> None:
    began = time.monotonic()

    with pytest.raises(Empty):
        make_queue().get(True, 0.05)

    assert time.monotonic() - began >= 0.05


def test_who_waits_gets_the_next_one() -> None:
    queue = make_queue()
    with ThreadPoolExecutor(3) as threads:
        got = [threads.submit(queue.get, True, ENOUGH_S) for _ in range(3)]
        wait_until(lambda: queue.waiting == 3)
        for item in "abc":
            queue.put(item, False)

        assert sorted(future.result(ENOUGH_S) for future in got) == list("abc")


def test_many_take_turns_at_a_few() -> None:
    queue = make_queue("a", "b")
    held: list[str] = []
    most = []
    lock = threading.Lock()

    def take_turns() -> None:
        for _ in range(200):
            item = queue.get(True, ENOUGH_S)
            with lock:
                assert item not in held
                held.append(item)
                most.append(len(held))
            time.sleep(0)
            with lock:
                held.remove(item)
            queue.put(item, False)

    with ThreadPoolExecutor(16) as threads:
        for future in [threads.submit(take_turns) for _ in range(16)]:
            future.result(ENOUGH_S)

    assert (max(most), queue.qsize()) == (2, 2)
