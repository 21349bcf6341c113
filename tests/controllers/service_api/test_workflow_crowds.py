"""Many runs at once: each tells one start and one end, in rising numbers, and is stored as it was told."""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from flask import Flask
from sqlalchemy import func, select

from api.core.ports import JSONObject
from api.models.workflow import NodeExecution, WorkflowRun
from api.runtime import Runtime
from tests.conftest import BOTH
from tests.factories import Owner, make_app, make_key
from tests.fakes import Script
from tests.flows import drawn, edges, template
from tests.sse import parse_events, read_events

pytestmark = BOTH

RUNS, PARALLEL = 48, 32
NUMBER = {"variable": "n", "label": "N", "type": "number", "required": True}
ENDS = frozenset({"workflow_finished", "workflow_paused", "error"})


@dataclass(frozen=True, kw_only=True)
class Told:
    """A run as it was told: how it ended, and how many nodes of it ended."""

    run_id: str
    status: str
    nodes: int
    faults: Sequence[str]


def crowd_graph(model: JSONObject) -> JSONObject:
    """Return a graph with branches side by side, rounds and a model; it fails where its number is 0."""
    numbers = "def main(n): return {'x': [n, n + 1, n + 2], 'y': 12 / n}"
    outputs = {"x": {"type": "array[number]"}, "y": {"type": "number"}}
    inside: dict[str, Any] = {
        "iterator_selector": ["c", "x"],
        "output_selector": ["t", "output"],
        "start_node_id": "b",
    }
    return {
        "nodes": [
            drawn("s", "start", variables=[NUMBER]),
            drawn(
                "c",
                "code",
                code_language="python3",
                code=numbers,
                variables=[{"variable": "n", "value_selector": ["s", "n"]}],
                outputs=outputs,
            ),
            drawn("i", "iteration", is_parallel=True, parallel_nums=2, **inside),
            drawn("b", "iteration-start", parent="i"),
            template("t", "{{ item }}", parent="i", item="i.item"),
            drawn("m", "llm", model=model, prompt_template=[{"role": "user", "text": "{{#s.n#}}"}]),
            drawn("e", "end", outputs=[{"variable": "said", "value_selector": ["m", "text"]}]),
        ],
        "edges": edges("s > c > i > e", "s > m > e", "b > t"),
    }


def run_crowd(house: Flask, owner: Owner, runs: int) -> list[str]:
    """Run a workflow so often, 32 at a time; return what was not as it is promised."""
    runtime: Runtime = house.extensions["runtime"]
    app_id = make_app(runtime, owner, mode="workflow")
    client, path = house.test_client(), f"/console/api/apps/{app_id}/workflows"
    for step, body in (("draft", {"graph": crowd_graph(Script().choice)}), ("publish", {})):
        answer = client.post(f"{path}/{step}", json=body, headers=owner.headers)
        assert answer.status_code < 300, answer.text
    headers = {"Authorization": f"Bearer {make_key(runtime, owner, app_id)}"}
    with ThreadPoolExecutor(PARALLEL) as pool:
        told = list(pool.map(partial(_run, house, headers), range(runs)))
    return [fault for run in told for fault in run.faults] + _not_stored(runtime, app_id, told)


def _run(house: Flask, headers: dict[str, str], number: int) -> Told:
    client = house.test_client()
    body = {"user": "ada", "inputs": {"n": number % 4}, "response_mode": "streaming"}
    events = read_events(client.post("/v1/workflows/run", json=body, headers=headers))
    run_id = events[0]["workflow_run_id"]
    again = client.get(f"/v1/workflow/{run_id}/events", query_string={"user": "ada"}, headers=headers)
    numbers = [event["#"] for event in parse_events(again.text)]
    names = [event["event"] for event in events]
    began, ended = _count(events, "started"), _count(events, "finished")
    is_well = events[-1]["data"]["status"] == "succeeded"  # a failure waits for others only a moment
    faults = {
        "does not begin with its only start": names.index("workflow_started") == 0
        and names.count("workflow_started") == 1,
        "does not close with its only end": [name for name in names if name in ENDS] == names[-1:],
        "has numbers that do not rise one by one": numbers == list(range(1, len(names) + 1)),
        "has nodes that end without beginning": ended <= began,
        "has nodes that do not end": ended == began or not is_well,
        "ends otherwise than it should": events[-1]["data"]["status"]
        == ("succeeded" if number % 4 else "failed"),
    }
    return Told(
        run_id=run_id,
        status=events[-1]["data"]["status"],
        nodes=sum(ended.values()),
        faults=[f"run {number} {fault}: {names}" for fault, is_kept in faults.items() if not is_kept],
    )


def _count(events: Sequence[dict[str, Any]], what: str) -> Counter[str]:
    names = (f"node_{what}", f"iteration_{'completed' if what == 'finished' else what}")
    return Counter(event["data"]["node_id"] for event in events if event["event"] in names)


def _not_stored(runtime: Runtime, app_id: str, told: Sequence[Told]) -> list[str]:
    """Return how rows differ from what was told."""
    ended = select(WorkflowRun.id, WorkflowRun.status).where(WorkflowRun.app_id == app_id)
    nodes = select(NodeExecution.workflow_run_id, func.count()).where(NodeExecution.app_id == app_id)
    with runtime.reading() as session:
        statuses = {row[0]: row[1] for row in session.execute(ended)}
        counts = {row[0]: row[1] for row in session.execute(nodes.group_by(NodeExecution.workflow_run_id))}
    return [
        f"{run} is stored with {statuses.get(run.run_id)} and {counts.get(run.run_id)} nodes"
        for run in told
        if (statuses.get(run.run_id), counts.get(run.run_id)) != (run.status, run.nodes)
    ]


def test_runs_at_once_tell_one_start_and_one_end_in_rising_numbers(house: Flask, owner: Owner) -> None:
    assert run_crowd(house, owner, RUNS) == []
