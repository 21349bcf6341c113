"""The program as a newcomer starts it."""

import contextlib
import json
import shlex
import sqlite3
import stat
import subprocess
from pathlib import Path

from api.services.first_start import agent_line, curl_line, workflow_line
from tests.commands import Commands
from tests.live.conftest import PATIENT, Serve, end
from tests.sse import parse_events, text_of

pytestmark = PATIENT


def curl_lines(printed: str) -> list[str]:
    return [line for line in printed.splitlines() if line.startswith("curl ")]


def paste(line: str) -> str:
    """Run a printed line as a shell would; return what it prints."""
    return subprocess.run(shlex.split(line), capture_output=True, check=True, text=True).stdout


def test_first_start_prints_lines_that_work_and_later_starts_the_same(serve: Serve, tmp_path: Path) -> None:
    data = tmp_path / "data"
    first = serve("--demo", data_dir=data)
    keys = dict(line.split("=", 1) for line in (data / "demo.env").read_text().split())
    url = f"http://127.0.0.1:{first.port}"
    lines = [curl_line(url, keys["DEMO_APP_KEY"], mode) for mode in ("streaming", "blocking")]
    lines.append(workflow_line(url, keys["DEMO_WORKFLOW_KEY"]))
    lines.append(agent_line(url, keys["DEMO_AGENT_KEY"]))

    streamed, whole, ran, called = (paste(line) for line in lines)
    printed = end(first)
    page = next(line.split()[-1] for line in printed.splitlines() if "Chat with the demo app" in line)
    second = serve("--demo", data_dir=data)
    opened = paste(f"curl -sf {page.replace(str(first.port), str(second.port))}")
    printed_again = end(second)

    for said in (text_of(parse_events(streamed)), json.loads(whole)["answer"]):  # pages are indexed meanwhile
        assert "self-hosted backend" in said
    assert parse_events(ran)[-1]["data"]["outputs"] == {
        "result": "A text of 12 words; the longest is belongs."
    }
    thoughts = [event for event in parse_events(called) if event["event"] == "agent_thought"]
    assert [(one["tool"], one["observation"]) for one in thoughts[2:]] == [
        ("eval_expression", "42"),
        *[("", "")] * 2,
    ]
    assert curl_lines(printed) == lines
    assert curl_lines(printed_again) == [line.replace(str(first.port), str(second.port)) for line in lines]
    assert page.startswith(f"{url}/chat/")
    assert "<html" in opened
    assert page.replace(str(first.port), str(second.port)) in printed_again
    assert f"{url}/console/api/spec" in printed
    assert "Password (shown once)" in printed
    assert "Password (shown once)" not in printed_again
    for name in ("demo.env", "secret_key"):
        assert stat.S_IMODE((data / name).stat().st_mode) == 0o600


def start_in_vain(commands: Commands, tmp_path: Path, **settings: str) -> str:
    """Start a program that must refuse; return what it says."""
    ended = commands.run("start", "--demo", DATA_DIR=str(tmp_path / "data"), LOG_LEVEL="WARNING", **settings)
    assert ended.returncode == 1
    return ended.stdout + ended.stderr


def test_start_with_a_weak_owner_password_is_refused_with_one_sentence(
    commands: Commands, tmp_path: Path
) -> None:
    said = start_in_vain(commands, tmp_path, OWNER_PASSWORD="short")

    assert said == "Error: OWNER_PASSWORD: The password must have at least 8 characters.\n"


def test_start_on_a_database_of_a_later_version_is_refused_and_changes_nothing(
    commands: Commands, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    assert commands.run("migrate", DATA_DIR=str(data)).returncode == 0
    with contextlib.closing(sqlite3.connect(data / "slipway.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")

    said = start_in_vain(commands, tmp_path)
    listed = commands.run("workspace", "list", DATA_DIR=str(data))

    assert said.startswith(f"Error: The database at {data / 'slipway.db'} was last used by a later version")
    assert "(schema 9999). Run that one; to go back, have it `migrate --down-to " in said
    assert (listed.returncode, listed.stderr) == (1, said)
    assert not (data / "backups").exists()


def test_start_without_its_database_says_where_it_was_looked_for_and_no_password(
    commands: Commands, tmp_path: Path
) -> None:
    said = start_in_vain(commands, tmp_path, DATABASE_URL="postgresql://me:hunter2@127.0.0.1:1/x")

    assert said.startswith("Error: DATABASE_URL: the database at 127.0.0.1:1 cannot be opened: ")
    assert said.count("\n") == 1
    assert "hunter2" not in said


def test_start_with_an_unknown_setting_is_refused_with_one_sentence(
    commands: Commands, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text(f"DATA_DIR={tmp_path / 'data'}\nNO_SUCH_SETTING=1\n")

    ended = commands.run("start", folder=str(tmp_path))

    assert ended.returncode == 1
    assert (
        ended.stderr == "Error: NO_SUCH_SETTING in .env is not a setting; see .env.example for the names.\n"
    )
