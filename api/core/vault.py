"""Seals secrets at rest: AES-256-GCM under a key per workspace, itself sealed under the root key.

A sealed value is ``version(1) ‖ key id(16) ‖ nonce(12) ‖ ciphertext+tag``. The key
id says which data key opens it, so that keys can be rotated row by row; it is
authenticated together with the caller's ``context`` (which table, which
workspace), so that a sealed value cannot be moved to another place.
"""

import hashlib
import hmac
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

VERSION = b"\x01"
ROOT_KEY_ID = uuid.UUID(int=0)
HEAD_BYTES = 1 + 16 + 12


class SealBroken(Exception):
    """The value was not sealed with this key or context, or was changed since."""


@dataclass(frozen=True, slots=True)
class DataKey:
    """A workspace's key in clear: lives in memory only. ``id`` is that of its row."""

    id: str
    key: bytes = field(repr=False)


class Vault:
    """Derives every inner key from the root secret, and seals data keys under it."""

    def __init__(self, root_secret: str) -> None:
        self._root = root_secret.encode()

    def derive(self, purpose: str) -> bytes:
        """Return 32 bytes bound to ``purpose``: one key never serves two uses."""
        return hmac.digest(self._root, b"slipway/" + purpose.encode(), hashlib.sha256)

    def new_data_key(self, key_id: str) -> tuple[DataKey, bytes]:
        """Return a fresh data key and its sealed form, to be stored under ``key_id``."""
        key = DataKey(key_id, os.urandom(32))
        return key, self.seal_data_key(key)

    def seal_data_key(self, key: DataKey) -> bytes:
        """Return a data key sealed, to be stored under its id."""
        return _seal(self.derive("data-keys"), ROOT_KEY_ID, key.key, key.id)

    def open_data_key(self, key_id: str, sealed: bytes) -> DataKey:
        """Return the data key of a sealed one; raises SealBroken under another root secret."""
        return DataKey(key_id, _open(self.derive("data-keys"), sealed, key_id))

    def seal(self, purpose: str, plaintext: bytes, context: str) -> bytes:
        """Return ``plaintext`` sealed under a key of the root secret, for what no workspace's key is for."""
        return _seal(self.derive(purpose), ROOT_KEY_ID, plaintext, context)

    def unseal(self, purpose: str, sealed: bytes, context: str) -> bytes:
        """Return what :meth:`seal` sealed; raises SealBroken."""
        return _open(self.derive(purpose), sealed, context)


def seal(key: DataKey, plaintext: bytes, context: str) -> bytes:
    """Return ``plaintext`` sealed; only :func:`unseal` with the same context opens it."""
    return _seal(key.key, uuid.UUID(key.id), plaintext, context)


def unseal(keys: Mapping[str, DataKey], sealed: bytes, context: str) -> bytes:
    """Return what was sealed, with whichever of ``keys`` did it; raises SealBroken."""
    key = keys.get(sealed_with(sealed))
    if key is None:
        raise SealBroken("The key that sealed this value is not known.")
    return _open(key.key, sealed, context)


def sealed_with(sealed: bytes) -> str:
    """Return the id of the data key that sealed a value."""
    if len(sealed) < HEAD_BYTES or sealed[:1] != VERSION:
        raise SealBroken("This is not a sealed value.")
    return str(uuid.UUID(bytes=sealed[1:17]))


def _seal(key: bytes, key_id: uuid.UUID, plaintext: bytes, context: str) -> bytes:
    head = VERSION + key_id.bytes
    nonce = os.urandom(12)
    return head + nonce + AESGCM(key).encrypt(nonce, plaintext, head + context.encode())


def _open(key: bytes, sealed: bytes, context: str) -> bytes:
    head, nonce, body = sealed[:17], sealed[17:HEAD_BYTES], sealed[HEAD_BYTES:]
    try:
        return AESGCM(key).decrypt(nonce, body, head + context.encode())
    except InvalidTag:
        raise SealBroken("The value was sealed with another key or context, or was changed.") from None
