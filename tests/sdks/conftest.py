"""What ``make run`` starts, and somebody who calls it with the SDKs."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.factories import PASSWORD
from tests.live.conftest import ROOT, Served, end, start

NODE = shutil.which("node")
NEEDS_NODE = pytest.mark.skipif(NODE is None, reason="there is no node on this machine")
SOMEBODY = {
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
    "PYTHONIOENCODING": "utf-8",
    "PYTHONPATH": str(ROOT / "sdks/python"),
}
"""The environment of a program that somebody wrote who installed the SDK."""


@dataclass(frozen=True)
class Demo:
    """The program after its first start, and keys to it."""

    root: str
    workspace_key: str
    keys: Mapping[str, str]

    @property
    def url(self) -> str:
        """Where its public API is."""
        return f"{self.root}/api"


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """The program with its demo, and a key of the workspace that the owner made.

    A key of the workspace needs no name of an app while there are few: the samples come first.
    """
    data = tmp_path_factory.mktemp("demo")
    served = start(("--demo",), data, {"OWNER_PASSWORD": PASSWORD})
    served.token = sign_in(served)
    made = {"name": "samples", "permissions": ["chat", "completion", "workflow"]}
    workspace_key = make_key(served, "/console/api/api-keys", made, 201)
    dataset_key = make_key(served, "/console/api/datasets/api-keys", {}, 200)
    kept = dict(line.split("=", 1) for line in (data / "demo.env").read_text().split())
    keys = {
        "APP_KEY": kept["DEMO_APP_KEY"],
        "WORKFLOW_KEY": kept["DEMO_WORKFLOW_KEY"],
        "DATASET_KEY": dataset_key,
    }
    yield Demo(f"http://127.0.0.1:{served.port}", workspace_key, keys)
    end(served)


def sign_in(served: Served) -> str:
    account = {"email": "owner@example.com", "password": PASSWORD}
    status, answer = served.call("POST", "/console/api/login", account)
    assert status == 200, answer
    return str(answer["data"]["access_token"])


def make_key(served: Served, path: str, body: object, expected: int) -> str:
    status, answer = served.call("POST", path, body)
    assert status == expected, answer
    return str(answer["token"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of somebody who installed the Node.js package."""
    made = tmp_path_factory.mktemp("somebody")
    (made / "node_modules").mkdir()
    shutil.copytree(ROOT / "sdks/nodejs", made / "node_modules/dify-client")
    return made


def run(*command: str | Path, folder: Path, **environment: str) -> str:
    """Return what a program prints; it must succeed and complain of nothing."""
    ended = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env={**SOMEBODY, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout + ended.stderr
    return ended.stdout
