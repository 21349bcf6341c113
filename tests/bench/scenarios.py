"""What is measured, and against what: each scenario with its load, its figures and their targets."""

import json
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.bench import measure
from tests.bench.databases import Database
from tests.bench.flows import SAID
from tests.bench.library import HYBRID, Library
from tests.bench.load import Load, Outcome, quantile, request, run_load
from tests.bench.measure import Watch
from tests.bench.processes import Server
from tests.bench.texts import make_query
from tests.bench.workspace import (
    AGENT_MODEL,
    BLOCKING_MODEL,
    STREAMING_MODEL,
    USER,
    Workspace,
    question,
)

CHAT = "/v1/chat-messages"
SAMPLE_EVERY_S = 0.2
QUIET_S = 0.25
QUIET_CORES = 0.03
QUIET_TIMEOUT_S = 30.0
BUSY_SHARE = 0.8
DISTURBED_CORES = 0.3

Figures = dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Something to measure: the floor (without database and workspace), or Slipway on a database.

    There is a library where knowledge is measured; ``fresh_mb`` is the memory before it was made.
    """

    name: str
    server: Server
    database: Database | None = None
    workspace: Workspace | None = None
    library: Library | None = None
    fresh_mb: float = 0.0

    def key(self, model: str) -> str:
        """Return the bearer token that leads to a model."""
        return self.workspace.keys[model] if self.workspace else model


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One kind of load. ``load`` makes it for a subject; None: the subject has nothing of the kind.

    ``drains`` says that work goes on after the last answer and belongs to the cost.
    """

    name: str
    title: str
    load: Callable[[Subject], Load | None]
    drains: bool = False


