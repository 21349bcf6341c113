"""The samples of the specification, as the READMEs print them, against what ``make run`` starts."""

import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.live.conftest import PATIENT, ROOT
from tests.sdks.conftest import NEEDS_NODE, NODE, Demo, run

SEED = Path(os.environ.get("TEST_SEED", ROOT.parent / "shared/seed"))
READMES = {"4.1 Python SDK": "sdks/python/README.md", "4.2 Node.js SDK": "sdks/nodejs/README.md"}
WRAPPED = """
const AsyncFunction = (async () => {}).constructor;
const sample = require("node:fs").readFileSync(process.argv[2], "utf8");
new AsyncFunction("require", sample)(require);
"""
"""Runs a sample that awaits and requires, which node takes in no file of its own."""

pytestmark = PATIENT


def sample(heading: str) -> str:
    """Return the sample of a README, its first block of code in the language."""
    text = (ROOT / READMES[heading]).read_text(encoding="utf-8")
    return str(re.findall(r"```(?:python|js)\n(.*?)```", text, re.DOTALL)[0])


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

    printed = run(sys.executable, "sample.py", folder=tmp_path, DIFY_BASE_URL=demo.url)

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
