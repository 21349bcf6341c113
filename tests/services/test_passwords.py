"""What counts as a password, how it is kept, and how it is checked."""

from dataclasses import replace

import pytest
from argon2 import PasswordHasher

from api.errors import InvalidRequest, Unavailable
from api.runtime import Runtime
from api.services import passwords
from tests.offloads import BusyOffload

pytestmark = pytest.mark.usefixtures("costly_passwords")


def test_hash_password_twice_differs_and_names_its_parameters(runtime: Runtime) -> None:
    first, second = (passwords.hash_password(runtime, "correct horse 1") for _ in range(2))

    assert first != second
    assert first.startswith("$argon2id$v=19$m=19456,t=")
    assert "correct" not in first


@pytest.mark.parametrize(
    ("candidates", "found"),
    [
        (["correct horse 1"], "correct horse 1"),
        (["wrong", "correct horse 1"], "correct horse 1"),
        (["wrong", "Correct horse 1"], None),
        ([], None),
    ],
)
def test_match_password_returns_the_candidate_that_fits(
    runtime: Runtime, candidates: list[str], found: str | None
) -> None:
    stored = passwords.hash_password(runtime, "correct horse 1")

    assert passwords.match_password(runtime, stored, candidates) == found


def test_match_password_nothing_stored_fits_nothing(runtime: Runtime) -> None:
    assert passwords.match_password(runtime, None, ["", "correct horse 1"]) is None


def test_nobody_costs_what_a_real_hash_costs() -> None:
    assert not passwords.is_outdated(passwords.NOBODY)


def test_is_outdated_other_parameters_is_true() -> None:
    weaker = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("correct horse 1")

    assert passwords.is_outdated(weaker)
    assert not passwords.is_outdated(passwords.HASHER.hash("correct horse 1"))


@pytest.mark.parametrize("password", ["abcdefg1", "пароль77", "a1" * 128])
def test_check_password_good_passes(password: str) -> None:
    passwords.check_password(password, field="password")


@pytest.mark.parametrize(
    ("password", "fault"),
    [
        ("", "too_short"),
        ("abcdef1", "too_short"),
        ("abcdefgh", "invalid_format"),
        ("12345678", "invalid_format"),
        ("a1" * 128 + "x", "too_long"),
    ],
)
def test_check_password_weak_names_the_field(password: str, fault: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        passwords.check_password(password, field="new_password")

    assert (refused.value.field, refused.value.fault) == ("new_password", fault)


def test_hashing_busy_machine_is_unavailable(runtime: Runtime) -> None:
    busy = replace(runtime, offload=BusyOffload())

    with pytest.raises(Unavailable):
        passwords.hash_password(busy, "correct horse 1")
    with pytest.raises(Unavailable):
        passwords.match_password(busy, None, ["correct horse 1"])