@dataclass(slots=True)
class Bench:
    """What has been measured so far, and what should make a reader doubt it."""

    rounds: dict[tuple[str, str, str], list[float]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    busy_cores: list[float] = field(default_factory=list)

    def note(self, scenario: str, subject: str, figures: Mapping[str, float]) -> None:
        """Keep the figures of one round."""
        for figure, value in figures.items():
            self.rounds.setdefault((scenario, figure, subject), []).append(value)

    def doubts(self) -> Iterator[str]:
        """Yield the reasons to doubt the figures."""
        disturbed = [cores for cores in self.busy_cores if cores > DISTURBED_CORES]
        if disturbed:
            share = f"{len(disturbed)} of {len(self.busy_cores)} measurements"
            yield f"Other work kept up to {max(disturbed):.1f} cores busy just before {share}."
        yield from self.faults

    def median(self, scenario: str, figure: str, subject: str) -> float | None:
        """Return the median of the rounds (the upper one of two), None where nothing was measured."""
        values = self.rounds.get((scenario, figure, subject))
        return quantile(values, 0.5) if values else None


def scenarios(*, is_quick: bool) -> tuple[Scenario, ...]:
    """Return every load; the quick ones are a quarter as long."""

    def count(requests: int) -> int:
        return requests // 4 if is_quick else requests

    return (
        Scenario(
            name="block",
            title="chat, blocking, 20 tokens at once, 10 clients",
            load=lambda subject: _blocking(subject, 10, count(1200)),
        ),
        Scenario(
            name="titles",
            title="the same, titles on (auto_generate_name as by default)",
            load=lambda subject: _blocking(subject, 10, count(600), wants_title=True),
            drains=True,
        ),
        Scenario(
            name="stream50",
            title="chat, streaming 100 tokens x 10 ms, 50 clients",
            load=lambda subject: streaming(subject, STREAMING_MODEL, 50, count(400), tokens=100),
        ),
        Scenario(
            name="stream200",
            title="the same, 200 clients",
            load=lambda subject: streaming(subject, STREAMING_MODEL, 200, count(800), tokens=100),
        ),
        Scenario(
            name="stream500",
            title="the same, 500 clients",
            load=lambda subject: streaming(subject, STREAMING_MODEL, 500, 500, tokens=100),
        ),
        Scenario(
            name="apps",
            title="console GET /apps?limit=30, 20 clients",
            load=lambda subject: _apps(subject, 20, count(2000)),
        ),
        Scenario(
            name="history",
            title="GET /messages, 20 of 200, 20 clients",
            load=lambda subject: _history(subject, 20, count(2000)),
        ),
        Scenario(
            name="first",
            title="first event, 1 client, model without delay",
            load=lambda subject: first_event(subject, count(120), is_continued=False),
        ),
        Scenario(
            name="first200",
            title="the same in a conversation of 200 messages",
            load=lambda subject: first_event(subject, count(120), is_continued=True),
        ),
        Scenario(
            name="agent1",
            title="agent, 5 tool rounds and an answer, blocking, 1 client",
            load=lambda subject: _agent(subject, 1, count(200)),
        ),
        Scenario(
            name="flow1",
            title="workflow, 10 plain nodes, blocking, 1 client",
            load=lambda subject: _flow(subject, "plain", 1, count(400)),
        ),
        Scenario(
            name="flow20",
            title="the same, 20 clients",
            load=lambda subject: _flow(subject, "plain", 20, count(1200)),
        ),
        Scenario(
            name="flow64",
            title="the same, 64 clients",
            load=lambda subject: _flow(subject, "plain", 64, count(1200)),
        ),
        Scenario(
            name="templates1",
            title="workflow, 10 templates, blocking, 1 client",
            load=lambda subject: _flow(subject, "templates", 1, count(400)),
        ),
        Scenario(
            name="templates64",
            title="the same, 64 clients",
            load=lambda subject: _flow(subject, "templates", 64, count(1200)),
        ),
        Scenario(
            name="short64",
            title="workflow, start, template, end, 64 clients",
            load=lambda subject: _flow(subject, "short", 64, count(1200)),
        ),
        Scenario(
            name="code1",
            title="workflow, one code node, 1 client",
            load=lambda subject: _flow(subject, "code", 1, count(400)),
        ),
        Scenario(
            name="retrieve1",
            title="retrieve, hybrid, 2,160 chunks, 1 client",
            load=lambda subject: _retrieve(subject, 1, count(400)),
        ),
        Scenario(
            name="retrieve10",
            title="the same, 10 clients",
            load=lambda subject: _retrieve(subject, 10, count(1200)),
        ),
    )


def measure_scenario(bench: Bench, scenario: Scenario, subject: Subject) -> None:
    """Send a scenario's load to a subject and keep the figures of this round."""
    load = scenario.load(subject)
    if load is None:
        return
    pids = subject.server.pids
    others = wait_until_quiet(pids)
    bench.busy_cores.append(others)
    database_s = subject.database.cpu_s() if subject.database else 0.0
    with _most_connections(subject) as connections:
        watch = Watch(pids)
        outcome = run_load(subject.server.port, load)
        used = watch.read()
        if scenario.drains:
            wait_until_quiet(pids)
        cpu_s = watch.read().cpu_s
    figures = _figures(outcome, cpu_s)
    if subject.database:
        figures["connections"] = max(connections)
        figures["db_cpu_ms"] = (subject.database.cpu_s() - database_s) / max(1, len(outcome.total_s)) * 1e3
    bench.note(scenario.name, subject.name, figures)
    _judge_run(bench, scenario, subject, outcome, used)


def warm_up(scenario: Scenario, subject: Subject) -> None:
    """Send a few requests of a scenario, so that nothing is met for the first time while it is measured."""
    load = scenario.load(subject)
    if load is not None:
        few = min(load.requests, 60)
        run_load(
            subject.server.port,
            Load(clients=min(load.clients, few), requests=few, payload=load.payload, messages=load.messages),
        )


def _blocking(subject: Subject, clients: int, requests: int, *, wants_title: bool = False) -> Load | None:
    if wants_title and subject.workspace is None:
        return None
    key = subject.key(BLOCKING_MODEL)

    def payload(number: int) -> bytes:
        return _post(key, question(number, wants_title=wants_title))

    return Load(clients=clients, requests=requests, payload=payload)


def _agent(subject: Subject, clients: int, requests: int) -> Load | None:
    if subject.workspace is None:
        return None
    key = subject.key(AGENT_MODEL)
    return Load(clients=clients, requests=requests, payload=lambda number: _post(key, question(number)))


def streaming(subject: Subject, model: str, clients: int, requests: int, *, tokens: int) -> Load:
    """Return a load of answers that a model streams so many tokens of."""
    key = subject.key(model)

    def payload(number: int) -> bytes:
        return _post(key, question(number, mode="streaming"))

    return Load(clients=clients, requests=requests, payload=payload, messages=tokens)


def first_event(subject: Subject, requests: int, *, is_continued: bool) -> Load | None:
    """Return a load of streamed answers, one at a time, by a model that does not make anybody wait."""
    conversation_id = subject.workspace.conversation_id if subject.workspace and is_continued else ""
    if is_continued and not conversation_id:
        return None
    key = subject.key(BLOCKING_MODEL)

    def payload(number: int) -> bytes:
        return _post(key, question(number, mode="streaming", conversation_id=conversation_id))

    return Load(clients=1, requests=requests, payload=payload, messages=20)


def first_events(subject: Subject, count: int) -> Outcome:
    """Ask so many times for an answer by a model that does not make anybody wait."""
    load = first_event(subject, count, is_continued=False)
    assert load is not None
    return run_load(subject.server.port, load)


def health(subject: Subject, count: int) -> Outcome:
    """Ask so many times whether the server lives."""
    sent = request("GET", "/health", "")
    return run_load(subject.server.port, Load(clients=1, requests=count, payload=lambda _: sent))


def _apps(subject: Subject, clients: int, requests: int) -> Load:
    token = subject.workspace.console_token if subject.workspace else ""
    sent = request("GET", "/console/api/apps?page=1&limit=30", token)
    return Load(clients=clients, requests=requests, payload=lambda _: sent)


def _history(subject: Subject, clients: int, requests: int) -> Load | None:
    if subject.workspace is None:
        return None
    path = f"/v1/messages?conversation_id={subject.workspace.conversation_id}&user={USER}&limit=20"
    sent = request("GET", path, subject.key(BLOCKING_MODEL))
    return Load(clients=clients, requests=requests, payload=lambda _: sent)


def _retrieve(subject: Subject, clients: int, requests: int) -> Load | None:
    library = subject.library
    if library is None:
        return None
    path = f"/v1/datasets/{library.dataset_id}/retrieve"

    def payload(number: int) -> bytes:
        return _post(library.key, {"query": make_query(number), "retrieval_model": HYBRID}, path)

    return Load(clients=clients, requests=requests, payload=payload)


def _flow(subject: Subject, name: str, clients: int, requests: int) -> Load | None:
    if subject.workspace is None:
        return None
    key = subject.workspace.flow_keys[name]

    def payload(number: int) -> bytes:
        return _post(key, {"inputs": SAID, "user": f"bench-{number % 20}"}, "/v1/workflows/run")

    return Load(clients=clients, requests=requests, payload=payload)


def _post(key: str, body: Mapping[str, object], path: str = CHAT) -> bytes:
    return request("POST", path, key, json.dumps(body).encode())


def _figures(outcome: Outcome, cpu_s: float) -> Figures:
    answers = len(outcome.total_s)
    return {
        "errors": outcome.errors,
        "rps": answers / outcome.wall_s,
        "p50_ms": quantile(outcome.total_s, 0.5) * 1e3,
        "p95_ms": quantile(outcome.total_s, 0.95) * 1e3,
        "first_p50_ms": quantile(outcome.first_s, 0.5) * 1e3,
        "first_p95_ms": quantile(outcome.first_s, 0.95) * 1e3,
        "cpu_ms": cpu_s / answers * 1e3 if answers else math.nan,
        "event_us": cpu_s / outcome.messages * 1e6 if outcome.messages else math.nan,
    }


def _judge_run(
    bench: Bench, scenario: Scenario, subject: Subject, outcome: Outcome, used: measure.Used
) -> None:
    """Doubt a round whose bottleneck was the load generator, that was disturbed, or that went wrong."""
    where = f"{scenario.title}, {subject.name}"
    if used.own_cpu_s > BUSY_SHARE * used.wall_s:
        bench.faults.append(
            f"{where}: the load generator itself was busy {used.own_cpu_s / used.wall_s:.0%}."
        )
    if outcome.errors:
        bench.faults.append(f"{where}: {outcome.errors} errors, the first: {outcome.sample}")


def wait_until_quiet(pids: tuple[int, ...]) -> float:
    """Wait until processes use next to no CPU, at most 30 s; return how many cores others keep busy."""
    deadline = time.monotonic() + QUIET_TIMEOUT_S
    while True:
        watch = Watch(pids)
        time.sleep(QUIET_S)
        used = watch.read()
        is_quiet = used.cpu_s <= QUIET_CORES * QUIET_S + 1 / measure.TICKS_PER_S
        if is_quiet or time.monotonic() >= deadline:
            return (used.machine_cpu_s - used.cpu_s) / used.wall_s


@contextmanager
def _most_connections(subject: Subject) -> Iterator[list[int]]:
    """Collect, five times a second, how many connections the subject holds to its database."""
    seen = [0]
    database = subject.database
    if database is None:
        yield seen
        return
    is_over = threading.Event()

    def sample() -> None:
        while not is_over.wait(SAMPLE_EVERY_S):
            seen.append(database.connections(subject.server))

    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    try:
        yield seen
    finally:
        is_over.set()
        sampler.join()
