"""The verbs of the Makefile call what there is."""

import re
from pathlib import Path

from api.core.ports import Queue

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
CLI = "".join((ROOT / "api" / name).read_text(encoding="utf-8") for name in ("cli.py", "commands.py"))
WORKER = (ROOT / "docker" / "worker.sh").read_text(encoding="utf-8")
VERBS = ("run", "test", "everywhere", "dev", "check", "fmt", "bench", "worker", "beat", "migrate", "env")


def test_makefile_has_every_promised_verb() -> None:
    targets = set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))

    assert set(VERBS) <= targets


def test_every_command_the_makefile_calls_exists() -> None:
    called = set(re.findall(r"-m api\.cli ([a-z-]+)", MAKEFILE))
    named = set(re.findall(r'@main\.command\("([a-z-]+)"\)', CLI))
    plain = set(re.findall(r"@main\.command\(\)[\s\S]*?\ndef ([a-z_]+)\(", CLI))

    assert called <= named | plain


def test_every_queue_is_served_by_a_worker() -> None:
    assert set(re.findall(r"slipway\.([a-z]+)", WORKER)) == {queue.value for queue in Queue}
