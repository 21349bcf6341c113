"""Other projects' clients, each installed into a folder of its own.

Never into this environment: our own SDK has the same import name. A folder is
filled once and kept in the user's cache; where it cannot be filled, as offline,
the tests that need it are skipped.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest

PYTHON_CLIENT = "dify-client==0.1.10"
NODE_CLIENT = "dify-client@2.3.2"
INSTALL_TIMEOUT_S = 120
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "slipway-clients"
PIP = ("--quiet", "--disable-pip-version-check", "--retries=0", "--timeout=15", "--only-binary=:all:")
NPM = (
    "--loglevel=error",
    "--no-audit",
    "--no-fund",
    "--ignore-scripts",
    "--fetch-retries=0",
    "--fetch-timeout=15000",
)


def python_client() -> Path:
    """Return a folder that holds PyPI's ``dify-client`` and what it needs."""
    return _filled([sys.executable, "-m", "pip", "install", *PIP, "--target=.", PYTHON_CLIENT], "python")


def node_client() -> Path:
    """Return a folder in whose ``node_modules`` npm's ``dify-client`` is."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("node and npm are not on PATH")
    return _filled([npm, "install", *NPM, "--prefix=.", NODE_CLIENT], "node")


def _filled(command: list[str], kind: str) -> Path:
    """Return the folder a command has filled, now or in an earlier run."""
    wanted = command[-1]
    kept = CACHE / f"{kind}-{wanted}"
    if not kept.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            made = Path(folder) / "made"
            made.mkdir()
            _install(command, made)
            with suppress(OSError):  # another test process was first
                made.rename(kept)
    return kept


def _install(command: list[str], folder: Path) -> None:
    wanted = command[-1]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"{wanted} was not installed within {INSTALL_TIMEOUT_S} s")
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()
        pytest.skip(f"{wanted} cannot be installed here: {said[-1][:200] if said else done.returncode}")
