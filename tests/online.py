"""A program whose outbound calls may reach a test's own servers on this machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from flask import Flask

from api.core.egress import EgressPolicy
from api.core.http import HTTPClient, Timeouts
from api.runtime import Runtime
from tests.servers import ScriptedServer


@contextmanager
def reachable(house: Flask, *servers: ScriptedServer) -> Iterator[Runtime]:
    """Let the program call the servers; give its runtime, and the one it had back at the end."""
    before: Runtime = house.extensions["runtime"]
    policy = EgressPolicy.parse(",".join(f"127.0.0.1:{server.port}" for server in servers))
    http = HTTPClient(policy, Timeouts(connect_s=20.0, first_byte_s=20.0, idle_s=20.0))
    house.extensions["runtime"] = replace(before, http=http)
    try:
        yield house.extensions["runtime"]
    finally:
        house.extensions["runtime"] = before
        http.close()
