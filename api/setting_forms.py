"""What addresses and keys in settings look like."""

import base64
from urllib.parse import urlsplit


def is_redis_url(url: str) -> bool:
    """Tell whether it names a Redis."""
    try:
        return url.startswith(("redis://", "rediss://")) and urlsplit(url).port != 0
    except ValueError:  # what stands for the port is none
        return False


def is_http_url(url: str) -> bool:
    """Tell whether it names a host to call over http or https."""
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # what stands for the port is none
        return False


def is_key(text: str) -> bool:
    """Tell whether it is an Ed25519 key in base64."""
    try:
        return len(base64.b64decode(text, validate=True)) == 32
    except ValueError:
        return False
