"""The figures of processes that share a data directory, so that any of them can tell those of all.

A file for each process, replaced as a whole. What must stay true: a sum of
counters never falls while one of the processes is alive, though others come and
go. Files of processes that ended stay for that; many of them become one.
"""

import contextlib
import fcntl
import logging
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from pathlib import Path
from typing import Any

import orjson

from api.metrics import FINE_S, Figures, Timed

logger = logging.getLogger(__name__)

FORMAT = "1"
"""Changes with the shape of what is written, so that two versions of the program do not read each other."""
DEAD_S = 15.0
"""Who has told nothing for so long does no work any more."""
FORGOTTEN_S = 600.0
"""And will tell nothing again after this."""
MAX_ENDED = 16
ENDED = "ended"


class DirectoryBoard:
    """Implements Board under ``root``; the place is made with the first figures."""

    def __init__(self, root: Path, *, dead_s: float = DEAD_S, forgotten_s: float = FORGOTTEN_S) -> None:
        self._root = root / FORMAT
        self._dead_s = dead_s
        self._forgotten_s = forgotten_s
        self._has_begun = False

    def put(self, name: str, figures: Figures, *, is_last: bool = False) -> None:
        """Replace the file of a process; see Board. Where the disk refuses, the others know it of earlier."""
        try:
            if not self._has_begun:
                self._begin()
                self._has_begun = True
            self._write(name, {"figures": _to_json(figures), "is_last": is_last})
            self._join_ended(name)
        except OSError as exc:
            logger.warning("figures not told to other processes: %s", exc.strerror)

    def others(self, name: str) -> list[Figures]:
        """Read the files of the others; see Board. Where the disk refuses, there are none."""
        try:
            return list(self._others(name))
        except OSError as exc:
            logger.warning("figures of other processes not read: %s", exc.strerror)
            return []

    def _others(self, name: str) -> Iterator[Figures]:
        read = {path.stem: _read(path) for path in self._paths() if path.stem not in (name, ENDED)}
        ended = _read(self._path(ENDED))  # after the others: what it has of them since is named there
        if ended is not None:
            yield _to_figures(ended["figures"])
        for stem, kept in read.items():
            if kept is None or (ended is not None and stem in ended["names"]):
                continue
            figures = _to_figures(kept["figures"])
            yield figures if self._is_alive(kept, self._dead_s) else figures.of_ended()

    def _begin(self) -> None:
        """Make the directory; where nobody is alive in it, those of an earlier time are forgotten."""
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        paths = self._paths()
        found = [_read(path) for path in paths]
        if not any(kept is not None and self._is_alive(kept, self._dead_s) for kept in found):
            for path in paths:
                path.unlink(missing_ok=True)

    def _join_ended(self, own: str) -> None:
        """Make one file of many whose processes will tell nothing again."""
        if len(paths := self._paths()) <= MAX_ENDED:
            return
        with _alone(self._root / "lock") as is_alone:
            read = {path.stem: _read(path) for path in paths if path.stem not in (own, ENDED)}
            over = {
                stem: kept
                for stem, kept in read.items()
                if kept is not None and not self._is_alive(kept, self._forgotten_s)
            }
            if not is_alone or not over:
                return
            before = _read(self._path(ENDED)) or {"figures": _to_json(Figures()), "names": []}
            fresh = [kept["figures"] for stem, kept in over.items() if stem not in before["names"]]
            parts = [_to_figures(part) for part in (before["figures"], *fresh)]
            total = reduce(Figures.plus, parts).of_ended()
            names = [*over, *(stem for stem in before["names"] if stem in read)]
            self._write(ENDED, {"figures": _to_json(total), "names": names})
            for stem in over:
                self._path(stem).unlink(missing_ok=True)

    def _is_alive(self, kept: Mapping[str, Any], silent_s: float) -> bool:
        return not kept.get("is_last", True) and time.time() - kept["told_at"] < silent_s

    def _write(self, stem: str, kept: Mapping[str, Any]) -> None:
        draft = self._root / f"{stem}.{os.getpid()}.draft"
        draft.write_bytes(orjson.dumps({**kept, "told_at": time.time()}))
        draft.replace(self._path(stem))

    def _path(self, stem: str) -> Path:
        return self._root / f"{stem}.json"

    def _paths(self) -> list[Path]:
        return list(self._root.glob("*.json"))


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[bool]:
    """Hold a lock during the block; tell whether it was to be had."""
    with path.open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True


def _read(path: Path) -> dict[str, Any] | None:
    """Return what a file holds; None where it has just become part of another."""
    try:
        kept: dict[str, Any] = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    return kept


def _to_json(figures: Figures) -> dict[str, Any]:
    return {
        "requests": [[*key, count] for key, count in figures.requests.items()],
        "timed": [
            [*key, each.buckets, each.total_s, _to_pairs(each.recent)] for key, each in figures.timed.items()
        ],
        "totals": figures.totals,
        "gauges": figures.gauges,
    }


def _to_figures(kept: Mapping[str, Any]) -> Figures:
    return Figures(
        requests=Counter(
            {(method, route, status): count for method, route, status, count in kept["requests"]}
        ),
        timed={
            (method, route): Timed(buckets=buckets, total_s=total_s, recent=_from_pairs(recent))
            for method, route, buckets, total_s, recent in kept["timed"]
        },
        totals=Counter(kept["totals"]),
        gauges=Counter(kept["gauges"]),
    )


def _to_pairs(counts: Iterable[int]) -> list[tuple[int, int]]:
    """Return the counts that are not 0, with their places: there are few."""
    return [(place, count) for place, count in enumerate(counts) if count]


def _from_pairs(pairs: Iterable[tuple[int, int]]) -> list[int]:
    counts = [0] * (len(FINE_S) + 1)
    for place, count in pairs:
        counts[place] = count
    return counts
