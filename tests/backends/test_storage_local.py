"""What local storage adds to the contract: privacy of its files, and a full disk."""

import errno
import io
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from api.backends.offload import Backend as Offload
from api.backends.storage.local import Backend
from api.errors import Unavailable

T = TypeVar("T")


class FailingDisk(Offload):
    """Reports an error when a file is brought to the disk, as a full one does."""

    def __init__(self, error: OSError) -> None:
        self._error = error

    def call(self, fn: Callable[..., T], *args: object, timeout_s: float) -> T:
        raise self._error


def files_below(path: Path) -> list[Path]:
    return [found for found in path.rglob("*") if found.is_file()]


def test_local_storage_files_and_directories_are_private(tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        Backend(tmp_path / "files", Offload()).put("a/b/c", io.BytesIO(b"x"))
    finally:
        os.umask(umask)
    modes = {
        str(path.relative_to(tmp_path)): stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")
    }
    expected = dict.fromkeys(("files", "files/.incoming", "files/a", "files/a/b"), 0o700)
    assert modes == {**expected, "files/a/b/c": 0o600}


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "full"),
        OSError(errno.EDQUOT, "quota"),
        OSError(errno.EIO, "io"),
        TimeoutError("slow"),
    ],
    ids=["full", "quota", "broken", "slow"],
)
def test_local_storage_disk_out_of_service_is_unavailable_and_keeps_the_old_file(
    tmp_path: Path, error: OSError
) -> None:
    Backend(tmp_path, Offload()).put("a/b", io.BytesIO(b"old"))
    with pytest.raises(Unavailable):
        Backend(tmp_path, FailingDisk(error)).put("a/b", io.BytesIO(b"new"))
    with Backend(tmp_path, Offload()).open("a/b") as file:
        assert file.read() == b"old"
    assert files_below(tmp_path) == [tmp_path / "a/b"]


def test_local_storage_other_fault_is_raised_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="name too long"):
        Backend(tmp_path, FailingDisk(OSError(errno.ENAMETOOLONG, "name too long"))).put(
            "a", io.BytesIO(b"x")
        )
    assert files_below(tmp_path) == []


def test_local_storage_tells_no_key_of_what_others_left_in_its_directory(tmp_path: Path) -> None:
    storage = Backend(tmp_path, Offload())
    storage.put("a/b", io.BytesIO(b"ours"))
    for stray in (".DS_Store", "a/.nfs01", "a/Notes of mine.txt"):
        (tmp_path / stray).write_bytes(b"theirs")

    assert list(storage.all_keys()) == ["a/b"]
