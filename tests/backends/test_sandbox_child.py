"""What a process says or leaves unsaid once foreign code has got hold of it."""

import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from api.backends.sandbox.child import Child
from api.core.ports import Cancel, CodeFailed
from tests.sandboxes import processes

BEGIN = """
import socket, struct, time
peer = socket.socket(fileno=0)
def say(message): peer.sendall(struct.pack(">I", len(message)) + message)
say(b"{}")
"""
ASKED = BEGIN + "peer.recv(65536)\n"


@contextmanager
def started(program: str) -> Iterator[Child]:
    """Yield a child that does what a program says, once it is ready."""
    child = Child.start("odd", 64, [sys.executable, "-c", program], Cancel(), env={})
    try:
        yield child
    finally:
        child.end()


@pytest.mark.parametrize(
    ("program", "sentence"),
    [
        ("say(b'[]')", "an answer that is none"),
        ("say(b'5')", "an answer that is none"),
        ("say(b'{}')", "an answer that is none"),
        ("say(b'{\"error\": null}')", "an answer that is none"),
        ("say(b'{\"error\": 5}')", "an answer that is none"),
        ('say(b\'{"error": ["memory"]}\')', "an answer that is none"),
        ("say(b'{\"value\": ')", "not JSON"),
        ("say(b'')", "not JSON"),
        ("say(b'[' * 100_000)", "not JSON"),
        ("peer.sendall(bytes(2))", "exit code 0"),
        ("peer.sendall(b'\\xff' * 4)", "limit of output"),
        ("peer.sendall(bytes((0, 0, 0, 9)) + b'{'); time.sleep(600)", "limit of time"),
    ],
)
def test_child_with_an_odd_answer_fails_the_code_and_is_not_asked_again(program: str, sentence: str) -> None:
    limit_s = 0.5 if sentence == "limit of time" else 20.0
    with started(ASKED + program) as child:
        with pytest.raises(CodeFailed, match=sentence):
            child.ask("", {}, limit_s, Cancel())
        assert not child.is_usable


@pytest.mark.parametrize("silence", ["peer.close()", "peer.shutdown(socket.SHUT_RDWR)"])
def test_child_that_hangs_up_and_lives_on_is_ended(silence: str) -> None:
    before = processes()
    with started(f"{ASKED}{silence}\ntime.sleep(600)") as child:
        with pytest.raises(CodeFailed, match="SIGKILL"):
            child.ask("", {}, 30.0, Cancel())
        assert processes() <= before  # those of other tests may end meanwhile


def test_child_waits_for_its_request_in_a_process_with_a_default_of_timeouts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Celery's workers set the default of the process while they end.
    pair = socket.socketpair()
    for end in pair:
        end.settimeout(30.0)
    monkeypatch.setattr(socket, "socketpair", lambda: pair)
    with started(f"{BEGIN}peer.recv(65536); say(b'{{\"value\": 5}}')") as child:
        time.sleep(0.1)  # so that it waits
        assert child.ask("", {}, 30.0, Cancel()) == 5


def test_child_without_time_left_takes_too_long() -> None:
    with started(f"{BEGIN}time.sleep(600)") as child, pytest.raises(CodeFailed, match="limit of time"):
        child.ask("x" * 10_000_000, {}, 30.0, Cancel(total_s=0.0))
