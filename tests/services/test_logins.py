"""Signing in under attack: equal treatment, the lock, and races."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from argon2 import PasswordHasher
from sqlalchemy import func, select, update

from api.core.ports import Offload
from api.errors import AppError
from api.models.account import Account, LoginFailure
from api.models.base import utc_now
from api.runtime import Runtime
from api.services import logins, passwords
from api.services.logins import AuthenticationFailed
from api.services.password_guesses import LoginLocked
from tests.conftest import BOTH
from tests.factories import PASSWORD, Owner, make_owner
from tests.offloads import SpyOffload
from tests.statements import count_statements

pytestmark = BOTH

CHEAP = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)


def with_lock_after(runtime: Runtime, failures: int) -> Runtime:
    return replace(runtime, limits=replace(runtime.limits, login_max_failures=failures))


def person(runtime: Runtime) -> Owner:
    return make_owner(runtime, password_hash=passwords.HASHER.hash(PASSWORD))


def outcome(runtime: Runtime, email: str, password: str, address: str = "192.0.2.1") -> str:
    """Return the code a login is answered with, ``"ok"`` for success."""
    try:
        logins.login(runtime, email=email, password=password, address=address)
    except AppError as exc:
        return exc.code
    return "ok"


def age_failures(runtime: Runtime, by_s: float) -> None:
    """Move all failures into the past."""
    with runtime.transaction() as session:
        session.execute(update(LoginFailure).values(last_at=utc_now() - timedelta(seconds=by_s)))


@pytest.mark.parametrize("password", ["wrong pass 1", "d3JvbmcgcGFzcyAx"])
def test_login_known_and_unknown_email_take_the_same_steps(runtime: Runtime, password: str) -> None:
    known = person(runtime)
    steps = []
    for email in (known.email, f"nobody-{known.email}"):
        spy = SpyOffload()
        spied = replace(runtime, offload=spy)
        with (
            count_statements(runtime.session_factory.kw["bind"]) as statements,
            pytest.raises(AuthenticationFailed) as refused,
        ):
            logins.login(spied, email=email, password=password, address="192.0.2.1")
        steps.append((spy.calls, statements, refused.value.message))

    assert steps[0] == steps[1]


def test_login_right_password_resets_the_count(runtime: Runtime) -> None:
    known = person(runtime)
    strict = with_lock_after(runtime, 2)

    codes = [outcome(strict, known.email, word) for word in ("wrong", PASSWORD, "wrong", PASSWORD)]

    assert codes == ["authentication_failed", "ok", "authentication_failed", "ok"]


def test_login_locked_refuses_even_the_right_password_until_it_ends_by_itself(runtime: Runtime) -> None:
    known = person(runtime)
    strict = with_lock_after(runtime, 2)
    for _ in range(2):
        assert outcome(strict, known.email, "wrong") == "authentication_failed"

    with pytest.raises(LoginLocked) as locked:
        logins.login(strict, email=known.email, password=PASSWORD, address="192.0.2.1")

    assert locked.value.retry_after_s is not None
    assert 0 < locked.value.retry_after_s <= runtime.limits.login_lock_s
    age_failures(runtime, runtime.limits.login_lock_s + 1)
    assert outcome(strict, known.email, PASSWORD) == "ok"


def test_login_locked_attempts_do_not_prolong_the_lock(runtime: Runtime) -> None:
    known = person(runtime)
    strict = with_lock_after(runtime, 1)
    outcome(strict, known.email, "wrong")
    age_failures(runtime, runtime.limits.login_lock_s - 60)

    with pytest.raises(LoginLocked):
        logins.login(strict, email=known.email, password="wrong", address="192.0.2.1")
    with pytest.raises(LoginLocked) as locked:
        logins.login(strict, email=known.email, password="wrong", address="192.0.2.1")

    assert locked.value.retry_after_s is not None
    assert locked.value.retry_after_s <= 60


def test_login_failures_count_together_while_each_follows_the_one_before_in_time(runtime: Runtime) -> None:
    known = person(runtime)
    strict = with_lock_after(runtime, 2)
    outcome(strict, known.email, "wrong")
    age_failures(runtime, runtime.limits.login_lock_s - 60)
    outcome(strict, known.email, "wrong")

    with pytest.raises(LoginLocked) as locked:
        logins.login(strict, email=known.email, password=PASSWORD, address="192.0.2.1")

    assert locked.value.retry_after_s is not None
    assert locked.value.retry_after_s > 60, "the lock counts from the last failure"


def test_login_locked_hits_only_that_name_from_that_address(runtime: Runtime) -> None:
    known, other = person(runtime), person(runtime)
    strict = with_lock_after(runtime, 1)
    outcome(strict, known.email, "wrong")

    assert outcome(strict, known.email.upper(), PASSWORD) == "email_code_login_limit"
    assert outcome(strict, other.email, PASSWORD) == "ok"
    assert outcome(strict, known.email, PASSWORD, address="192.0.2.2") == "ok"


def test_login_unknown_email_is_locked_like_a_known_one(runtime: Runtime) -> None:
    strict = with_lock_after(runtime, 1)
    email = f"nobody-{person(runtime).email}"

    assert [outcome(strict, email, "wrong") for _ in range(2)] == [
        "authentication_failed",
        "email_code_login_limit",
    ]


def test_login_parallel_guesses_are_answered_up_to_the_limit(runtime: Runtime) -> None:
    known = person(runtime)
    barrier = threading.Barrier(8)
    offload = SpyOffload()
    strict = replace(with_lock_after(runtime, 3), offload=offload)

    def all_have_passed_the_first_check() -> None:
        barrier.wait(timeout=30)

    offload.after = all_have_passed_the_first_check
    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(lambda n: outcome(strict, known.email, f"guess {n}"), range(8)))

    assert sorted(codes) == ["authentication_failed"] * 3 + ["email_code_login_limit"] * 5


def test_login_right_guess_after_the_limit_was_reached_meanwhile_is_not_told(runtime: Runtime) -> None:
    known = person(runtime)
    strict = with_lock_after(runtime, 1)

    def fail_elsewhere() -> None:
        assert outcome(strict, known.email, "wrong") == "authentication_failed"

    late = replace(strict, offload=SpyOffload(after=fail_elsewhere))

    assert outcome(late, known.email, PASSWORD) == "email_code_login_limit"


def test_login_failures_that_no_longer_count_are_cleared(runtime: Runtime) -> None:
    outcome(runtime, "one@example.com", "wrong")
    age_failures(runtime, runtime.limits.login_lock_s + 1)

    outcome(runtime, "two@example.com", "wrong")

    with runtime.transaction() as session:
        assert session.scalar(select(func.count()).select_from(LoginFailure)) == 1


def test_login_old_parameters_are_raised(runtime: Runtime) -> None:
    known = make_owner(runtime, password_hash=CHEAP.hash(PASSWORD))

    assert outcome(runtime, known.email, PASSWORD) == "ok"

    with runtime.transaction() as session:
        stored = session.get_one(Account, known.account_id).password_hash
    assert stored is not None
    assert not passwords.is_outdated(stored)
    assert outcome(runtime, known.email, PASSWORD) == "ok"


def test_login_password_changed_meanwhile_is_refused(runtime: Runtime) -> None:
    known = person(runtime)

    def change_password() -> None:
        with runtime.transaction() as session:
            session.get_one(Account, known.account_id).password_hash = CHEAP.hash("another 1")

    offload: Offload = SpyOffload(after=change_password)

    assert outcome(replace(runtime, offload=offload), known.email, PASSWORD) == "authentication_failed"


def test_login_pending_account_becomes_active(runtime: Runtime) -> None:
    known = person(runtime)
    with runtime.transaction() as session:
        session.get_one(Account, known.account_id).status = "pending"

    assert outcome(runtime, known.email, PASSWORD) == "ok"

    with runtime.transaction() as session:
        account = session.get_one(Account, known.account_id)
        assert (account.status, account.last_login_ip) == ("active", "192.0.2.1")
        assert account.last_login_at is not None
