"""What is done again and again works on every database."""

import sys
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from api.models.provider import ProviderCredential
from api.runtime import Runtime
from api.services.warm_up import warm_up
from api.tasks.schedule import OWN, SHARED, to_ticks
from tests.factories import make_owner

TICKS = [call for _, call in (*OWN, *SHARED) if call is not warm_up]


@pytest.mark.parametrize("tick", TICKS, ids=lambda tick: tick.__name__)
def test_tick_bears_being_called_twice(runtime: Runtime, tick: Callable[[Runtime], object]) -> None:
    tick(runtime)
    tick(runtime)


def test_warm_up_bears_being_called_twice_and_loads_what_is_used(fresh_client: FlaskClient) -> None:
    """On a program of its own: in a shared one each vendor is used by some other test."""
    runtime: Runtime = fresh_client.application.extensions["runtime"]
    owner = make_owner(runtime)
    with runtime.transaction() as session:
        session.add(
            ProviderCredential(tenant_id=owner.tenant_id, provider="openai", name="x", sealed=b"sealed")
        )

    warm_up(runtime)
    warm_up(runtime)

    assert "openai" in sys.modules


def test_schedule_names_each_tick_once(runtime: Runtime) -> None:
    names = [tick.name for tick in to_ticks(runtime)]

    assert len(set(names)) == len(names)
