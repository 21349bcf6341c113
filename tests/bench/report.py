"""The table: every figure beside the floor's and its target, met or not; nothing is asserted."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.bench.corpora import BASELINES
from tests.bench.scenarios import Bench, Scenario

FLOOR = "floor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure. ``at_most`` and ``at_least`` bound it; with ``is_ratio`` they bound it over the floor's."""

    title: str
    figure: str
    form: str = "{:.1f}"
    at_most: float | None = None
    at_least: float | None = None
    is_ratio: bool = False

    def is_met(self, value: float) -> bool | None:
        """Tell whether the target is met; None where there is none, or nothing was measured."""
        if (self.at_most is None and self.at_least is None) or math.isnan(value):
            return None
        is_low_enough = self.at_most is None or value <= self.at_most
        return is_low_enough and (self.at_least is None or value >= self.at_least)

    @property
    def target(self) -> str:
        """The target in words; empty where there is none."""
        unit = " x floor" if self.is_ratio else ""
        words = (("<=", self.at_most), (">=", self.at_least))
        return " ".join(f"{sign} {bound:g}{unit}" for sign, bound in words if bound is not None)


def _cpu(at_most: float | None = None, ratio: float | None = None) -> tuple[Row, Row]:
    title = "CPU ms a request"
    return (
        Row(title=title, figure="cpu_ms", form="{:.2f}", at_most=at_most),
        Row(title=f"{title}, over the floor's", figure="cpu_ms", form="{:.2f}", at_most=ratio, is_ratio=True),
    )


RPS = Row(title="requests/s", figure="rps", form="{:.0f}")
DB_CPU = Row(title="CPU ms a request of PostgreSQL's backends", figure="db_cpu_ms", form="{:.2f}")
NO_ERRORS = Row(title="errors", figure="errors", form="{:.0f}", at_most=0)
CONNECTIONS = Row(title="most DB connections", figure="connections", form="{:.0f}", at_most=10)
EVENT = (
    Row(title="CPU us an event", figure="event_us", form="{:.0f}"),
    Row(title="CPU us an event, over the floor's", figure="event_us", form="{:.2f}", is_ratio=True),
)

