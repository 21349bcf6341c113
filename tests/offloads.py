"""Offloads for tests: one that is watched, one that is always busy."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")


@dataclass
class SpyOffload:
    """Runs calls where they are made, notes them, and lets a test act right after each.

    ``calls`` holds the function's name and, of a password hash, its parameters.
    """

    calls: list[tuple[str, str]] = field(default_factory=list)
    after: Callable[[], None] = lambda: None

    def call(self, fn: Callable[..., T], *args: object, timeout_s: float) -> T:
        assert timeout_s > 0
        parameters = str(args[0]).rpartition("p=1$")[0]
        self.calls.append((fn.__name__, parameters))
        result = fn(*args)
        self.after()
        return result


class BusyOffload:
    """An Offload whose threads are all taken."""

    def call(self, fn: Callable[..., T], *args: object, timeout_s: float) -> T:
        raise TimeoutError(f"no result within {timeout_s} s")
