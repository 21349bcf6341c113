"""Files in a directory of this machine, each under its key as path.

What must stay true: a file appears under its key whole or not at all, also
after a power cut; nothing outside the directory can be named.
"""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Self

from api.backends.offload import Backend as Offload
from api.backends.storage.keys import check_key, is_key
from api.core.parallel import give_way
from api.errors import NotFound, Unavailable
from api.settings import Settings

INCOMING = ".incoming"
CHUNK_BYTES = 1024 * 1024
SYNC_WAIT_S = 60.0
OUT_OF_SERVICE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})


class Backend:
    """Implements Storage under ``root``. Directories are made 0700, files 0600."""

    def __init__(self, root: Path, offload: Offload) -> None:
        self._root = root
        self._offload = offload

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Keep files under DATA_DIR."""
        return cls(settings.data_dir.absolute() / "files", Offload.from_settings(settings))

    def put(self, key: str, source: BinaryIO) -> int:
        """Store the bytes of ``source``; see Storage. A key that is not well formed is a ValueError."""
        target = self._path(key)
        with _unavailable_when_out_of_service():
            _make_directory(target.parent)
            _make_directory(self._root / INCOMING)
            descriptor, incoming = tempfile.mkstemp(dir=self._root / INCOMING)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    size_bytes = _copy(source, file)
                    # The disk may take its time; the event loop has none.
                    self._offload.call(os.fsync, file.fileno(), timeout_s=SYNC_WAIT_S)
                Path(incoming).replace(target)
            except BaseException:
                Path(incoming).unlink()
                raise
            self._offload.call(_sync_directory, target.parent, timeout_s=SYNC_WAIT_S)
        return size_bytes

    def open(self, key: str) -> BinaryIO:
        """Return a reader of the file; see Storage."""
        try:
            return self._path(key).open("rb")
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as exc:
            raise NotFound("The file does not exist.") from exc

    def delete(self, key: str) -> None:
        """Remove the file; see Storage."""
        self._path(key).unlink(missing_ok=True)

    def exists(self, key: str) -> bool:
        """Tell whether the file is there."""
        return self._path(key).is_file()

    def all_keys(self) -> Iterator[str]:
        """Yield the keys of all files; see Storage."""
        for directory, below, names in os.walk(self._root):
            below[:] = [name for name in below if not name.startswith(".")]
            keys = ((Path(directory) / name).relative_to(self._root).as_posix() for name in names)
            yield from filter(is_key, keys)

    def _path(self, key: str) -> Path:
        return self._root / check_key(key)


@contextmanager
def _unavailable_when_out_of_service() -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        if exc.errno not in OUT_OF_SERVICE and not isinstance(exc, TimeoutError):
            raise
        raise Unavailable("The file store cannot take the file now; it may be full.") from exc


def _copy(source: BinaryIO, target: BinaryIO) -> int:
    size_bytes = 0
    while chunk := source.read(CHUNK_BYTES):
        size_bytes += target.write(chunk)
        give_way()  # a large file would keep the event loop from everything else
    target.flush()
    return size_bytes


def _make_directory(path: Path) -> None:
    """Make the directory and its parents, each private: Path.mkdir gives its mode to the last only."""
    if path.is_dir():
        return
    _make_directory(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
