"""The program a plugin runs in: shut in first, then the plugin's own entry point.

Started by api/backends/plugins/child.py with the plugin's directory, its entry
point, its memory, a filter of system calls (which leaves it no network and no
processes) and how much of that must be had as arguments, on an interpreter
without site packages. What must stay true: it knows nothing of the server and
needs only the standard library; the plugin's code is not read before the limits
hold. Why this much: docs/adr/0010-plugins-are-processes.md.
"""

import ctypes
import json
import os
import resource
import runpy
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType
from typing import NoReturn

MB = 1024 * 1024
STACK_BYTES = 256 * 1024
MAX_OPEN_FILES = 128
MAX_WRITTEN_BYTES = 64 * MB
PARENT_CHECK_S = 2.0
EXIT_BROKEN = 3
LIBRARY = "slipway_plugin"
REQUIRED = "required"

PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
PR_SET_NO_NEW_PRIVS = 38
INSTRUCTION_BYTES = 8
OPEN = (
    "This machine cannot shut plugins in: it takes Landlock (Linux 5.13 or newer), on x86_64 or aarch64. "
    "PLUGIN_ISOLATION=preferred runs them all the same."
)
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
"""The system calls of Landlock, the same on every machine."""
PATH_BENEATH = 1
O_PATH = 0o10000000
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 2, 4, 8
READ = EXECUTE | READ_FILE | READ_DIR
FILES_BY_VERSION = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
"""Every right on files that a version of Landlock knows."""
ALL_TCP = 3
"""To bind and to connect; since version 4."""
ALL_SCOPES = 3
"""Sockets by name, and signals, of processes outside; since version 6."""
ON_FILES = EXECUTE | WRITE_FILE | READ_FILE | (1 << 14) | (1 << 15)
"""The rights that a rule may give on what is no directory."""
LIBRARIES = (
    "/usr/lib",
    "/lib",
    "/lib64",
    "/usr/lib64",
    "/usr/share/zoneinfo",
    "/etc/ld.so.cache",
    "/etc/localtime",
)
DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")


class RulesetAttributes(ctypes.Structure):
    """What a set of rules is about, as the kernel wants it told."""

    _fields_ = (("files", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class Filter(ctypes.Structure):
    """A filter of system calls, as the kernel wants it told."""

    _fields_ = (("count", ctypes.c_ushort), ("program", ctypes.c_char_p))


class PathAttributes(ctypes.Structure):
    """What may be done below a path, as the kernel wants it told."""

    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


@dataclass(frozen=True)
class Walls:
    """What a plugin is shut in by; ``system_calls`` is empty where there is no filter for the machine."""

    memory_mb: int
    system_calls: bytes
    are_required: bool


def main(directory: str, entrypoint: str, walls: Walls, library: CodeType) -> None:
    """Run a plugin that lies in a directory; the present one is its own to write in."""
    _limit(walls.memory_mb)
    if not _shut_in(directory, str(Path.cwd()), walls.system_calls) and walls.are_required:
        _break(OPEN)
    # Not before: the walls are those of this thread, and of threads it starts from now on.
    previous = threading.stack_size(STACK_BYTES)
    threading.Thread(target=_watch_parent, args=(os.getppid(),), daemon=True).start()
    threading.stack_size(previous)
    sys.path[:0] = [directory, f"{directory}/vendor"]
    _offer(library)
    try:
        runpy.run_module(entrypoint, run_name="__main__", alter_sys=True)
    except Exception as exc:  # noqa: BLE001  # whatever the plugin raises is told, and its process ends
        _break(f"{type(exc).__name__}: {exc}"[:1000])


def _break(message: str) -> NoReturn:
    """Tell why there is no plugin, and end."""
    told = {"event": "broken", "data": {"message": message}}
    os.write(1, json.dumps(told).encode() + b"\n")
    sys.exit(EXIT_BROKEN)


def _limit(memory_mb: int) -> None:
    for what, most in (
        (resource.RLIMIT_AS, memory_mb * MB),
        (resource.RLIMIT_NOFILE, MAX_OPEN_FILES),
        (resource.RLIMIT_FSIZE, MAX_WRITTEN_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))


def _shut_in(directory: str, own: str, system_calls: bytes) -> bool:
    """Take away network, processes, and all files but the plugin's and Python's; tell whether they are gone.

    ``own`` is left to write in.
    """
    if sys.platform != "linux":
        return False
    kernel = ctypes.CDLL(None, use_errno=True)
    kernel.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    return _shut_files(kernel, directory, own) and _shut_calls(kernel, system_calls)


def _shut_files(kernel: ctypes.CDLL, directory: str, own: str) -> bool:
    version = kernel.syscall(CREATE_RULESET, None, 0, 1)
    if version < 1:
        return False
    rights = FILES_BY_VERSION[max(known for known in FILES_BY_VERSION if known <= version)]
    about = RulesetAttributes(rights, ALL_TCP if version >= 4 else 0, ALL_SCOPES if version >= 6 else 0)
    size_bytes = 24 if version >= 6 else 16 if version >= 4 else 8
    rules = kernel.syscall(CREATE_RULESET, ctypes.byref(about), size_bytes, 0)
    if rules < 0:
        return False
    for path in (directory, str(Path(os.__file__).parent), sys.base_prefix + "/lib", *LIBRARIES):
        _allow(kernel, rules, path, READ & rights)
    for path in DEVICES:
        _allow(kernel, rules, path, (READ_FILE | WRITE_FILE) & rights)
    _allow(kernel, rules, own, rights & ~EXECUTE)
    is_shut = bool(kernel.syscall(RESTRICT_SELF, rules, 0) == 0)
    os.close(rules)
    return is_shut


def _shut_calls(kernel: ctypes.CDLL, system_calls: bytes) -> bool:
    """Install a filter of system calls."""
    told = Filter(len(system_calls) // INSTRUCTION_BYTES, system_calls)
    asked = (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(told), 0, 0)
    return bool(system_calls) and kernel.prctl(*asked) == 0


def _allow(kernel: ctypes.CDLL, rules: int, path: str, rights: int) -> None:
    try:
        parent = os.open(path, O_PATH | os.O_CLOEXEC)
    except OSError:  # what is not there needs no rule
        return
    allowed = rights if Path(path).is_dir() else rights & ON_FILES
    kernel.syscall(ADD_RULE, rules, PATH_BENEATH, ctypes.byref(PathAttributes(allowed, parent)), 0)
    os.close(parent)


def _watch_parent(parent: int) -> None:
    """End with the server: a plugin that hangs does not see that nobody asks it any more."""
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_S)
    os._exit(EXIT_BROKEN)


def _offer(library: CodeType) -> None:
    """Make ``import slipway_plugin`` work, whose file the plugin cannot see."""
    module = ModuleType(LIBRARY)
    sys.modules[LIBRARY] = module
    exec(library, module.__dict__)  # noqa: S102  # our own file


if __name__ == "__main__":
    source = Path(__file__).with_name(f"{LIBRARY}.py").read_text(encoding="utf-8")
    _, directory, entrypoint, memory_mb, system_calls, need = sys.argv
    walls = Walls(int(memory_mb), bytes.fromhex(system_calls), need == REQUIRED)
    main(directory, entrypoint, walls, compile(source, LIBRARY, "exec"))
