"""Ports of loopback for the programs that tests and benchmarks start."""

import os
import random
import socket

FIRST = 10_240
RUNS_OF_PORTS = 16
PORTS_IN_A_RUN = 1_280
"""In all up to 30,720: what the system hands out by itself begins above, at 32,768 on Linux."""


def free_port() -> int:
    """Return a port nobody listens on now, and which the system gives to nobody who asks it for any port.

    A program takes seconds from here to listening. A port the system had chosen
    might by then be that of another test's server, which would answer in its stead.
    Test workers draw from runs of their own.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % RUNS_OF_PORTS
    first = FIRST + worker * PORTS_IN_A_RUN
    for port in random.sample(range(first, first + PORTS_IN_A_RUN), PORTS_IN_A_RUN):
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue
    raise OSError(f"every port from {first} to {first + PORTS_IN_A_RUN - 1} is taken")
