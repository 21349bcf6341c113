"""What a key of a stored file may be, whatever store it is in."""

import re

# No segment begins with a dot, so neither ".." nor what a store hides can be named.
KEY = re.compile(r"[a-z0-9_-][a-z0-9._-]*(?:/[a-z0-9_-][a-z0-9._-]*)*")


def check_key(key: str) -> str:
    """Return the key; raises ValueError for one that is not well formed."""
    if not KEY.fullmatch(key):
        raise ValueError(f"{key!r} is not a storage key")
    return key