START_ROWS = (
    Row(title="start to first 200 (s)", figure="start_s", form="{:.2f}", at_most=3),
    Row(title="idle memory, PSS of all processes (MB)", figure="idle_mb", form="{:.0f}", at_most=250),
    Row(title="memory after all loads (MB)", figure="worn_mb", form="{:.0f}"),
)
SCENARIO_ROWS: dict[str, tuple[Row, ...]] = {
    "block": (
        RPS,
        Row(title="p50 (ms)", figure="p50_ms", at_most=40),
        *_cpu(at_most=4, ratio=5),
        DB_CPU,
        CONNECTIONS,
        NO_ERRORS,
    ),
    "titles": (RPS, Row(title="p50 (ms)", figure="p50_ms"), *_cpu()[:1], NO_ERRORS),
    "stream50": (
        Row(title="first event p50 (ms)", figure="first_p50_ms"),
        Row(title="first event p95 (ms)", figure="first_p95_ms", at_most=120),
        Row(title="total p50 (ms)", figure="p50_ms", form="{:.0f}", at_most=1150),
        *_cpu(ratio=1.6),
        *EVENT,
        DB_CPU,
        CONNECTIONS,
        NO_ERRORS,
    ),
    "stream200": (
        Row(title="first event p50 (ms)", figure="first_p50_ms"),
        Row(title="first event p95 (ms)", figure="first_p95_ms", at_most=600),
        Row(title="total p50 (ms)", figure="p50_ms", form="{:.0f}"),
        *_cpu(),
        *EVENT,
        CONNECTIONS,
        NO_ERRORS,
    ),
    "stream500": (
        Row(title="first event p95 (ms)", figure="first_p95_ms"),
        Row(title="total p50 (ms)", figure="p50_ms", form="{:.0f}"),
        CONNECTIONS,
        NO_ERRORS,
    ),
    "apps": (RPS, Row(title="p50 (ms)", figure="p50_ms"), *_cpu(at_most=2), DB_CPU, NO_ERRORS),
    "history": (RPS, Row(title="p50 (ms)", figure="p50_ms"), *_cpu(at_most=2.5)[:1], DB_CPU, NO_ERRORS),
    "first": (
        Row(title="first event p50 (ms)", figure="first_p50_ms"),
        Row(title="first event p95 (ms)", figure="first_p95_ms"),
        *_cpu(),
    ),
    "first200": (
        Row(title="first event p50 (ms)", figure="first_p50_ms"),
        Row(title="first event p95 (ms)", figure="first_p95_ms"),
        *_cpu()[:1],
    ),
    "agent1": (
        RPS,
        Row(title="p50 (ms)", figure="p50_ms"),
        *_cpu(at_most=25)[:1],  # 5 ms a tool round
        DB_CPU,
        NO_ERRORS,
    ),
    "flow1": (RPS, Row(title="p50 (ms)", figure="p50_ms"), *_cpu(at_most=6)[:1], DB_CPU, NO_ERRORS),
    "flow20": (
        Row(title="requests/s", figure="rps", form="{:.0f}", at_least=150),
        *_cpu(at_most=6)[:1],
        DB_CPU,
        NO_ERRORS,
    ),
    "flow64": (RPS, Row(title="p95 (ms)", figure="p95_ms", at_most=400), *_cpu()[:1], NO_ERRORS),
    "templates1": (
        RPS,
        Row(title="p50 (ms)", figure="p50_ms"),
        *_cpu(at_most=12)[:1],
        DB_CPU,
        NO_ERRORS,
    ),
    "templates64": (RPS, Row(title="p95 (ms)", figure="p95_ms", at_most=400), *_cpu()[:1], NO_ERRORS),
    "short64": (RPS, Row(title="p95 (ms)", figure="p95_ms", at_most=400), *_cpu()[:1], NO_ERRORS),
    "code1": (RPS, Row(title="p50 (ms)", figure="p50_ms", at_most=10), *_cpu()[:1], NO_ERRORS),
    "retrieve1": (
        Row(title="p50 (ms)", figure="p50_ms", at_most=8),
        Row(title="p95 (ms)", figure="p95_ms"),
        *_cpu(at_most=4)[:1],
        DB_CPU,
        NO_ERRORS,
    ),
    "retrieve10": (
        Row(title="requests/s", figure="rps", form="{:.0f}", at_least=250),
        Row(title="p50 (ms)", figure="p50_ms"),
        *_cpu(at_most=4)[:1],
        DB_CPU,
        CONNECTIONS,
        NO_ERRORS,
    ),
}
STATEMENT_ROWS = tuple(
    Row(title=title, figure=figure, form="{:.0f}", at_most=at_most)
    for title, figure, at_most in (
        ("new conversation, before the first event", "new_before", 3),
        ("new conversation, after it", "new_after", 3),
        ("the same with titles on, before", "titled_before", 3),
        ("the same with titles on, after", "titled_after", 3),
        ("a message that continues, before", "continued_before", 3),
        ("a message that continues, after", "continued_after", 3),
        ("an end user never seen, before", "stranger_before", 3),
        ("an end user never seen, after", "stranger_after", 3),
        ("GET /apps?limit=30", "apps", 4),
        ("GET /messages, 20 a page", "history", 6),
    )
)
BESIDE_ROWS: dict[str, tuple[str, tuple[Row, ...]]] = {
    "fair": (
        "chat's first event, 1 client, while 64 slow runs go on",
        (
            Row(title="p95 before (ms)", figure="p95_before_ms"),
            Row(title="p50 (ms)", figure="p50_ms"),
            Row(title="p95 (ms)", figure="p95_ms", at_most=200),
            Row(title="a slow run of 30 s, p95 (s)", figure="slow_s"),
            NO_ERRORS,
        ),
    ),
}
KNOWLEDGE_ROWS: dict[str, tuple[str, tuple[Row, ...]]] = {
    "index": (
        "index 1 MB of text, embedding without delay",
        (
            Row(title="chunks", figure="chunks", form="{:.0f}"),
            Row(title="chunks/s", figure="chunks_s", form="{:.0f}", at_least=600),
            Row(title="CPU ms a chunk", figure="cpu_ms", form="{:.2f}", at_most=1.2),
            Row(title="CPU ms a chunk of PostgreSQL's backends", figure="db_cpu_ms", form="{:.2f}"),
            Row(title="peak memory above idle (MB)", figure="grown_mb", form="{:.0f}", at_most=300),
        ),
    ),
    "pdf": (
        "chat's first event, 1 client, while a large PDF is indexed",
        (
            Row(title="p50 before (ms)", figure="p50_before_ms"),
            Row(title="p50 (ms)", figure="p50_ms"),
            Row(title="p50, over that before", figure="p50_x", form="{:.2f}", at_most=2),
            Row(title="p95 before (ms)", figure="p95_before_ms"),
            Row(title="p95 (ms)", figure="p95_ms"),
            Row(title="p95, over that before", figure="p95_x", form="{:.2f}", at_most=2),
            Row(title="GET /health, p99 (ms)", figure="health_ms", at_most=100),
            Row(title="messages meanwhile", figure="asked", form="{:.0f}"),
            Row(title="chunks", figure="chunks", form="{:.0f}"),
            Row(title="from upload to completed (s)", figure="index_s"),
            Row(title="peak memory above idle (MB)", figure="grown_mb", form="{:.0f}"),
            NO_ERRORS,
        ),
    ),
}


