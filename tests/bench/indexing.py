"""What indexing costs, and what chat loses while a large document is indexed."""

from collections.abc import Callable, Mapping

from tests.bench.library import RULE, TEXT_BYTES, add_document, is_indexed, wait_until_indexed
from tests.bench.load import Outcome, quantile
from tests.bench.measure import MemoryPeak, Watch
from tests.bench.scenarios import Bench, Figures, Subject, first_events, health, wait_until_quiet
from tests.bench.texts import make_pdf, make_text
from tests.bench.workspace import Workspace, http_call

PDF_PAGES, QUICK_PDF_PAGES = 1000, 250
FIRST_EVENTS = 120
FIRST_EVENTS_AT_ONCE = 10
HEALTHS_AT_ONCE = 20


def measure_indexing(bench: Bench, subject: Subject, number: int) -> None:
    """Index 1 MB of a text never seen before, and keep the figures of this round."""
    assert subject.database is not None
    bench.busy_cores.append(wait_until_quiet(subject.server.pids))
    database_s = subject.database.cpu_s()
    watch = Watch(subject.server.pids)
    with MemoryPeak(subject.server.pid) as peak:
        is_done = _add(subject, f"text {number}.txt", make_text(TEXT_BYTES, seed=number), RULE)
        segments = is_done(True)
        used = watch.read()
    assert segments is not None
    figures: Figures = {
        "chunks": segments,
        "chunks_s": segments / used.wall_s,
        "cpu_ms": used.cpu_s / segments * 1e3,
        "db_cpu_ms": (subject.database.cpu_s() - database_s) / segments * 1e3,
        "grown_mb": peak.mb - subject.fresh_mb,
    }
    bench.note("index", subject.name, figures)


def measure_pdf(bench: Bench, subject: Subject, *, is_quick: bool) -> None:
    """Index a large PDF and ask all the while; keep chat's first events beside those before, and /health."""
    bench.busy_cores.append(wait_until_quiet(subject.server.pids))
    before = first_events(subject, FIRST_EVENTS)
    file = make_pdf(QUICK_PDF_PAGES if is_quick else PDF_PAGES, seed=len(bench.busy_cores))
    meanwhile, healthy_s = Outcome(), list[float]()
    watch = Watch(subject.server.pids)
    with MemoryPeak(subject.server.pid) as peak:
        is_done = _add(subject, "manual.pdf", file, None)
        while (segments := is_done(False)) is None:
            some = first_events(subject, FIRST_EVENTS_AT_ONCE)
            meanwhile.first_s += some.first_s
            asked = health(subject, HEALTHS_AT_ONCE)
            healthy_s += asked.total_s
            meanwhile.errors += some.errors + asked.errors
        used = watch.read()
    figures: Figures = {"errors": meanwhile.errors, "grown_mb": peak.mb - subject.fresh_mb}
    figures["health_ms"] = quantile(healthy_s, 0.99) * 1e3
    figures |= {"chunks": segments, "index_s": used.wall_s, "asked": len(meanwhile.first_s)}
    for name, share in (("p50", 0.5), ("p95", 0.95)):
        alone, beside = quantile(before.first_s, share), quantile(meanwhile.first_s, share)
        figures |= {f"{name}_before_ms": alone * 1e3, f"{name}_ms": beside * 1e3, f"{name}_x": beside / alone}
    bench.note("pdf", subject.name, figures)


def _add(
    subject: Subject, name: str, data: bytes, rule: Mapping[str, object] | None
) -> Callable[[bool], int | None]:
    """Send a document; return what tells its number of segments, None while it is indexed.

    Told to wait, it waits for that.
    """
    workspace, library = subject.workspace, subject.library
    assert isinstance(workspace, Workspace)
    assert library is not None
    call, token = http_call(subject.server.port), workspace.console_token
    headers = {"Authorization": f"Bearer {token}"}
    batch = add_document(subject.server.port, headers, library.growing_id, name, data, rule)

    def segments(is_waiting: bool) -> int | None:
        ask = wait_until_indexed if is_waiting else is_indexed
        return ask(call, token, library.growing_id, batch)

    return segments
