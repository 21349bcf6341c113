"""What a key of a stored file may be, whatever store it is in."""

import re

# No segment begins with a dot, so neither ".." nor what a store hides can be named.
KEY = re.compile(r"[a-z0-9_-][a-z0-9._-]*(?:/[a-z0-9_-][a-z0-9._-]*)*")


def is_key(name: str) -> bool:
    """Tell whether a name in a store may be one of ours; others may keep theirs beside it."""
    return KEY.fullmatch(name) is not None


def check_key(key: str) -> str:
    """Return the key; raises ValueError for one that is not well formed."""
    if not is_key(key):
        raise ValueError(f"{key!r} is not a storage key")
    return key
