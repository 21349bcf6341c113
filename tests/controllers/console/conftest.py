"""Fixtures of the console's sign-in tests."""

from functools import cache

import pytest
from flask import Flask
from flask.testing import FlaskClient

from api.runtime import Runtime
from api.services import passwords
from tests.factories import PASSWORD, Owner, make_owner


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
