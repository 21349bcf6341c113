"""Passwords: what counts as one, how it is stored, and how one is checked.

Hashing takes tens of milliseconds of native work, so it runs through
``runtime.offload`` and never inside an open database transaction.
"""

from collections.abc import Sequence

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from api.errors import InvalidRequest, Unavailable
from api.runtime import Runtime

MIN_LENGTH = 8
MAX_LENGTH = 256
TIMEOUT_S = 10.0

TIME_COST = 6
MEMORY_KIB = 19 * 1024
PARALLELISM = 1
HASHER = PasswordHasher(time_cost=TIME_COST, memory_cost=MEMORY_KIB, parallelism=PARALLELISM)

NOBODY = f"$argon2id$v=19$m={MEMORY_KIB},t={TIME_COST},p={PARALLELISM}${'A' * 22}${'A' * 43}"
"""A stored hash that fits no password: checked where there is no account, so that the time is the same."""


def check_password(password: str, *, field: str) -> None:
    """Raise InvalidRequest naming ``field`` unless the password may be chosen.

    It needs 8 to 256 characters, a letter and a digit among them.
    """
    if len(password) < MIN_LENGTH:
        raise InvalidRequest(
            f"The password must have at least {MIN_LENGTH} characters.", field=field, fault="too_short"
        )
    if len(password) > MAX_LENGTH:
        raise InvalidRequest(
            f"The password must have at most {MAX_LENGTH} characters.", field=field, fault="too_long"
        )
    if not (any(c.isalpha() for c in password) and any(c.isdigit() for c in password)):
        raise InvalidRequest(
            "The password must hold a letter and a digit.", field=field, fault="invalid_format"
        )


def hash_password(runtime: Runtime, password: str) -> str:
    """Return what is stored of a password: algorithm, version, parameters, salt and hash in one text.

    Raises Unavailable when the machine is too busy to answer within 10 s.
    """
    try:
        return runtime.offload.call(HASHER.hash, password, timeout_s=TIMEOUT_S)
    except TimeoutError:
        raise Unavailable("Passwords cannot be checked now; try again shortly.") from None


def match_password(runtime: Runtime, stored: str | None, candidates: Sequence[str]) -> str | None:
    """Return the first candidate that is the stored password, or None.

    Takes as long where nothing is stored. Raises Unavailable as ``hash_password`` does.
    """
    try:
        return runtime.offload.call(_first_match, stored or NOBODY, candidates, timeout_s=TIMEOUT_S)
    except TimeoutError:
        raise Unavailable("Passwords cannot be checked now; try again shortly.") from None


def is_outdated(stored: str) -> bool:
    """Tell whether a stored password was hashed with other parameters than today's."""
    return HASHER.check_needs_rehash(stored)


def _first_match(stored: str, candidates: Sequence[str]) -> str | None:
    for candidate in candidates:
        try:
            HASHER.verify(stored, candidate)
        except VerifyMismatchError:
            continue
        return candidate
    return None
