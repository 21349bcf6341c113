"""Fixtures of the console's sign-in tests."""

from collections.abc import Iterator
from functools import cache

import pytest
from flask import Flask
from flask.testing import FlaskClient

from api.runtime import Runtime
from api.services import passwords
from tests.factories import PASSWORD, Owner, make_owner
from tests.letterbox import Letterbox


@cache
def password_hash() -> str:
    """Return PASSWORD as it is stored; hashed once, because that is slow by design."""
    return passwords.HASHER.hash(PASSWORD)


@pytest.fixture
def person(runtime: Runtime) -> Owner:
    """The owner of a fresh workspace, who signs in with PASSWORD."""
    return make_owner(runtime, password_hash=password_hash())


@pytest.fixture
def bare(house: Flask) -> FlaskClient:
    """A client without a cookie jar, as programs are."""
    return house.test_client(use_cookies=False)


@pytest.fixture
def letterbox(runtime: Runtime) -> Iterator[Letterbox]:
    """Let the program send mail, into a box."""
    box = Letterbox()
    object.__setattr__(runtime, "mailer", box)  # of this very runtime: the queue's worker holds it
    yield box
    object.__setattr__(runtime, "mailer", None)
