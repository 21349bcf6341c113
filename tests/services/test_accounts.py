"""Accounts in races: the first owner, and a password changed twice at once."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import delete

from api.errors import AppError
from api.models.account import Account, Setup
from api.models.base import new_id
from api.runtime import Runtime
from api.services import accounts, passwords, sessions
from api.services.password_guesses import CurrentPasswordIncorrect
from tests.conftest import BOTH
from tests.factories import PASSWORD, make_owner
from tests.offloads import SpyOffload


@BOTH
def test_create_owner_in_a_race_succeeds_once_and_leaves_one_account(runtime: Runtime) -> None:
    with runtime.transaction() as session:
        session.execute(delete(Setup))
    run = new_id()
    barrier = threading.Barrier(6)

    def create(number: int) -> str:
        barrier.wait(timeout=30)
        try:
            with runtime.transaction() as session:
                accounts.create_owner(
                    runtime,
                    session,
                    email=f"Owner-{number}@{run}.example",
                    name="Owner",
                    password="correct horse 1",
                )
        except AppError as exc:
            return exc.code
        return "ok"

    with ThreadPoolExecutor(6) as pool:
        outcomes = sorted(pool.map(create, range(6)))

    with runtime.transaction() as session:
        made = session.query(Account).filter(Account.email.endswith(f"@{run}.example")).count()
    assert outcomes == ["already_setup"] * 5 + ["ok"]
    assert made == 1


@pytest.mark.parametrize("has_password", [True, False])
def test_change_password_changed_meanwhile_is_refused(runtime: Runtime, has_password: bool) -> None:
    owner = make_owner(runtime, password_hash=passwords.HASHER.hash(PASSWORD) if has_password else None)
    other_hash = passwords.HASHER.hash("changed first 1")

    def change_first() -> None:
        with runtime.transaction() as session:
            session.get_one(Account, owner.account_id).password_hash = other_hash

    with runtime.transaction() as session:
        identity = sessions.identify(runtime, owner.token)
    with pytest.raises(CurrentPasswordIncorrect):
        accounts.change_password(
            replace(runtime, offload=SpyOffload(after=change_first)),
            identity,
            current=PASSWORD,
            new="battery staple 2",
            repeated="battery staple 2",
        )

    with runtime.transaction() as session:
        assert session.get_one(Account, owner.account_id).password_hash == other_hash
