"""Code on full CPython behind bubblewrap: namespaces of its own, a read-only root, no other processes.

Implements CodeSandbox for Linux machines that have ``bwrap``. Each run of Python
has a process of its own; JavaScript and templates run as with ``monty``.
"""

import os
import shutil
import sys
from pathlib import Path
from typing import Self

from api.backends.sandbox import seccomp
from api.backends.sandbox.child import ROOT, Child, arguments, environment, to_object
from api.backends.sandbox.monty import Backend as Monty
from api.backends.sandbox.pool import Pool
from api.core.ports import Cancel, JSONObject
from api.core.sandbox import child as program
from api.settings import Settings, SettingsError

INSIDE = Path("/slipway")
ENGINE = Path(program.__file__).parent
IDLE_S = 60
WALLS = [
    *("--unshare-all", "--die-with-parent", "--new-session", "--clearenv"),
    *("--cap-drop", "ALL", "--uid", "65534", "--gid", "65534", "--hostname", "sandbox"),
]
DEVICES = ("/dev/null", "/dev/urandom", "/dev/random")
LINKED = ("/bin", "/sbin", "/lib", "/lib64")


class Backend:
    """Implements CodeSandbox by one walled process a run."""

    def __init__(self, pool: Pool, others: Monty) -> None:
        self._pool = pool
        self._others = others

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Return the backend. Raises SettingsError where there is no bwrap."""
        bwrap = shutil.which("bwrap")
        if bwrap is None:
            raise SettingsError("SANDBOX=bubblewrap needs the program bwrap, which is not on the PATH.")
        if not seccomp.knows_machine():
            raise SettingsError("SANDBOX=bubblewrap runs on x86_64 and aarch64 only.")
        memory_mb = settings.sandbox_memory_mb

        def start(kind: str, cancel: Cancel) -> Child:
            return _start(bwrap, kind, memory_mb, cancel)

        return cls(Pool(start, settings.sandbox_parallel, max_runs=1), Monty.from_settings(settings))

    def run(
        self, language: str, code: str, inputs: JSONObject, *, timeout_s: float, cancel: Cancel
    ) -> JSONObject:
        """Return what ``main`` returns; see CodeSandbox."""
        if language != "python3":
            return self._others.run(language, code, inputs, timeout_s=timeout_s, cancel=cancel)
        return to_object(self._pool.ask("cpython", code, inputs, timeout_s=timeout_s, cancel=cancel))

    def render(self, template: str, variables: JSONObject, *, timeout_s: float, cancel: Cancel) -> str:
        """Return the filled template; see CodeSandbox."""
        return self._others.render(template, variables, timeout_s=timeout_s, cancel=cancel)

    def stop(self) -> None:
        """End the processes."""
        self._pool.stop()
        self._others.stop()


def _start(bwrap: str, kind: str, memory_mb: int, cancel: Cancel) -> Child:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb"):
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(seccomp.no_processes())
        argv = [bwrap, *WALLS, "--seccomp", str(reader), *_files(), _python()]
        argv += arguments(kind, memory_mb, IDLE_S)
        return Child.start(kind, memory_mb, argv, cancel, env={}, pass_fds=(reader,))


def _files() -> list[str]:
    """Return what is seen of the file system: the interpreter and its libraries, all of it to read."""
    options = ["--ro-bind", "/usr", "/usr", "--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"]
    for path in map(Path, LINKED):
        if path.is_symlink():
            options += ["--symlink", str(path.readlink()), str(path)]
        elif path.exists():
            options += ["--ro-bind", str(path), str(path)]
    if not Path(sys.base_prefix).is_relative_to("/usr"):
        options += ["--ro-bind", sys.base_prefix, sys.base_prefix]
    for device in DEVICES:
        options += ["--dev-bind", device, device]
    options += ["--ro-bind", str(ENGINE), str(INSIDE / ENGINE.relative_to(ROOT))]
    for name, value in environment(INSIDE).items():
        options += ["--setenv", name, value]
    return [*options, "--proc", "/proc", "--dir", "/tmp", "--remount-ro", "/", "--chdir", "/"]  # noqa: S108


def _python() -> str:
    """Return the interpreter without its virtual environment, whose packages are the server's."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return str(Path(sys.base_prefix) / "bin" / version)
