"""The program killed under runs of workflows: none says ``running`` for long, none is lost, each goes on."""

import contextlib
import os
import random
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.flows import drawn, edges, end, template
from tests.live.conftest import PATIENT, ModelServer, Served, set_up, start
from tests.live.test_streams import END, delta
from tests.sse import parse_events
from tests.waiting import assert_quick, wait_until

pytestmark = PATIENT

KILLS, RUNS_PER_KILL = 2, 8
RUN_S = 0.6
"""About how long a run lasts; it is killed before the last of them can have ended."""
ENDED_S = 60.0
MODEL = {"provider": "openai_api_compatible", "mode": "chat", "completion_params": {}}
SAID = "one two three "
NODES = ["s", "t", "n", "u", "m", "e"]
STATUSES = frozenset({"running", "succeeded", "failed"})


def graph(model: str) -> dict[str, Any]:
    """Return a chain of templates and slow models."""
    asked: dict[str, Any] = {
        "model": {**MODEL, "name": model},
        "prompt_template": [{"role": "user", "text": "{{#t.output#}}"}],
    }
    return {
        "nodes": [
            drawn("s", "start"),
            template("t", "Say {{ x }}", x="sys.user_id"),
            drawn("n", "llm", **asked),
            template("u", "{{ x }}!", x="n.text"),
            drawn("m", "llm", **asked),
            end(first="u.output", second="m.text"),
        ],
        "edges": edges(" > ".join(NODES)),
    }


class Installation:
    """An embedded program that is killed and started again on its data, with a slow workflow."""

    def __init__(self, data_dir: Path, models: ModelServer) -> None:
        self.data_dir = data_dir
        self.killed_after_s = 0.0
        self.served = start((), data_dir, {"RATE_LIMITS": "off"})
        set_up(self.served, f"{models.url}/v1")
        model = models.script(*(delta(f"{word} ") for word in SAID.split()), END, gap_s=RUN_S / 8)
        _, app = self.served.call("POST", "/console/api/apps", {"name": "Slow", "mode": "workflow"})
        self.path = f"/console/api/apps/{app['id']}"
        self.post("/workflows/draft", {"graph": graph(model)})
        self.post("/workflows/publish")
        self.key = str(self.post("/api-keys")["token"])

    def post(self, path: str, body: object = None) -> Any:
        """Post to the app's part of the console."""
        status, answer = self.served.call("POST", self.path + path, body or {})
        assert status < 300, answer
        return answer

    def kill_under_runs(self, after_s: float) -> None:
        """Start runs, kill every process of the program so much later, and start it again."""
        before = self.count()
        with ExitStack() as left:
            for _ in range(RUNS_PER_KILL):
                connection = left.enter_context(contextlib.closing(self.served.connect()))
                body = {"user": "ada", "inputs": {}, "response_mode": "streaming"}
                self.served.send(connection, "POST", "/v1/workflows/run", body, self.key)
                time.sleep(RUN_S / RUNS_PER_KILL / 2)
            last_sent = time.monotonic()
            wait_until(lambda: self.count() > before)
            time.sleep(after_s)
            _kill(self.served)
            self.killed_after_s = time.monotonic() - last_sent
        token = self.served.token
        self.served = start((), self.data_dir, {"RATE_LIMITS": "off"})
        self.served.token = token

    def let_time_pass(self) -> None:
        """Make the beats of the dead so old as they are some time later."""
        then = datetime.now(UTC) - timedelta(seconds=60)
        with contextlib.closing(sqlite3.connect(self.data_dir / "slipway.db", timeout=30)) as database:
            database.execute("UPDATE worker_beats SET beat_at = ?", (then.strftime("%Y-%m-%d %H:%M:%S.%f"),))
            database.commit()

    def wait_until_none_runs(self) -> float:
        """Return after how many seconds no run says that it is running."""
        began = time.monotonic()
        while self.statuses().get("running"):
            assert time.monotonic() - began < ENDED_S, self.statuses()
            time.sleep(0.2)
        return time.monotonic() - began

    def count(self) -> int:
        """Return how many runs there are."""
        return sum(map(len, self.statuses().values()))

    def statuses(self) -> dict[str, list[str]]:
        """Return the runs by how they are."""
        found: dict[str, list[str]] = {}
        with contextlib.closing(sqlite3.connect(self.data_dir / "slipway.db", timeout=30)) as database:
            for run_id, status in database.execute("SELECT id, status FROM workflow_runs"):
                found.setdefault(status, []).append(run_id)
        return found

    def check(self, run_id: str) -> None:
        """Assert that a run's nodes are written whole and without gaps."""
        _, run = self.served.call("GET", f"{self.path}/workflow-runs/{run_id}")
        _, told = self.served.call("GET", f"{self.path}/workflow-runs/{run_id}/node-executions")
        nodes = [(row["node_id"], row["status"]) for row in reversed(told["data"])]
        assert nodes == [(node_id, "succeeded") for node_id in NODES[: len(nodes)]]
        assert all(isinstance(row["outputs"], dict) for row in told["data"])
        if run["status"] == "succeeded":
            assert (len(nodes), run["outputs"]) == (len(NODES), {"first": f"{SAID}!", "second": SAID})
        else:
            assert "worker lost" in run["error"]

    def run_on(self, run_id: str) -> None:
        """Assert that a failed run goes on from where it was, to its end."""
        _, told = self.served.call("GET", f"{self.path}/workflow-runs/{run_id}/node-executions")
        done = {row["node_id"] for row in told["data"]}
        with contextlib.closing(self.served.connect()) as connection:
            path = f"{self.path}/workflow-runs/{run_id}/rerun"
            self.served.send(connection, "POST", path, {}, self.served.token)
            events = parse_events(connection.getresponse().read().decode())
        ran = [event["data"]["node_id"] for event in events if event["event"] == "node_finished"]
        assert events[-1]["data"]["status"] == "succeeded", events[-1]
        assert events[-1]["data"]["outputs"] == {"first": f"{SAID}!", "second": SAID}
        assert ran == [node_id for node_id in NODES if node_id not in done]


