"""A headless Chromium, spoken to over a pipe in its own protocol (CDP): what a guest sees and does.

It is used where one is on PATH. Whatever it asks of the network, and whatever
it complains of, is kept.
"""

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

NAMES = (
    "chromium",
    "chromium-headless-shell",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--remote-debugging-pipe",
)
PATIENCE_MS = 30_000


def find_browser() -> str | None:
    """Return where a Chromium is."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Page:
    """One tab. ``asked`` are the addresses it called, ``complaints`` what its console said."""

    def __init__(self, commands: int, events: int) -> None:
        self._out = os.fdopen(commands, "wb", buffering=0)
        self._in = os.fdopen(events, "rb")
        self._number = 0
        self._session: str | None = None
        self.asked: list[str] = []
        self.complaints: list[str] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params: object) -> Any:
        """Return the result of a command, keeping what happens meanwhile."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._out.write(json.dumps(message).encode() + b"\0")
        while True:
            told = self._read()
            if told.get("id") == self._number:
                assert "error" not in told, told["error"]
                return told["result"]
            self._note(told)

    def _read(self) -> dict[str, Any]:
        raw = bytearray()
        while (byte := self._in.read(1)) != b"\0":
            assert byte, "the browser went away"
            raw += byte
        told: dict[str, Any] = json.loads(raw)
        return told

    def _note(self, told: dict[str, Any]) -> None:
        params = told.get("params", {})
        match told.get("method"):
            case "Network.requestWillBeSent":
                self.asked.append(params["request"]["url"])
            case "Log.entryAdded" if params["entry"]["source"] in ("security", "violation", "javascript"):
                self.complaints.append(params["entry"]["text"])
            case "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(params["exceptionDetails"]))

    def run(self, code: str) -> Any:
        """Return what an expression gives, waiting for promises."""
        told = self.send("Runtime.evaluate", expression=code, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def until(self, condition: str) -> Any:
        """Wait until an expression is true, and return its value."""
        return self.run(
            f"""new Promise((yes, no) => {{
                const end = Date.now() + {PATIENCE_MS};
                (function look() {{
                    let found = null;
                    try {{ found = {condition}; }} catch {{ found = null; }}
                    if (found) yes(found);
                    else if (Date.now() > end) no(new Error({json.dumps(f"never: {condition}")}));
                    else setTimeout(look, 20);
                }})();
            }})"""
        )

    def open(self, url: str) -> None:
        """Open an app's page and wait until it is ready."""
        self.send("Page.navigate", url=url)
        self.until("document.body.dataset.ready")

    def resize(self, width: int, height: int) -> None:
        """Be a screen of a size in CSS pixels, with a touch."""
        size = {"width": width, "height": height, "deviceScaleFactor": 2, "mobile": True}
        self.send("Emulation.setDeviceMetricsOverride", **size)

    def say(self, text: str) -> None:
        """Type a message and send it."""
        self.run(f"document.getElementById('query').value = {json.dumps(text)}, true")
        self.click("#send")

    def click(self, selector: str) -> None:
        """Press something that is there."""
        self.run(f"document.querySelector({json.dumps(selector)}).click(), true")

    def text(self, selector: str) -> str:
        """Return the text of the first element a selector finds."""
        return str(self.run(f"document.querySelector({json.dumps(selector)}).textContent"))

    def close(self) -> None:
        """Let go of the browser."""
        self._out.close()
        self._in.close()


@contextmanager
def browsing(binary: str, profile: Path) -> Iterator[Page]:
    """Run a browser with one empty tab."""
    (commands_in, commands), (events, events_out) = os.pipe(), os.pipe()
    command = [binary, *FLAGS, f"--user-data-dir={profile}"]
    shell = f'exec "$@" 3<&{commands_in} 4>&{events_out}'
    browser = subprocess.Popen(
        ["bash", "-c", shell, "browser", *command],
        pass_fds=(commands_in, events_out),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(commands_in)
    os.close(events_out)
    page = Page(commands, events)
    try:
        yield page
    finally:
        page.close()
        browser.kill()
        browser.wait(timeout=30)


class OneCall(WSGIRequestHandler):
    """A connection a call: kept open, Werkzeug takes the next call for the rest of the last one's body."""

    protocol_version = "HTTP/1.0"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


@contextmanager
def served(app: Flask) -> Iterator[str]:
    """Serve a program on a loopback port; give its address."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=OneCall)
    server.daemon_threads = True  # type: ignore[attr-defined]  # of socketserver's mixin
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(timeout=30)
        server.server_close()
