"""Counts the statements of what a test asks for, and none of the jobs that workers do meanwhile."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from sqlalchemy import Engine

from api.backends import database

P = ParamSpec("P")
T = TypeVar("T")

_working = threading.local()


def as_job(run: Callable[P, T]) -> Callable[P, T]:
    """Return what runs jobs, known as such to :func:`count_statements`."""

    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        _working.is_here = True
        try:
            return run(*args, **kwargs)
        finally:
            _working.is_here = False

    return wrapper


@contextmanager
def count_statements(engine: Engine) -> Iterator[list[str]]:
    """Yield a list that grows by the text of each statement sent meanwhile, but by jobs."""
    with database.count_statements(engine, by=lambda: not getattr(_working, "is_here", False)) as statements:
        yield statements
