"""The samples of the specification, as the READMEs print them, against what ``make run`` starts."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.factories import PASSWORD
from tests.live.conftest import PATIENT, ROOT, Served, end, start

NODE = shutil.which("node")
NEEDS_NODE = pytest.mark.skipif(NODE is None, reason="there is no node on this machine")
SEED = Path(os.environ.get("TEST_SEED", ROOT.parent / "shared/seed"))
READMES = {"4.1 Python SDK": "sdks/python/README.md", "4.2 Node.js SDK": "sdks/nodejs/README.md"}
WRAPPED = """
const AsyncFunction = (async () => {}).constructor;
const sample = require("node:fs").readFileSync(process.argv[2], "utf8");
new AsyncFunction("require", sample)(require);
"""
"""Runs a sample that awaits and requires, which node takes in no file of its own."""

pytestmark = PATIENT


@dataclass(frozen=True)
class Demo:
    """The program after its first start, and keys to it."""

    url: str
    workspace_key: str
    keys: Mapping[str, str]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """The program with its demo, and a key of the workspace that the owner made."""
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
    yield Demo(f"http://127.0.0.1:{served.port}/api", workspace_key, keys)
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


def sample(heading: str) -> str:
    """Return the sample of a README, its first block of code in the language."""
    text = (ROOT / READMES[heading]).read_text(encoding="utf-8")
    return str(re.findall(r"```(?:python|js)\n(.*?)```", text, re.DOTALL)[0])


def run(*command: str | Path, folder: Path, **environment: str) -> str:
    """Return what a program prints; it must succeed and complain of nothing."""
    ended = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "PYTHONIOENCODING": "utf-8", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.parametrize("heading", READMES)
def test_sample_is_that_of_the_specification(heading: str) -> None:
    pages = sorted(SEED.glob("*.txt"))
    if not pages:
        pytest.skip("the specification is not at hand")
    told = pages[0].read_text().partition(f"\n{heading}\n")[2]

    assert "".join(told.split()).startswith("".join(sample(heading).split()))


def test_python_sample_chats_and_runs_a_workflow_with_one_key(demo: Demo, tmp_path: Path) -> None:
    (tmp_path / "sample.py").write_text(
        sample("4.1 Python SDK").replace("YOUR_API_KEY", demo.workspace_key), encoding="utf-8"
    )

    printed = run(
        sys.executable,
        "sample.py",
        folder=tmp_path,
        DIFY_BASE_URL=demo.url,
        PYTHONPATH=str(ROOT / "sdks/python"),
    )

    answer, usage, outputs = printed.rsplit("\n", 3)[:3]
    assert answer
    assert re.fullmatch(r"Token用量: \{.*'total_tokens': \d+.*\}", usage)
    assert outputs == "{'result': 'A text of 12 words; the longest is belongs.'}"


@NEEDS_NODE
def test_node_sample_chats(demo: Demo, folder: Path) -> None:
    (folder / "sample.js").write_text(
        sample("4.2 Node.js SDK").replace("YOUR_API_KEY", demo.workspace_key), encoding="utf-8"
    )
    (folder / "wrapped.js").write_text(WRAPPED, encoding="utf-8")

    printed = run(str(NODE), "wrapped.js", "sample.js", folder=folder, DIFY_BASE_URL=demo.url)

    answer, usage, _ = printed.rsplit("\n", 2)
    assert answer
    assert usage == "Token用量: [object Object]"


@NEEDS_NODE
def test_node_sdk_is_understood_by_the_program(demo: Demo, folder: Path) -> None:
    shutil.copy(ROOT / "tests/sdks/nodejs/journey.mjs", folder)

    assert run(str(NODE), "journey.mjs", folder=folder, DIFY_BASE_URL=demo.url, **demo.keys) == "arrived\n"
