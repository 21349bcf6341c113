"""Tokens and codes that go out by mail or as a link: made of a row's id, and read back; none is stored.

A token is, in hex, ``id(16 bytes) ‖ tag(32)``. The tag follows from the id and
the root secret, so that a copy of the database opens nothing, and a job can
write the mail without having been handed a secret. When one is over, says its row.
"""

import hashlib
import hmac
import uuid

from api.core.vault import Vault

TOKEN_CHARACTERS = 96
CODE_DIGITS = 6


def make_token(vault: Vault, purpose: str, row_id: str) -> str:
    """Return the token of a row for one purpose."""
    raw = uuid.UUID(row_id).bytes
    return (raw + _tag(vault, purpose, raw)).hex()


def read_token(vault: Vault, purpose: str, token: str) -> str | None:
    """Return the id of the row a token was made of; None when we did not make it for this purpose."""
    if len(token) != TOKEN_CHARACTERS:
        return None
    try:
        raw = bytes.fromhex(token)
    except ValueError:
        return None
    if len(raw) * 2 != TOKEN_CHARACTERS or not hmac.compare_digest(_tag(vault, purpose, raw[:16]), raw[16:]):
        return None
    return str(uuid.UUID(bytes=raw[:16]))


def make_code(vault: Vault, purpose: str, row_id: str) -> str:
    """Return the six digits of a row, for a person to type."""
    number = int.from_bytes(_tag(vault, f"{purpose}-code", uuid.UUID(row_id).bytes)[:8])
    return f"{number % 10**CODE_DIGITS:0{CODE_DIGITS}}"


def _tag(vault: Vault, purpose: str, raw_id: bytes) -> bytes:
    return hmac.digest(vault.derive(f"link/{purpose}"), raw_id, hashlib.sha256)
