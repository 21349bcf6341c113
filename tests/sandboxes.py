"""Sandboxes for tests, each with what it needs around it."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from api.backends import load
from api.core.ports import CodeSandbox
from tests.conftest import make_settings

SERVICE_KEY = "key of the service"
SERVICE_S = 3.0
NOTHING = {"PATH": os.environ["PATH"], "PYTHONUTF8": "1"}


@contextmanager
def make_sandbox(name: str, folder: Path, **values: object) -> Iterator[CodeSandbox]:
    """Yield a backend built as the program builds it; skips where it cannot be had on this machine."""
    with ExitStack() as stack:
        if name == "bubblewrap":
            check_bubblewrap()
        if name == "http":
            if shutil.which("node") is None:
                pytest.skip("no node, on which the double of the service runs JavaScript")
            values = {"code_execution_endpoint": stack.enter_context(sandbox_service()), **values}
            values = {"code_execution_api_key": SERVICE_KEY, **values}
        made: CodeSandbox = load("sandbox", name).from_settings(make_settings(folder, sandbox=name, **values))
        stack.callback(made.stop)
        yield made


@contextmanager
def sandbox_service() -> Iterator[str]:
    """Yield the address of a service that speaks Dify's protocol and runs what it is given with no walls."""
    server = _Server(("127.0.0.1", 0), _Service)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # callers that come at once are not turned away


class _Service(BaseHTTPRequestHandler):
    """One call: run a source, tell what it printed or how it failed."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        is_known = self.headers["x-api-key"] == SERVICE_KEY and self.path == "/v1/sandbox/run"
        assert set(body) == {"language", "code", "preload", "enable_network"}
        self._answer(200 if is_known else 401, self._ran(body["language"], body["code"]) if is_known else {})

    def _ran(self, language: str, code: str) -> dict[str, object]:
        command = {"python3": [sys.executable, "-I", "-S", "-"], "nodejs": ["node", "-"]}[language]
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=NOTHING
        )
        try:
            printed, errors = child.communicate(code.encode(), timeout=SERVICE_S)
        except subprocess.TimeoutExpired:
            child.kill()
            printed, errors = child.communicate()
            errors = b"error: timeout"
        error = errors.decode() if child.returncode or errors else ""
        return {"code": 0, "message": "success", "data": {"stdout": printed.decode(), "error": error}}

    def _answer(self, status: int, value: object) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        with contextlib.suppress(OSError):  # the client may have stopped its run
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name of the base class
        """Say nothing."""


def check_bubblewrap() -> None:
    """Skip the test where bubblewrap is absent, or not allowed to make namespaces."""
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        pytest.skip("no bwrap on the PATH")
    command = [bwrap, "--unshare-all", "--ro-bind", "/", "/", "/bin/true"]
    tried = subprocess.run(command, capture_output=True, check=False)
    if tried.returncode:
        pytest.skip(f"bwrap cannot make namespaces here: {tried.stderr.decode().strip()}")


def processes() -> set[int]:
    """The processes this one has started and that have not ended."""
    lists = Path("/proc/self/task").glob("*/children")
    return {int(pid) for found in lists for pid in read(found).split()}


def read(file: Path) -> bytes:
    """Return what a file of /proc says; nothing where its thread or process has ended meanwhile."""
    try:
        return file.read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""
