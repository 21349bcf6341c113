"""What programs of the operator show of themselves: a token of the settings, as a Bearer token."""

import hmac

from flask import request


def is_sent(token: str) -> bool:
    """Tell whether a request carries a token; an empty one is never carried."""
    scheme, _, sent = request.headers.get("Authorization", "").partition(" ")
    is_same = hmac.compare_digest(sent.strip().encode(), token.encode())
    return bool(token) and scheme.lower() == "bearer" and is_same
