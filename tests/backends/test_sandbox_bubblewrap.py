"""What bubblewrap's CPython does beyond the contract, and where it refuses to start."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from api.backends import load
from api.core.ports import Cancel, CodeSandbox
from api.settings import SettingsError
from tests.conftest import make_settings
from tests.sandboxes import make_sandbox


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[CodeSandbox]:
    with make_sandbox("bubblewrap", tmp_path) as made:
        yield made


def value(sandbox: CodeSandbox, code: str) -> object:
    return sandbox.run("python3", code, {}, timeout_s=10.0, cancel=Cancel())["x"]


def test_bubblewrap_without_its_program_refuses_to_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SettingsError, match="needs the program bwrap"):
        load("sandbox", "bubblewrap").from_settings(make_settings(tmp_path, sandbox="bubblewrap"))


def test_bubblewrap_runs_what_monty_lacks(sandbox: CodeSandbox) -> None:
    code = """
import statistics, threading, urllib.parse
class Numbers(list):
    @property
    def half(self): return (number / 2 for number in self)
async def main():
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()
    return {"x": [statistics.mean(Numbers([1, 2, 6]).half), urllib.parse.quote("中")]}
"""
    assert value(sandbox, code) == [1.5, "%E4%B8%AD"]


@pytest.mark.parametrize("path", ["/tmp/x", "/x", "/dev/x", "/usr/x", "/etc/x"])
def test_bubblewrap_lets_nothing_be_written(sandbox: CodeSandbox, path: str) -> None:
    code = f"""
def main():
    try:
        open({path!r}, "w").write("x")
    except OSError as exc:
        return {{"x": type(exc).__name__}}
    return {{"x": "written"}}
"""
    assert value(sandbox, code) != "written"


def test_bubblewrap_shows_only_the_interpreter(sandbox: CodeSandbox) -> None:
    code = """
import os
def main():
    return {"x": [os.listdir("/slipway/api"), sorted(os.listdir("/home") if os.path.isdir("/home") else [])]}
"""
    assert value(sandbox, code) == [["core"], []]
