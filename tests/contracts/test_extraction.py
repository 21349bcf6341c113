"""What Extractor promises; run in a plain and in a patched process (test_under_gevent.py)."""

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.backends.extraction import ROOT, Backend
from api.core.ports import Cancel, Extractor
from api.core.rag import extract_child
from api.core.rag.extraction import ExtractionFailed
from api.errors import Unavailable
from tests.conftest import make_settings
from tests.core.rag import documents
from tests.sandboxes import processes, read
from tests.waiting import assert_quick, wait_until

SLOW = b"<p>slow</p>" * 300_000
SLOW_EXTENSION = "html"


@pytest.fixture
def extractor(tmp_path: Path) -> Extractor:
    return Backend.from_settings(make_settings(tmp_path))


def extract(extractor: Extractor, content: bytes, extension: str, cancel: Cancel | None = None) -> str:
    return extractor.extract(io.BytesIO(content), extension, cancel=cancel or Cancel())


def children() -> set[int]:
    """The processes of extractors that this one started and that have not ended."""
    return {pid for pid in processes() if b"extract_child" in read(Path(f"/proc/{pid}/cmdline"))}


class Running(threading.Thread):
    """One slow extraction in the background; ``pid`` is its child's, ``error`` what it raised."""

    def __init__(self, extractor: Extractor, cancel: Cancel) -> None:
        super().__init__()
        self.extractor = extractor
        self.cancel = cancel
        self.error: Exception | None = None
        before = children()
        self.start()
        wait_until(lambda: bool(children() - before))
        (self.pid,) = children() - before

    def run(self) -> None:
        try:
            extract(self.extractor, SLOW, SLOW_EXTENSION, self.cancel)
        except Exception as error:  # noqa: BLE001 - looked at by the test
            self.error = error


@pytest.fixture
def running(extractor: Extractor) -> Iterator[Running]:
    if not Path("/proc/self/task").exists():
        pytest.skip("the child is found through /proc")
    cancel = Cancel()
    made = Running(extractor, cancel)
    yield made
    cancel.set()
    made.join(30)


def test_extractor_returns_the_text(extractor: Extractor) -> None:
    assert extract(extractor, documents.make_docx(), "docx").startswith("# 年度报告\n\n")


def test_extractor_reads_from_the_position_on(extractor: Extractor) -> None:
    content = io.BytesIO(b"before after")
    content.seek(7)
    assert extractor.extract(content, "txt", cancel=Cancel()) == "after"


@pytest.mark.parametrize(
    ("content", "extension", "sentence"),
    [
        (b"", "pdf", "The file is empty."),
        (documents.make_pdf("x", password="secret"), "pdf", "is encrypted"),
        (b"not a zip", "docx", "damaged"),
        (b"text", "exe", "'exe' cannot be read"),
    ],
)
def test_extractor_refused_document_says_why(
    extractor: Extractor, content: bytes, extension: str, sentence: str
) -> None:
    with pytest.raises(ExtractionFailed, match=sentence):
        extract(extractor, content, extension)


def test_extractor_over_the_time_names_it_and_reads_the_next(tmp_path: Path) -> None:
    extractor = Backend.from_settings(make_settings(tmp_path, extract_timeout_s=2))
    started = time.monotonic()
    with pytest.raises(ExtractionFailed, match="more than 2 s"):
        extract(extractor, SLOW, SLOW_EXTENSION)
    assert_quick(time.monotonic() - started, 4)
    assert children() == set()
    assert extract(extractor, b"next", "txt") == "next"


def test_extractor_over_the_memory_names_it_and_reads_the_next(tmp_path: Path) -> None:
    extractor = Backend.from_settings(make_settings(tmp_path, extract_memory_mb=128))
    with pytest.raises(ExtractionFailed, match="more than 128 MB of memory"):
        extract(extractor, b"x" * 100_000_000, "txt")
    assert extract(extractor, b"next", "txt") == "next"


def test_extractor_over_the_text_size_names_it(extractor: Extractor) -> None:
    with pytest.raises(ExtractionFailed, match="more than 50 MB of text"):
        extract(extractor, b"column" * 2000 + b"\n" + b"x\n" * 5000, "csv")


