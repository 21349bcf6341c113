"""What is under docker/: right by Compose's schema and by the settings; the image's steps done by hand."""

import json
import os
import re
import runpy
import shutil
import signal
import stat
import subprocess
import sys
import time
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from api.core.ports import Queue
from api.settings import Settings
from tests.live.conftest import PATIENT, START_TIMEOUT_S
from tests.ports import free_port
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
COMPOSED = ("compose.yaml", "compose.scale.yaml")
SECRETS = ("SECRET_KEY", "POSTGRES_PASSWORD", "REDIS_PASSWORD", "WEAVIATE_API_KEY")
FAKE_PYTHON = f"""#!{sys.executable} -SE
import os, sys, time
with open(os.environ["TOLD"], "a") as told: told.write(" ".join(sys.argv) + "\\n")
if os.environ["ENDS"] in " ".join(sys.argv): sys.exit(3)
time.sleep(60)
"""


def read(name: str, given: dict[str, str] | None = None) -> dict[str, Any]:
    """Return a Compose file with its variables filled in from what is given."""
    given = given or {}

    def value(found: re.Match[str]) -> str:
        name, _, default = found[1].partition(":")
        if default.startswith("?"):
            return given[name]
        return given.get(name) or default.removeprefix("-")

    text = (DOCKER / name).read_text(encoding="utf-8")
    while "${" in text:  # a default may hold others, which are filled in first
        text = re.sub(r"\$\{([^{}]+)\}", value, text)
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


@pytest.fixture
def secrets(tmp_path: Path) -> dict[str, str]:
    """What docker/secrets.sh draws."""
    shutil.copy(DOCKER / "secrets.sh", tmp_path)
    subprocess.run([tmp_path / "secrets.sh"], check=True, capture_output=True)
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    lines = (tmp_path / ".env").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines)


def test_secrets_are_long_all_different_and_never_drawn_again(
    tmp_path: Path, secrets: dict[str, str]
) -> None:
    subprocess.run([tmp_path / "secrets.sh"], check=True, capture_output=True)

    assert set(secrets) == set(SECRETS)
    assert len(set(secrets.values())) == len(SECRETS)
    assert all(len(value) == 64 for value in secrets.values())
    assert (tmp_path / ".env").read_text(encoding="utf-8").splitlines() == [
        f"{k}={v}" for k, v in secrets.items()
    ]


@pytest.mark.parametrize("name", COMPOSED)
def test_compose_files_fit_the_schema_of_compose(name: str, secrets: dict[str, str]) -> None:
    file = resources.files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    schema = json.loads(file.read_text(encoding="utf-8"))

    jsonschema.validate(read(name, secrets), schema)


@pytest.mark.parametrize("name", COMPOSED)
def test_services_of_ours_are_given_settings_that_a_start_takes(name: str, secrets: dict[str, str]) -> None:
    ours = [each for each in read(name, secrets)["services"].values() if each["image"] == "slipway:local"]

    assert ours
    for service in ours:
        values = {key.lower(): value for key, value in service["environment"].items()}
        assert set(values) <= set(Settings.model_fields)
        Settings.model_validate(values)


def test_stores_of_ones_own_take_the_place_of_those_beside(secrets: dict[str, str]) -> None:
    own = {
        "DATABASE_URL": "postgresql://me@db.example/slipway",
        "REDIS_URL": "rediss://cache.example/0",
        "WEAVIATE_URL": "https://vectors.example",
    }

    beside, replaced = (
        read("compose.scale.yaml", given)["services"]["api"]["environment"]
        for given in (secrets, secrets | own)
    )

    assert replaced == beside | own
    assert beside["DATABASE_URL"].endswith(f":{secrets['POSTGRES_PASSWORD']}@postgres:5432/slipway")