def _kill(served: Served) -> None:
    """Kill the program's processes, those it started first."""
    pid = served.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    served.process.send_signal(signal.SIGSTOP)  # it would start others
    for child in children:
        os.kill(int(child), signal.SIGKILL)
    served.process.kill()
    served.process.wait(30)


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    """A program that may be killed."""
    with ModelServer() as models:
        made = Installation(tmp_path / "data", models)
        yield made
        made.served.stop()


def kill_again_and_again(installation: Installation, kills: int, *, waits_every: int = 0) -> None:
    """Kill the program under runs so often, at random moments, and see what became of them each time.

    Only every ``waits_every`` time it is really waited until the dead are found out.
    """
    seed = random.randrange(10**6)
    moments = random.Random(seed)
    known: set[str] = set()
    for number in range(kills):
        installation.kill_under_runs(moments.uniform(0, RUN_S / 2))
        if not waits_every or number % waits_every:
            installation.let_time_pass()
        installation.wait_until_none_runs()
        statuses = installation.statuses()
        assert statuses.keys() <= STATUSES, (seed, number, statuses)
        failed = set(statuses.get("failed", ())) - known
        if not failed:
            assert_quick(installation.killed_after_s, RUN_S)  # or all have come to their end
        assert failed, (seed, number, statuses)
        for run_id in {*failed, *statuses.get("succeeded", ())} - known:
            installation.check(run_id)
        for run_id in sorted(failed)[:2]:
            installation.run_on(run_id)
        known |= {run_id for ids in installation.statuses().values() for run_id in ids}


def test_killed_program_leaves_no_run_running_and_each_goes_on(installation: Installation) -> None:
    kill_again_and_again(installation, KILLS)
