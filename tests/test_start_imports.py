"""What the program loads as it starts, and what it leaves until it is needed: what is loaded stays."""

import os
import subprocess
import sys
from pathlib import Path

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
CODE = f"""
import api.cli
from api.app_factory import create_app
create_app()
import sys
print(*(name for name in {UNUSED} if name in sys.modules))
"""


def test_program_on_sqlite_is_made_without_what_it_does_not_use(tmp_path: Path) -> None:
    env = {
        **os.environ,
        "DATA_DIR": str(tmp_path),
        "DATABASE_URL": "",
        "REDIS_URL": "",
        "QUEUE": "in_process",
    }

    done = subprocess.run(
        [sys.executable, "-c", CODE], cwd=ROOT, env=env, capture_output=True, text=True, check=True
    )

    assert done.stdout.split() == []


READ = """
import sys
read = []
sys.addaudithook(lambda event, args: event == "open" and read.append(str(args[0])))
import api.gevent_boot
print(sum(path.endswith("entry_points.txt") for path in read))
"""


def test_patch_reads_nothing_of_packages_it_is_not_about() -> None:
    done = subprocess.run([sys.executable, "-c", READ], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout == "0\n"
