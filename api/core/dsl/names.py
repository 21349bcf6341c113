"""Names for apps that come where others are: never refused, told apart by a number."""

from collections.abc import Callable
from itertools import count

MAX_NAME_CHARS = 40


def free_name(name: str, is_taken: Callable[[str], bool]) -> str:
    """Return the name if it is free, else with the first number from 2 on that makes it so."""
    short = name.strip()[:MAX_NAME_CHARS].strip()
    if not is_taken(short):
        return short
    for number in count(2):
        ending = f" ({number})"
        numbered = short[: MAX_NAME_CHARS - len(ending)].rstrip() + ending
        if not is_taken(numbered):
            return numbered
    raise AssertionError("numbers do not end")
