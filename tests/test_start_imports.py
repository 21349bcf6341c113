"""What the program loads as it starts, and what it leaves until it is needed: what is loaded stays."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import Commands

ROOT = Path(__file__).parents[1]
UNUSED = (
    "psycopg",
    "redis",
    "celery",
    "rich",
    "pygments",
    "numpy",
    "bs4",
    "lxml",
    "alembic",
    "weaviate",
    "openai",
    "opentelemetry",
)
DOORS = ("api.controllers", "flask_restx", "jsonschema", "flask_limiter", "limits")
PROGRAM = ("api.services", "api.tasks", "api.models.account", "api.core.workflow.engine")
GROUND = ("api.backends", "api.core", "cryptography", "httpx2")
STEPS = {
    "what serves": (
        "import api.cli, api.app_factory; api.app_factory.create_app()",
        (*UNUSED, "api.commands", "api.greeting"),
    ),
    "parent of what serves": (
        "import importlib, api.cli, api.server; list(map(importlib.import_module, api.cli.SHARED))",
        (*UNUSED, *DOORS, *PROGRAM, *GROUND),
    ),
    "start with nothing to migrate": (
        "import api.cli, api.preparation; assert api.preparation.prepare(api.cli.load_settings()) == 0",
        (*UNUSED, *DOORS, *PROGRAM),
    ),
    "what works and does not serve": (
        "import api.gevent_boot, api.queue_factory",
        (*UNUSED, *DOORS, "gunicorn"),
    ),
}
"""What a process does, and what it does it without."""

READ = """
import sys
read = []
sys.addaudithook(lambda event, args: event == "open" and read.append(str(args[0])))
import api.gevent_boot
print(sum(path.endswith("entry_points.txt") for path in read))
"""


@pytest.mark.parametrize(("does", "unused"), STEPS.values(), ids=STEPS)
def test_program_on_sqlite_loads_nothing_it_does_not_use(
    commands: Commands, tmp_path: Path, does: str, unused: tuple[str, ...]
) -> None:
    assert commands.run("migrate", DATA_DIR=str(tmp_path)).returncode == 0

    loaded = run_alone(
        f"{does}\nimport sys\nprint(*(name for name in {unused} if name in sys.modules))", tmp_path
    )

    assert loaded.split() == []


def test_patch_reads_nothing_of_packages_it_is_not_about(tmp_path: Path) -> None:
    assert run_alone(READ, tmp_path) == "0\n"


def run_alone(code: str, data_dir: Path) -> str:
    """Run code in an interpreter of its own; return what it prints."""
    settings = {
        "DATA_DIR": str(data_dir),
        "DATABASE_URL": "",
        "REDIS_URL": "",
        "QUEUE": "in_process",
        "DEMO": "false",
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout
