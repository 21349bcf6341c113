"""Runs the journeys on a program of their own."""

from collections.abc import Mapping
from pathlib import Path

from tests.conformance.journey import Answers, travel
from tests.conformance.workspace import make_workspace
from tests.live.conftest import end, start
from tests.servers import Reply, ScriptedServer

MOUNTS = ("/api", "/v1")


def call_everything(data_dir: Path, settings: Mapping[str, object]) -> dict[str, Answers]:
    """Call every operation on both mounts of a program with these settings; return the answers by mount."""
    with ScriptedServer(Reply()) as models:
        served = start((), data_dir, settings)
        try:
            workspace = make_workspace(served, models)
            return {mount: travel(workspace, mount) for mount in MOUNTS}
        finally:
            end(served)
