"""Runs a test again that was only too slow: other processes may have had the machine."""

import pytest
from _pytest.runner import runtestprotocol

from tests.waiting import TooLateError

TRIES = 4
WAS_LATE = pytest.StashKey[bool]()


def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool:
    """Run a test until it is not too slow, or has had all its tries.

    What is really too slow is so each time; a wrong answer gets no second chance.
    """
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for _ in range(TRIES):
        item.stash[WAS_LATE] = False
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
        if not item.stash[WAS_LATE]:
            break
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Note what made a test fail."""
    if call.when == "call" and call.excinfo is not None:
        item.stash[WAS_LATE] = call.excinfo.errisinstance(TooLateError)