def test_extractor_past_the_deadline_of_the_work_ends(extractor: Extractor) -> None:
    with pytest.raises(ExtractionFailed, match="took more than"):
        extract(extractor, SLOW, SLOW_EXTENSION, Cancel(total_s=0.2))


def test_extractor_cancelled_ends_at_once(running: Running) -> None:
    stopped = time.monotonic()
    running.cancel.set()
    running.join(30)
    assert_quick(time.monotonic() - stopped, 0.3)
    assert isinstance(running.error, ExtractionFailed)
    assert running.pid not in processes()


def test_extractor_cancelled_with_a_failure_raises_it(running: Running) -> None:
    failure = LookupError("the document was deleted")
    running.cancel.set(failure)
    running.join(30)
    assert running.error is failure


def test_extractor_cancelled_before_does_not_read(extractor: Extractor) -> None:
    cancel = Cancel()
    cancel.set()
    with pytest.raises(ExtractionFailed, match="stopped"):
        extract(extractor, b"text", "txt", cancel)


def test_extractor_whose_child_dies_says_so_and_reads_the_next(running: Running) -> None:
    os.kill(running.pid, signal.SIGSEGV)
    running.join(30)
    assert isinstance(running.error, ExtractionFailed)
    assert "crash" in running.error.message
    assert extract(running.extractor, b"next", "txt") == "next"


def test_extractor_reads_no_more_at_once_than_it_may(tmp_path: Path) -> None:
    extractor = Backend.from_settings(make_settings(tmp_path, extract_parallel=1, extract_timeout_s=50))
    first = Running(extractor, Cancel())
    waiting = Cancel()
    refused: list[Exception] = []

    def wait() -> None:
        try:
            extract(extractor, b"text", "txt", waiting)
        except ExtractionFailed as error:
            refused.append(error)

    second = threading.Thread(target=wait)
    second.start()
    with pytest.raises(Unavailable, match="Too many documents"):
        extract(extractor, b"text", "txt", Cancel(total_s=0.1))
    assert len(children()) == 1
    waiting.set()
    second.join(30)
    assert "stopped" in str(refused[0])
    assert first.is_alive()
    first.cancel.set()
    first.join(30)
    assert extract(extractor, b"next", "txt") == "next"


def test_extractor_child_inherits_nothing_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, extractor: Extractor, running: Running
) -> None:
    process = Path(f"/proc/{running.pid}")
    while b"extract_child" not in (process / "cmdline").read_bytes():  # still the fork of this process
        time.sleep(0.001)
    names = {entry.partition(b"=")[0] for entry in (process / "environ").read_bytes().split(b"\0")}
    assert names <= {b"", b"PYTHONPATH", b"PYTHONUTF8"}


def test_extractor_lets_other_work_go_on(running: Running) -> None:
    started = time.monotonic()
    for _ in range(10):
        time.sleep(0.01)
    assert_quick(time.monotonic() - started, 0.5)
    assert running.is_alive()


def run_child(
    folder: Path, content: bytes, extension: str, *options: str
) -> subprocess.CompletedProcess[bytes]:
    """Run the child alone, for 1 s of CPU, with nobody to watch it."""
    document = folder / "document"
    document.write_bytes(content)
    command = [sys.executable, *options, "-m", extract_child.__name__, extension, "512", "1", "50"]
    with document.open("rb") as file:
        return subprocess.run(command, stdin=file, cwd=ROOT, capture_output=True, timeout=30, check=False)


def test_child_that_nobody_watches_ends_by_itself(tmp_path: Path) -> None:
    assert run_child(tmp_path, SLOW, SLOW_EXTENSION).returncode == -signal.SIGXCPU


def test_child_loads_what_the_format_needs_and_no_numpy(tmp_path: Path) -> None:
    done = run_child(tmp_path, documents.make_xlsx({"S": [["a", "b"]]}), "xlsx", "-X", "importtime")
    assert (done.returncode, done.stdout) == (0, b'# S\n\n"a";"b"')
    loaded = {line.rpartition(b"|")[2].strip().decode() for line in done.stderr.splitlines()}
    assert "openpyxl" in loaded
    packages = {name.partition(".")[0] for name in loaded if "." in name}
    assert not packages & {"numpy", "pypdf", "docx", "flask", "gevent", "sqlalchemy", "pydantic"}