@pytest.mark.parametrize("name", COMPOSED)
def test_every_service_is_bounded_watched_and_started_again(name: str, secrets: dict[str, str]) -> None:
    made = read(name, secrets)

    for service in made["services"].values():
        assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
        assert service["restart"] == "unless-stopped"
        assert set(service["logging"]["options"]) == {"max-size", "max-file"}
        assert "healthcheck" in service or service["image"] == "slipway:local"  # that of the image
        if "slipway" in service["image"] or "nginx" in service["image"]:
            assert service["read_only"]
            assert service["cap_drop"] == ["ALL"]
        volumes = [
            volume.split(":")[0] for volume in service.get("volumes", ()) if not volume.startswith(".")
        ]
        assert set(volumes) <= set(made["volumes"])


@pytest.mark.parametrize("name", COMPOSED)
def test_engine_waits_for_as_long_as_a_stop_may_take(name: str, secrets: dict[str, str]) -> None:
    default = Settings.model_fields["graceful_timeout_s"].default

    for given, waits in (({}, f"{default}s"), ({"GRACEFUL_TIMEOUT_S": "90"}, "90s")):
        services = read(name, secrets | given)["services"].values()
        ours = [service for service in services if service["image"] == "slipway:local"]
        assert {service["stop_grace_period"] for service in ours} == {waits}


def test_database_is_healthy_only_when_others_reach_it(secrets: dict[str, str]) -> None:
    check = read("compose.scale.yaml", secrets)["services"]["postgres"]["healthcheck"]["test"]

    # While the image makes the database, a first server answers at the socket alone.
    assert "--host 127.0.0.1" in check[1]


def test_image_runs_as_a_user_who_is_told_by_number() -> None:
    steps = (DOCKER / "Dockerfile").read_text(encoding="utf-8")

    uid, gid = re.findall(r"^USER (\d+):(\d+)$", steps, re.MULTILINE)[-1]
    assert f"groupadd --gid {gid} " in steps
    assert f"useradd --uid {uid} " in steps


def test_schedule_goes_on_while_it_calls(tmp_path: Path) -> None:
    calls = runpy.run_path(str(DOCKER / "healthy.py"))["calls"]
    place = calls.__globals__["CALLED"]
    called = tmp_path / place.name
    calls.__globals__["CALLED"] = called

    assert not calls()
    called.touch()
    assert calls()
    os.utime(called, (0, 0))
    assert not calls()
    state = str(place).removesuffix("-called")
    assert f"--schedule {state} " in (DOCKER / "entrypoint.sh").read_text(encoding="utf-8")


def test_proxy_asks_every_server_again_and_sends_nothing_into_a_connection_that_ends() -> None:
    text = (DOCKER / "nginx.conf").read_text(encoding="utf-8")
    served = (ROOT / "gunicorn.conf.py").read_text(encoding="utf-8")

    assert re.search(r"server api:5001 resolve max_fails=0;", text)
    idle_s = int(re.findall(r"keepalive_timeout (\d+)s;", text)[0])
    assert idle_s < int(re.findall(r"^keepalive = (\d+)$", served, re.MULTILINE)[0])


def test_proxy_refuses_in_the_shape_of_all_errors() -> None:
    text = (DOCKER / "nginx.conf").read_text(encoding="utf-8")
    refusals = [(int(status), json.loads(body)) for status, body in re.findall(r"return (\d+) '(.*)';", text)]

    assert {status for status, _ in refusals} == {413, 503}
    for status, body in refusals:
        assert set(body) == {"code", "message", "status"}
        assert body["status"] == status


def test_proxy_holds_back_no_event_and_takes_what_the_program_takes() -> None:
    text = (DOCKER / "nginx.conf").read_text(encoding="utf-8")
    limits = Settings.model_fields
    told = dict(re.findall(r"^\s*([a-z_]+)\s+([^;{]+);", text, re.MULTILINE))

    assert told["proxy_buffering"] == told["proxy_request_buffering"] == "off"
    assert int(told["client_max_body_size"].rstrip("m")) > limits["document_max_mb"].default
    assert int(told["proxy_read_timeout"].rstrip("s")) > limits["run_timeout_s"].default
    assert "gzip" not in told


