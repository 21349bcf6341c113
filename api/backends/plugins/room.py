"""How much a plugin has written: no limit of the kernel says how much that may be in all.

What must stay true: files without a name count as long as they are open. One that
is only mapped is memory, which has a limit of its own. Whoever talks with the
plugin looks; between two calls nobody does.
"""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

MAX_MB = 128
MAX_FILES = 1000
BLOCK_BYTES = 512
MB = 1024 * 1024


def is_overfull(directory: Path, pid: int) -> bool:
    """Tell whether more is in a process's directory, or held open without a name, than there may be."""
    used_bytes = 0
    for count, found in enumerate((*_named(directory, MAX_FILES + 1), *_nameless(pid)), 1):
        used_bytes += found.st_blocks * BLOCK_BYTES
        if used_bytes > MAX_MB * MB or count > MAX_FILES:
            return True
    return False


def _named(directory: Path, most: int) -> Iterator[os.stat_result]:
    """Yield what is below a directory, of its first ``most`` entries; what goes meanwhile is left out."""
    directories = [directory]
    while directories and most > 0:
        with contextlib.suppress(OSError), os.scandir(directories.pop()) as entries:
            for entry in entries:
                most -= 1
                with contextlib.suppress(OSError):
                    yield entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    directories.append(Path(entry.path))
                if most <= 0:
                    return


def _nameless(pid: int) -> Iterator[os.stat_result]:
    """Yield the files a process has open that are in no directory; none where this cannot be seen."""
    with contextlib.suppress(OSError), os.scandir(f"/proc/{pid}/fd") as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                found = entry.stat()
                if stat.S_ISREG(found.st_mode) and not found.st_nlink:
                    yield found
