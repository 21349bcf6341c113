"""Reads streams strictly: a frame is ``data: {json}`` and a blank line, or a bare ping."""

import json
import re
from typing import Any

from werkzeug.test import TestResponse

FRAME = re.compile(r"(?:id: (?P<id>\d+)\n)?data: (?P<data>\{.*\})")


def read_events(response: TestResponse) -> list[dict[str, Any]]:
    """Return the events of a finished stream; raises AssertionError for a malformed frame."""
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    return parse_events(response.text)


def parse_events(text: str) -> list[dict[str, Any]]:
    """Return the events of a stream's text, each with its number under ``"#"`` where it has one."""
    events = []
    assert not text or text.endswith("\n\n"), f"the stream ends inside a frame: {text[-80:]!r}"
    for frame in text.split("\n\n")[:-1]:
        if frame == "event: ping":
            continue
        found = FRAME.fullmatch(frame)
        assert found is not None, f"not a frame: {frame!r}"
        event = json.loads(found["data"])
        if found["id"]:
            event["#"] = int(found["id"])
        events.append(event)
    return events


def text_of(events: list[dict[str, Any]]) -> str:
    """Return the answer that the message events add up to."""
    return "".join(event["answer"] for event in events if event["event"] == "message")