@PATIENT
def test_steps_of_the_image_give_a_server_that_is_healthy_and_ends_when_told(tmp_path: Path) -> None:
    steps = (DOCKER / "Dockerfile").read_text(encoding="utf-8")
    build = steps.split("\nFROM ")[1]
    image = tmp_path / "slipway"
    for *sources, target in (line.split() for line in re.findall(r"^COPY ([^-\n].*)$", build, re.MULTILINE)):
        place = image / target
        for source in sources:
            copied = ROOT / source
            if copied.is_dir():
                shutil.copytree(copied, place, dirs_exist_ok=True)
            else:
                place.mkdir(parents=True, exist_ok=True)
                shutil.copy(copied, place)
    env = dict(
        re.findall(r"\b([A-Z_]+)=(\S+)", re.findall(r"^ENV ((?:.*\\\n)*.*)$", steps, re.MULTILINE)[-1])
    )
    env |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOST": "127.0.0.1"}
    env |= {"PORT": str(free_port()), "DATA_DIR": str(tmp_path / "data"), "LOG_LEVEL": "ERROR"}
    health = [sys.executable, str(image / "docker/healthy.py")]

    def is_healthy() -> bool:
        return subprocess.run(health, env=env, check=False, timeout=30).returncode == 0

    with subprocess.Popen([image / "docker/entrypoint.sh", "serve"], cwd=tmp_path, env=env) as server:
        try:
            wait_until(lambda: server.poll() is not None or is_healthy(), START_TIMEOUT_S)
            assert server.poll() is None
            server.send_signal(signal.SIGTERM)
            assert server.wait(60) == 0
        finally:
            server.kill()
    assert not is_healthy()


@pytest.mark.parametrize(("ends", "exit_code"), [("crawls@", 3), ("nothing", 0)])
def test_workers_serve_every_queue_and_end_together(tmp_path: Path, ends: str, exit_code: int) -> None:
    fake, told = tmp_path / "python", tmp_path / "told"
    fake.write_text(FAKE_PYTHON, encoding="utf-8")
    fake.chmod(0o700)
    env = {**os.environ, "PYTHON": str(fake), "TOLD": str(told), "ENDS": ends}
    health = [sys.executable, str(DOCKER / "healthy.py"), "worker"]

    with subprocess.Popen([DOCKER / "worker.sh"], env=env, start_new_session=True) as workers:
        try:
            if exit_code == 0:
                deadline = time.monotonic() + 50
                while not told.exists() or told.read_text(encoding="utf-8").count("\n") < 4:
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
                assert subprocess.run(health, check=False, timeout=30).returncode == 0
                workers.send_signal(signal.SIGTERM)
            assert workers.wait(30) == exit_code
            with pytest.raises(ProcessLookupError):  # nothing is left of its group
                os.killpg(workers.pid, 0)
        finally:
            workers.kill()
    served = set(re.findall(r"slipway\.([a-z]+)", told.read_text(encoding="utf-8")))
    assert served <= {queue.value for queue in Queue}
    assert exit_code or served == {queue.value for queue in Queue}


@pytest.mark.parametrize("vanishing", [0, 1])
def test_workers_are_counted_while_other_processes_end(
    monkeypatch: pytest.MonkeyPatch, vanishing: int
) -> None:
    works = runpy.run_path(str(DOCKER / "healthy.py"))["works"]
    commands = [b"python -m celery worker --queues q"] * 4 + [b"sh"]
    places = [Path(f"/proc/{number}/cmdline") for number in range(5 + vanishing)]

    def read_bytes(path: Path) -> bytes:
        number = int(path.parts[2])
        if number == 5:
            raise ProcessLookupError
        return commands[number]

    monkeypatch.setattr(Path, "glob", lambda *_: iter(reversed(places)))
    monkeypatch.setattr(Path, "read_bytes", read_bytes)

    assert works()
    places.remove(Path("/proc/0/cmdline"))
    assert not works()
