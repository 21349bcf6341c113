"""The tokens of a console session: made, signed and read; no database.

Each kind has a key of its own, so that none passes for another. The access
token (a JWT) names a session for an hour. A refresh token is, in hex,
``session id(16 bytes) ‖ secret(16) ‖ tag(32)``: the tag proves that we made it,
so that one that was already used can be told from a guess, and its successor
follows from it, so that parallel refreshes get the same one
(Wire: docs/wire/authentication.md).
"""

import hashlib
import hmac
import os
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import jwt

from api.core.vault import Vault
from api.errors import Unauthorized

ISSUER = "SELF_HOSTED"
ACCESS_SUBJECT = "Console API Passport"
ALGORITHM = "HS256"
REFRESH_CHARACTERS = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What a client gets when it signs in or refreshes; never logged, never stored."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    csrf_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Claims:
    """What a valid access token says."""

    account_id: str
    session_id: str


def issue_tokens(vault: Vault, *, account_id: str, session_id: str, refresh_token: str, ttl_s: int) -> Tokens:
    """Return new access and CSRF tokens of a session, good for ``ttl_s`` s, beside its refresh token."""
    now = int(time.time())
    access = {
        "user_id": account_id,
        "sid": session_id,
        "iss": ISSUER,
        "sub": ACCESS_SUBJECT,
        "iat": now,
        "exp": now + ttl_s,
    }
    csrf = {"sub": account_id, "exp": now + ttl_s}
    return Tokens(
        access_token=jwt.encode(access, _access_key(vault), ALGORITHM),
        refresh_token=refresh_token,
        csrf_token=jwt.encode(csrf, _csrf_key(vault), ALGORITHM),
    )


def read_access_token(vault: Vault, token: str) -> Claims:
    """Return what an access token says; raises Unauthorized unless it is ours and has not expired."""
    try:
        return _decode_access_token(vault, token, is_expiry_checked=True)
    except jwt.ExpiredSignatureError:
        raise Unauthorized("The token has expired.") from None
    except jwt.InvalidTokenError:
        raise Unauthorized("Invalid Authorization token.") from None


def session_of_access_token(vault: Vault, token: str) -> str | None:
    """Return the id of the session an access token was made for, expired or not; None when it is not ours."""
    try:
        return _decode_access_token(vault, token, is_expiry_checked=False).session_id
    except jwt.InvalidTokenError:
        return None


def read_csrf_token(vault: Vault, token: str) -> str:
    """Return the id of the account a CSRF token was made for; raises Unauthorized."""
    try:
        claims: dict[str, Any] = jwt.decode(
            token, _csrf_key(vault), algorithms=[ALGORITHM], options={"require": ["sub", "exp"]}
        )
    except jwt.InvalidTokenError:
        raise Unauthorized("CSRF token is missing or invalid.") from None
    return str(claims["sub"])


def new_refresh_token(vault: Vault, session_id: str) -> str:
    """Return the first refresh token of a session: 128 hexadecimal characters."""
    return _refresh_token(vault, uuid.UUID(session_id).bytes, os.urandom(16))


def next_refresh_token(vault: Vault, token: str) -> str:
    """Return the successor of one of our refresh tokens: always the same, and not to be guessed."""
    raw = bytes.fromhex(token)
    secret = hmac.digest(vault.derive("refresh-rotation"), raw, hashlib.sha256)[:16]
    return _refresh_token(vault, raw[:16], secret)


def session_of_refresh_token(vault: Vault, token: str) -> str | None:
    """Return the id of the session a refresh token was made for, used or not; None when it is not ours."""
    if len(token) != REFRESH_CHARACTERS:
        return None
    try:
        raw = bytes.fromhex(token)
    except ValueError:
        return None
    genuine = _refresh_token(vault, raw[:16], raw[16:32])
    if not hmac.compare_digest(genuine.encode(), token.encode()):
        return None
    return str(uuid.UUID(bytes=raw[:16]))


def hash_refresh_token(token: str) -> str:
    """Return what is stored of a refresh token."""
    return hashlib.sha256(token.encode()).hexdigest()


def _decode_access_token(vault: Vault, token: str, *, is_expiry_checked: bool) -> Claims:
    claims = jwt.decode(
        token,
        _access_key(vault),
        algorithms=[ALGORITHM],
        issuer=ISSUER,
        subject=ACCESS_SUBJECT,
        options={
            "require": ["user_id", "sid", "iss", "sub", "exp"],
            "verify_exp": is_expiry_checked,
            "verify_iat": False,  # clocks of two processes may differ; only the end matters
        },
    )
    return Claims(claims["user_id"], claims["sid"])


def _refresh_token(vault: Vault, session_bytes: bytes, secret: bytes) -> str:
    body = session_bytes + secret
    return (body + hmac.digest(vault.derive("refresh-token"), body, hashlib.sha256)).hex()


def _access_key(vault: Vault) -> bytes:
    return vault.derive("access-token")


def _csrf_key(vault: Vault) -> bytes:
    return vault.derive("csrf-token")
