"""``python -m tests.bench``: starts everything on free ports, measures, prints one table, stops everything.

Nothing is asserted. CPU figures are the ones to trust on a shared machine;
rates and latencies mean something as ratios to the floor of the same run.
"""

import argparse
import json
import signal
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click

from tests.bench import corpora, databases, measure, report, retrieval
from tests.bench.databases import Database
from tests.bench.fairness import measure_fairness
from tests.bench.indexing import measure_indexing, measure_pdf
from tests.bench.library import set_up_library
from tests.bench.processes import GUNICORN, ROOT, Server, python, run, serving
from tests.bench.scenarios import Bench, Scenario, Subject, measure_scenario, scenarios, warm_up
from tests.bench.workspace import http_call, set_up
from tests.ports import free_port

PARTS = ("start", "statements", "fair", "index", "pdf", "search", "quality")
"""What is measured besides the loads, by the names that choose it."""
SETTLE_S = 3.0
LATE_MS = 5.0
FILL_TIMEOUT_S = 1800.0


def main() -> None:
    """Run the bench the arguments ask for."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that what was started is stopped too
    given = _arguments()
    kinds = databases.reachable(given.database)
    bench = Bench()
    if not kinds:
        raise SystemExit(f"--database {given.database}: PostgreSQL and Redis do not answer on loopback.")
    if (ROOT / ".env").exists():
        bench.faults.append("There is a .env here; what it sets counts in what was measured.")
    loads = [load for load in scenarios(is_quick=given.quick) if load.name in given.only]
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="slipway-bench-")))
        upstream = stack.enter_context(_upstream(directory))
        for kind in kinds:
            _measure_alone(bench, kind, directory, upstream, given)
        if loads or "fair" in given.only or _has_library(given.only):
            _measure_served(bench, loads, kinds, directory, upstream, given)
        _doubt_late_tokens(bench, upstream)
    for line in report.render(bench, loads, kinds):
        click.echo(line)


def _has_library(only: Collection[str]) -> bool:
    """Tell whether any of what is measured needs a dataset with a document."""
    return not {"index", "pdf", "retrieve1", "retrieve10"}.isdisjoint(only)


def _measure_alone(
    bench: Bench, kind: str, directory: Path, upstream: Server, given: argparse.Namespace
) -> None:
    """Measure what needs a database of its own."""
    if "start" in given.only:
        _measure_start(bench, kind, directory, given.rounds)
    if "statements" in given.only:
        _count_statements(bench, kind, directory, upstream)
    if "search" in given.only:
        _measure_searches(bench, kind, directory, upstream, is_quick=given.quick)
    if "quality" in given.only:
        _measure_quality(bench, kind, is_quick=given.quick)


def _measure_served(
    bench: Bench,
    loads: Sequence[Scenario],
    kinds: Sequence[str],
    directory: Path,
    upstream: Server,
    given: argparse.Namespace,
) -> None:
    """Measure what is asked over HTTP, of a server on each kind of database and of the floor."""
    with ExitStack() as stack:
        floor = Subject(name=report.FLOOR, server=stack.enter_context(_floor(directory, upstream)))
        slipways = [
            stack.enter_context(_slipway(kind, directory, upstream, is_reading=_has_library(given.only)))
            for kind in kinds
        ]
        _measure_loads(bench, loads, [floor, *slipways], given.rounds)
        for number in range(1, given.rounds + 1):
            for subject in slipways:
                if "fair" in given.only:
                    _say(f"{subject.name}: chat beside slow runs, round {number} of {given.rounds}")
                    measure_fairness(bench, subject)
                if "index" in given.only:
                    _say(f"{subject.name}: index 1 MB, round {number} of {given.rounds}")
                    measure_indexing(bench, subject, number)
                if "pdf" in given.only:
                    _say(f"{subject.name}: chat beside a PDF, round {number} of {given.rounds}")
                    measure_pdf(bench, subject, is_quick=given.quick)
        for subject in slipways:
            bench.note("start", subject.name, {"worn_mb": measure.pss_mb(subject.server.pids)})


def _arguments() -> argparse.Namespace:
    arguments = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    arguments.add_argument("--database", choices=("sqlite", "postgres", "both"), default="both")
    arguments.add_argument("--quick", action="store_true", help="a quarter of the requests, one round")
    arguments.add_argument("--rounds", type=int, help="rounds whose medians are shown (3; 1 with --quick)")
    names = [*PARTS, *(load.name for load in scenarios(is_quick=True))]
    arguments.add_argument("--only", nargs="+", choices=names, default=names, help="measure these alone")
    given = arguments.parse_args()
    given.rounds = max(1, given.rounds or (1 if given.quick else 3))
    return given


def _measure_start(bench: Bench, kind: str, directory: Path, rounds: int) -> None:
    """Start Slipway on a migrated database, once for each round; note its time and its idle memory."""
    with _database(kind, directory) as (database, data_dir):
        run(python("api.cli", "migrate"), _settings(database, data_dir, 0))
        for _ in range(rounds):
            with _serve_slipway(database, data_dir) as server:
                time.sleep(SETTLE_S)
                idle_mb = measure.pss_mb(server.pids)
                bench.note("start", kind, {"start_s": server.start_s, "idle_mb": idle_mb})
            _say(f"{kind}: started in {server.start_s:.2f} s, {idle_mb:.0f} MB")


def _measure_loads(bench: Bench, loads: Sequence[Scenario], subjects: Sequence[Subject], rounds: int) -> None:
    """Measure each load on all subjects, one right after the other, round by round."""
    for load in loads:
        for subject in subjects:
            warm_up(load, subject)
        for number in range(1, rounds + 1):
            _say(f"{load.title}: round {number} of {rounds}")
            for subject in subjects:
                measure_scenario(bench, load, subject)


def _count_statements(bench: Bench, kind: str, directory: Path, upstream: Server) -> None:
    """Count statements in a process of its own, on a database of its own."""
    with _database(kind, directory) as (database, data_dir):
        command = python("tests.bench.statements", "--upstream", f"http://127.0.0.1:{upstream.port}")
        command += ["--data-dir", str(data_dir)]
        if kind == "postgres":
            command += ["--database-url", database.env["DATABASE_URL"]]
            command += ["--redis-url", database.env["REDIS_URL"]]
        counted: dict[str, list[str]] = json.loads(run(command, {}))
    bench.note("statements", kind, {name: len(statements) for name, statements in counted.items()})


def _measure_searches(bench: Bench, kind: str, directory: Path, upstream: Server, *, is_quick: bool) -> None:
    """Measure searches in a process of their own; beside PostgreSQL also on one that has pgvector."""
    with _database(kind, directory) as (database, data_dir):
        url = database.env["DATABASE_URL"]
        bench.note("search", kind, _search(upstream, data_dir, url, "local", is_quick=is_quick))
    if kind == "postgres":
        with databases.pgvector(directory) as url:
            found = _search(upstream, directory / "pgvector-data", url, "pgvector", is_quick=is_quick)
        bench.note("search", kind, {f"pgvector_{figure}": value for figure, value in found.items()})


def _search(upstream: Server, data_dir: Path, url: str, vectors: str, *, is_quick: bool) -> dict[str, float]:
    _say(f"{url.partition(':')[0]}, vectors {vectors}: filling datasets and searching them")
    command = python("tests.bench.searching", "--upstream", f"http://127.0.0.1:{upstream.port}")
    command += ["--data-dir", str(data_dir), "--database-url", url, "--vectors", vectors]
    if is_quick:
        command += ["--large", "20000", "--searches", "60"]
    found: dict[str, float] = json.loads(run(command, {}, FILL_TIMEOUT_S))
    return found


def _measure_quality(bench: Bench, kind: str, *, is_quick: bool) -> None:
    """Measure how well known passages are found, where the sets are here."""
    sets = retrieval.sets_here()
    if not sets:
        bench.faults.append(
            f"What is found was not measured: no sets with known answers in {corpora.FOLDER}."
        )
        return
    _say(f"{kind}: asking the questions of {', '.join(sets)}")
    figures: dict[str, float] = {}
    for name, method, quality in retrieval.measure_sets(kind, sets, every=10 if is_quick else 1):
        figure = f"{name}_{method.removesuffix('_search')}"
        figures |= {f"{figure}_ndcg": quality.ndcg, f"{figure}_recall": quality.recall}
    for name in sets:
        parts = (figures[f"{name}_{part}_ndcg"] for part in ("full_text", "semantic"))
        figures[f"{name}_gain"] = figures[f"{name}_hybrid_ndcg"] - max(parts)
    if {"xquad-en", "xquad-zh"} <= set(sets):
        figures["zh_gain"] = figures["xquad-zh_hybrid_ndcg"] - figures["xquad-en_hybrid_ndcg"]
    bench.note("quality", kind, figures)


def _doubt_late_tokens(bench: Bench, upstream: Server) -> None:
    """Doubt the run where the scripted model itself could not keep its timetable."""
    _, stats = http_call(upstream.port)("GET", "/stats", {}, None)
    if stats["late_ms"] > LATE_MS:
        bench.faults.append(f"The scripted model's tokens were {stats['late_ms']:.1f} ms late on average.")


@contextmanager
def _upstream(directory: Path) -> Iterator[Server]:
    port = free_port()
    command = python("tests.bench.upstream", "--port", str(port))
    with serving(command, port, "/stats", directory / "upstream.log") as server:
        yield server


@contextmanager
def _floor(directory: Path, upstream: Server) -> Iterator[Server]:
    port = free_port()
    options = ["--worker-class", "gevent", "--workers", "1", "--worker-connections", "1000"]
    command = [
        GUNICORN,
        *options,
        "--no-control-socket",
        "--bind",
        f"127.0.0.1:{port}",
        "tests.bench.floor:app",
    ]
    env = {"FLOOR_UPSTREAM": f"http://127.0.0.1:{upstream.port}"}
    with serving(command, port, "/health", directory / "floor.log", env) as server:
        yield server


@contextmanager
def _slipway(kind: str, directory: Path, upstream: Server, *, is_reading: bool) -> Iterator[Subject]:
    """Give Slipway on a fresh database, with a workspace that has all the bench calls."""
    with _database(kind, directory) as (database, data_dir), _serve_slipway(database, data_dir) as server:
        time.sleep(SETTLE_S)
        fresh_mb = measure.pss_mb(server.pids)
        _say(f"{kind}: setting up a workspace")
        call = http_call(server.port)
        workspace = set_up(call, f"http://127.0.0.1:{upstream.port}")
        library = set_up_library(call, server.port, workspace.console_token) if is_reading else None
        yield Subject(
            name=kind,
            server=server,
            database=database,
            workspace=workspace,
            library=library,
            fresh_mb=fresh_mb,
        )


@contextmanager
def _serve_slipway(database: Database, data_dir: Path) -> Iterator[Server]:
    """Serve as ``make run`` does, without the demo."""
    port = free_port()
    env = _settings(database, data_dir, port)
    with serving(python("api.cli", "start"), port, "/health", data_dir / "slipway.log", env) as server:
        yield server


@contextmanager
def _database(kind: str, directory: Path) -> Iterator[tuple[Database, Path]]:
    data_dir = Path(tempfile.mkdtemp(prefix=f"{kind}-", dir=directory))
    with databases.fresh(kind, data_dir) as database:
        yield database, data_dir


def _settings(database: Database, data_dir: Path, port: int) -> dict[str, str]:
    shared = {"DATA_DIR": str(data_dir), "RATE_LIMITS": "off", "DEMO": "false", "WORKERS": "1"}
    return {**shared, **database.env, "HOST": "127.0.0.1", "PORT": str(port or 5001)}


def _say(what: str) -> None:
    click.echo(what, err=True)


if __name__ == "__main__":
    main()
