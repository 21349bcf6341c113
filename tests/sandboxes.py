"""Sandboxes for tests, each with what it needs around it."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from api.backends import load
from api.core.ports import CodeSandbox
from tests.conftest import make_settings


@contextmanager
def make_sandbox(name: str, folder: Path, **values: object) -> Iterator[CodeSandbox]:
    """Yield a backend built as the program builds it; skips where it cannot be had on this machine."""
    if name == "bubblewrap":
        check_bubblewrap()
    made: CodeSandbox = load("sandbox", name).from_settings(make_settings(folder, sandbox=name, **values))
    yield made
    made.stop()


def check_bubblewrap() -> None:
    """Skip the test where bubblewrap is absent, or not allowed to make namespaces."""
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        pytest.skip("no bwrap on the PATH")
    command = [bwrap, "--unshare-all", "--ro-bind", "/", "/", "/bin/true"]
    tried = subprocess.run(command, capture_output=True, check=False)
    if tried.returncode:
        pytest.skip(f"bwrap cannot make namespaces here: {tried.stderr.decode().strip()}")


def processes() -> set[int]:
    """The processes this one has started and that have not ended."""
    lists = Path("/proc/self/task").glob("*/children")
    return {int(pid) for found in lists for pid in found.read_text().split()}
