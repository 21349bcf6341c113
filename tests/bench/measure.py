"""What processes cost, read from /proc: CPU time, memory, open files."""

import os
import resource
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PROC = Path("/proc")
SAMPLE_EVERY_S = 0.1


@dataclass(frozen=True, slots=True)
class Used:
    """What a span cost: seconds on the clock; CPU seconds of the watched, of us, of the machine."""

    wall_s: float
    cpu_s: float
    own_cpu_s: float
    machine_cpu_s: float


class Watch:
    """Measures from its making to ``read``.

    Of processes that were not there then, those are counted that have ended
    and were waited for by one that was.
    """

    def __init__(self, pids: Iterable[int]) -> None:
        self._pids = tuple(pids)
        self._before = self._now()

    def read(self) -> Used:
        """Return what was used since the start."""
        wall, cpu, own, machine = (
            after - before for before, after in zip(self._before, self._now(), strict=True)
        )
        return Used(wall, cpu, own, machine)

    def _now(self) -> tuple[float, float, float, float]:
        own = resource.getrusage(resource.RUSAGE_SELF)
        return time.perf_counter(), cpu_s(self._pids), own.ru_utime + own.ru_stime, machine_cpu_s()


def tree(root: int) -> tuple[int, ...]:
    """Return a process and all its descendants."""
    parents = {pid: _stat(pid)[1] for pid in _all_pids()}
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if int(parent or 0) == pid]
    return tuple(found)


def cpu_s(pids: Iterable[int]) -> float:
    """Return the CPU seconds processes have used, user and system, with children of theirs that have ended.

    One that is gone counts nothing.
    """
    return sum(int(field) for pid in pids for field in _stat(pid)[11:15]) / TICKS_PER_S


def pss_mb(pids: Iterable[int]) -> float:
    """Return the memory of processes, a page that several share divided among them."""
    found = (line for pid in pids for line in _lines(pid, "smaps_rollup") if line.startswith("Pss:"))
    return sum(int(line.split()[1]) for line in found) * 1024 / 1e6


class MemoryPeak:
    """Samples the memory of a process and its descendants, ten times a second, while its block runs."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._is_over = threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self.mb = 0.0

    def __enter__(self) -> Self:
        self._sampler.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._sampler.join()

    def _sample(self) -> None:
        while True:
            self.mb = max(self.mb, pss_mb(tree(self._pid)))
            if self._is_over.wait(SAMPLE_EVERY_S):
                return


def machine_cpu_s() -> float:
    """Return the CPU seconds the whole machine has been busy."""
    user, nice, system, _idle, _iowait, irq, softirq = (
        int(field) for field in (PROC / "stat").read_text().split("\n", 1)[0].split()[1:8]
    )
    return (user + nice + system + irq + softirq) / TICKS_PER_S


def times_open(pids: Iterable[int], path: Path) -> int:
    """Return how often processes have a file open."""
    return sum(_target(link) == str(path) for pid in pids for link in _links(pid))


def _all_pids() -> list[int]:
    return [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()]


def _stat(pid: int) -> list[str]:
    """Return the fields of a process's stat from its state on; as many zeros when it is gone."""
    lines = _lines(pid, "stat")
    return lines[0].rpartition(")")[2].split() if lines else ["0"] * 15


def _lines(pid: int, name: str) -> list[str]:
    try:
        return (PROC / str(pid) / name).read_text().splitlines()
    except OSError:  # the process ended meanwhile
        return []


def _links(pid: int) -> list[Path]:
    try:
        return list((PROC / str(pid) / "fd").iterdir())
    except OSError:
        return []


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""
