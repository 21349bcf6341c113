"""Fixtures of the console's sign-in tests."""

import uuid
from functools import cache
from ipaddress import IPv6Address

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
    """A client without a cookie jar, as programs are, at an address of its own: codes are few for each."""
    made = house.test_client(use_cookies=False)
    made.environ_base["REMOTE_ADDR"] = str(IPv6Address(uuid.uuid4().int))
    return made
