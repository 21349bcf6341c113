"""The root secret: given by SECRET_KEY, or made at the first start and kept beside the data."""

import contextlib
import os
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

from api.errors import Conflict
from api.settings import Settings, SettingsError

MIN_CHARS = 32
KNOWN = frozenset({"sk-9f73s3ljTXVcMT3Blb3ljTqtsKiGHXVcMT3BlbkFJLK7U", "change-me", "secret", "changeme"})


def root_secret(settings: Settings) -> str:
    """Return the root secret; made once (0600), whichever process comes first.

    Raises SettingsError for a secret that is published somewhere.
    """
    if settings.secret_key is not None:
        return _checked("SECRET_KEY", settings.secret_key.get_secret_value())
    path = settings.data_dir / "secret_key"
    if not path.exists():
        _make(path)
    kept = path.read_text().strip()
    if not kept:
        raise SettingsError(f"{path} is empty; remove it or set SECRET_KEY.")
    return kept


def check_secret(settings: Settings, secret: str) -> None:
    """Raise SettingsError where SECRET_KEY is set to another secret."""
    given = settings.secret_key
    if given is not None and given.get_secret_value() != secret:
        raise SettingsError("SECRET_KEY is not the one of the archive; what it sealed could not be read.")


def keep_secret(settings: Settings, secret: str) -> None:
    """Make a secret that of the installation from its next start on; SECRET_KEY, where it is set, is it."""
    if settings.secret_key is None:
        Path(_draft(settings.data_dir, secret)).replace(settings.data_dir / "secret_key")


@contextlib.contextmanager
def exchanged(settings: Settings, given: str | None) -> Iterator[str]:
    """Give the new root secret, and keep it unless the block raises; SECRET_KEY is for the operator to set.

    It is on the disk before anything is sealed under it: a power cut loses no secret.
    Raises SettingsError where the operator must give one and did not, or gave one that no start would take.
    """
    if settings.secret_key is not None and given is None:
        raise SettingsError("SECRET_KEY is set: give its successor in NEW_SECRET_KEY.")
    secret = _checked("NEW_SECRET_KEY", given or secrets.token_urlsafe(48))
    if len(secret) < MIN_CHARS:
        raise SettingsError(f"NEW_SECRET_KEY must have at least {MIN_CHARS} characters")
    if secret != secret.strip():
        raise SettingsError("NEW_SECRET_KEY must not begin or end with a space, which a file does not keep")
    next_path = settings.data_dir / "secret_key.next"
    Path(_draft(settings.data_dir, secret)).replace(next_path)
    try:
        yield secret
    except Conflict:  # nothing is sealed under it; after anything else, something may be
        next_path.unlink()
        raise
    if settings.secret_key is None:
        next_path.replace(settings.data_dir / "secret_key")
    else:
        next_path.unlink()


def _checked(name: str, given: str) -> str:
    """Return a secret; raises SettingsError for one that is published somewhere, or easily guessed."""
    if given in KNOWN or len(set(given)) < 8:
        raise SettingsError(f"{name} is a known or trivial value; set a random one of 32 characters or more.")
    return given


def _make(path: Path) -> None:
    """Write a fresh secret whole and only for its owner; whoever links it first wins."""
    draft = _draft(path.parent, secrets.token_urlsafe(48))
    with contextlib.suppress(FileExistsError):
        os.link(draft, path)
    Path(draft).unlink()


def _draft(directory: Path, secret: str) -> str:
    """Return the path of a file with the secret, that only its owner can read."""
    directory.mkdir(parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(dir=directory)
    with os.fdopen(descriptor, "w") as file:
        file.write(secret)
    return draft