def _search_rows(store: str = "") -> Iterator[Row]:
    """Yield the rows of searches in one store of vectors, whose figures begin with its name."""
    prefix = f"{store}_" if store else ""
    beside = f", {store}" if store else ""
    for size, p95_ms in (("small", 5), ("large", 30)):
        title, figure = f"{size}{beside}", f"{prefix}{size}"
        yield Row(title=f"{title}, chunks", figure=f"{figure}_chunks", form="{:.0f}")
        yield Row(title=f"{title}, p50 (ms)", figure=f"{figure}_p50_ms")
        yield Row(title=f"{title}, p95 (ms)", figure=f"{figure}_p95_ms", at_most=p95_ms)
        yield Row(title=f"{title}, CPU ms a search", figure=f"{figure}_cpu_ms")
        yield Row(title=f"{title} in 14 datasets, p50 (ms)", figure=f"{figure}_parts_p50_ms")
        yield Row(
            title=f"{title} in 14, p50 over that of one",
            figure=f"{figure}_parts_x",
            form="{:.2f}",
            at_most=1.5,
        )


def _quality_rows() -> Iterator[Row]:
    for name, baseline in BASELINES.items():
        for method in ("full_text", "semantic", "hybrid"):
            figure, form = f"{name}_{method}", "{:.4f}"
            least = round(baseline - 0.01, 3) if method == "full_text" else None
            yield Row(title=f"{name}, {method}, nDCG@10", figure=f"{figure}_ndcg", form=form, at_least=least)
            yield Row(title=f"{name}, {method}, recall@10", figure=f"{figure}_recall", form=form)
        title = f"{name}, hybrid above its better part"
        yield Row(title=title, figure=f"{name}_gain", form="{:+.4f}", at_least=0)
    yield Row(title="xquad, hybrid, zh above en", figure="zh_gain", form="{:+.4f}", at_least=0)


KNOWLEDGE_ROWS["search"] = (
    "hybrid search of the services, without embedding call",
    (*_search_rows(), *_search_rows("pgvector")),
)
KNOWLEDGE_ROWS["quality"] = ("found of what is known to answer", tuple(_quality_rows()))

WIDTHS = (48, 10, 20, 20, 14)


def render(bench: Bench, loads: Sequence[Scenario], subjects: Sequence[str]) -> Iterator[str]:
    """Yield the table's lines; ``subjects`` are the databases, the floor aside."""
    yield _line("", FLOOR, *subjects, *[""] * (2 - len(subjects)), "target")
    for name, title, rows in _sections(loads):
        shown = [(row, cells) for row in rows if any(cells := _cells(bench, name, row, subjects))]
        if shown:
            yield from ("", title)
        for row, cells in shown:
            yield _line(f"  {row.title}", *cells, row.target)
    doubts = list(bench.doubts())
    if doubts:
        yield from ("", "Doubts", *(f"  {reason}" for reason in doubts))


def _sections(loads: Sequence[Scenario]) -> Iterator[tuple[str, str, tuple[Row, ...]]]:
    yield "start", "start and memory", START_ROWS
    for load in loads:
        yield load.name, load.title, SCENARIO_ROWS[load.name]
    for name, (title, rows) in (BESIDE_ROWS | KNOWLEDGE_ROWS).items():
        yield name, title, rows
    yield "statements", "SQL statements, counted at the driver", STATEMENT_ROWS


def _cells(bench: Bench, scenario: str, row: Row, subjects: Sequence[str]) -> list[str]:
    floor = bench.median(scenario, row.figure, FLOOR)
    if row.is_ratio and not floor:
        return []
    cells = ["" if row.is_ratio else _number(row, floor)]
    for subject in subjects:
        value = bench.median(scenario, row.figure, subject)
        if value is not None and row.is_ratio and floor:
            value /= floor
        cells.append(_judged(row, value))
    return [*cells, *[""] * (2 - len(subjects))]


def _number(row: Row, value: float | None) -> str:
    return "" if value is None or math.isnan(value) else row.form.format(value)


def _judged(row: Row, value: float | None) -> str:
    if value is None:
        return ""
    verdict = {True: "  met", False: "  NOT MET", None: ""}[row.is_met(value)]
    return _number(row, value) + verdict


def _line(*cells: str) -> str:
    return " ".join(cell.ljust(width) for cell, width in zip(cells, WIDTHS, strict=True)).rstrip()
