"""The Node.js SDK: its own tests, and that it calls what the Python SDK calls."""

import inspect
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import dify_client
from dify_client.resources.resource import Resource

NODE = shutil.which("node")
ROOT = Path(__file__).parents[2]
TESTS = Path(__file__).parent / "nodejs"
PARTS = """
const sdk = require("./sdks/nodejs");
const client = new sdk.DifyClient("app-key");
const methods = (part) => Object.getOwnPropertyNames(Object.getPrototypeOf(part));
const parts = { ...client, "datasets.documents": client.datasets.documents,
  "datasets.segments": client.datasets.segments };
const named = Object.entries(parts).map(([name, part]) => [name, methods(part).slice(1)]);
console.log(JSON.stringify({ parts: Object.fromEntries(named), classes: Object.keys(sdk) }));
"""

pytestmark = [
    pytest.mark.skipif(NODE is None, reason="there is no node on this machine"),
    pytest.mark.timeout(120),
]


def run_node(*arguments: str) -> str:
    """Return what node prints; raises AssertionError with that where it fails."""
    ended = subprocess.run([str(NODE), *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def to_camel(name: str) -> str:
    return re.sub(r"_([a-z])", lambda found: found[1].upper(), name)


def methods_of(part: Any) -> set[str]:
    return {to_camel(name) for name, _ in inspect.getmembers(part, inspect.ismethod) if name[0] != "_"}


def test_own_tests_of_the_package_pass() -> None:
    names = sorted(str(path) for path in TESTS.glob("*.test.js"))
    told = run_node("--test", "--test-reporter=tap", *names)

    assert names
    assert int(re.findall(r"^# pass (\d+)", told, re.MULTILINE)[0]) > len(names)


def test_both_sdks_call_the_same_and_raise_the_same() -> None:
    found = json.loads(run_node("-e", PARTS))
    with dify_client.Client("app-key") as client:
        parts = {name: part for name, part in vars(client).items() if isinstance(part, Resource)}
        parts["datasets.documents"] = client.datasets.documents
        parts["datasets.segments"] = client.datasets.segments

    assert {name: set(methods) for name, methods in found["parts"].items()} == {
        name: methods_of(part) for name, part in parts.items()
    }
    errors = {name for name in dify_client.__all__ if name.endswith("Error")}
    assert {name for name in found["classes"] if name.endswith("Error")} == errors
