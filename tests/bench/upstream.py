"""A scripted model server on the OpenAI wire, quick enough never to be what is measured.

A chat model's name is its script: ``bench-100t-10ms`` streams 100 tokens, 10 ms
apart, the first one 10 ms after the call; ``bench-agent-5r`` calls the first tool it
is offered five times, then answers. Embeddings come at once: a text has
one of ``VECTORS`` made beforehand. ``GET /stats`` tells how late the server's
own timers ran.
"""

import argparse
import asyncio
import json
import math
import random
import re
import zlib
from functools import lru_cache
from typing import Any

SCRIPT = re.compile(r"bench-(\d+)t-(\d+)ms")
AGENT = re.compile(r"bench-agent-(\d+)r")
ARGUMENTS = '{"expression": "1 + 1"}'
DEFAULT_SCRIPT = (20, 0.0)
DIMENSIONS = 384
VECTORS = 1024
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
JSON_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


class Stats:
    """How late the tokens sent so far were."""

    def __init__(self) -> None:
        self.ticks = 0
        self.late_s = 0.0

    def to_json(self) -> dict[str, float]:
        """Return the mean lateness of a token in milliseconds."""
        return {"late_ms": self.late_s / self.ticks * 1e3 if self.ticks else 0.0}


def script_of(model: str) -> tuple[int, float]:
    """Return how many tokens a model streams, and the seconds between them."""
    found = SCRIPT.search(model)
    return (int(found[1]), int(found[2]) / 1000) if found else DEFAULT_SCRIPT


@lru_cache(maxsize=64)
def frames_of(model: str, count: int, wants_usage: bool) -> tuple[bytes, ...]:
    """Return a stream as HTTP chunks: the role, ``count`` tokens, and the end."""
    role = _frame(model, {"role": "assistant", "content": ""})
    words = (_frame(model, {"content": f"word{number} "}) for number in range(count))
    end = _frame(model, {}, finish_reason="stop")
    if wants_usage:
        end += _chunk({"id": "chatcmpl-bench", "model": model, "choices": [], "usage": _usage(count)})
    return (role, *words, end + _http_chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")


def call_of(asked: dict[str, Any]) -> bytes | None:
    """Return the stream of a call where the model's script has one more; None where it is to answer."""
    rounds = AGENT.search(asked["model"])
    made = sum(message["role"] == "tool" for message in asked["messages"])
    if rounds is None or not asked.get("tools") or made >= int(rounds[1]):
        return None
    function = {"name": asked["tools"][0]["function"]["name"], "arguments": ARGUMENTS}
    call = {"index": 0, "id": f"call_{made}", "type": "function", "function": function}
    end = {"id": "chatcmpl-bench", "model": asked["model"], "choices": [], "usage": _usage(10)}
    return (
        _frame(asked["model"], {"role": "assistant", "tool_calls": [call]})
        + _frame(asked["model"], {}, finish_reason="tool_calls")
        + _chunk(end)
        + _http_chunk(b"data: [DONE]\n\n")
        + b"0\r\n\r\n"
    )


def whole_of(model: str, count: int) -> bytes:
    """Return an answer that is not streamed."""
    text = "".join(f"word{number} " for number in range(count))
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return _to_json(
        {"id": "chatcmpl-bench", "model": model, "choices": [choice], "usage": _usage(count)},
    )


def embeddings_of(model: str, texts: list[str]) -> bytes:
    """Return a vector for each text, the same one for the same text."""
    entries = b",".join(
        b'{"object":"embedding","index":%d,"embedding":%s}'
        % (index, _vector(zlib.crc32(text.encode("utf-8", "replace")) % VECTORS))
        for index, text in enumerate(texts)
    )
    usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
    rest = _to_json({"object": "list", "model": model, "usage": usage})
    return b'%s,"data":[%s]}' % (rest[:-1], entries)


@lru_cache(maxsize=VECTORS)
def _vector(number: int) -> bytes:
    """Return a vector of unit length, written as a server with floats of 32 bits would."""
    chance = random.Random(number)
    raw = [chance.gauss(0, 1) for _ in range(DIMENSIONS)]
    length = math.hypot(*raw)
    return _to_json([round(value / length, 9) for value in raw])


def _frame(model: str, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    kind = "chat.completion.chunk"
    return _chunk({"id": "chatcmpl-bench", "object": kind, "created": 1, "model": model, "choices": [choice]})


def _chunk(value: object) -> bytes:
    return _http_chunk(b"data: " + _to_json(value) + b"\n\n")


def _http_chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _to_json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _usage(completion: int) -> dict[str, int]:
    return {"prompt_tokens": 10, "completion_tokens": completion, "total_tokens": completion + 10}


class Caller(asyncio.Protocol):
    """One kept connection; a stream is sent on a timetable that does not drift."""

    def __init__(self, stats: Stats) -> None:
        self._stats = stats
        self._buffer = b""
        self._frames: tuple[bytes, ...] = ()
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._loop = asyncio.get_running_loop()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop sending."""
        del exc
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Answer each request that is complete."""
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end].lower()
        length = re.search(rb"content-length: *(\d+)", head)
        size = end + 4 + (int(length[1]) if length else 0)
        if len(self._buffer) < size:
            return
        body, self._buffer = self._buffer[end + 4 : size], self._buffer[size:]
        self._answer(head.split(b" ", 2)[1], body)

    def _answer(self, path: bytes, body: bytes) -> None:
        if path.endswith(b"/chat/completions"):
            self._chat(json.loads(body))
        elif path.endswith(b"/embeddings"):
            asked = json.loads(body)
            self._send_json(embeddings_of(asked["model"], asked["input"]))
        elif path.endswith(b"/models"):
            self._send_json(_to_json({"object": "list", "data": []}))
        else:
            self._send_json(_to_json(self._stats.to_json()))

    def _chat(self, asked: dict[str, Any]) -> None:
        model = asked["model"]
        count, gap_s = script_of(model)
        if not asked.get("stream"):
            self._send_json(whole_of(model, count))
            return
        call = call_of(asked)
        if call is not None:
            self._transport.write(STREAM_HEAD + call)
            return
        wants_usage = bool((asked.get("stream_options") or {}).get("include_usage"))
        frames = frames_of(model, count, wants_usage)
        if not gap_s:
            self._transport.write(STREAM_HEAD + b"".join(frames))
            return
        self._transport.write(STREAM_HEAD + frames[0])
        self._frames, self._sent, self._gap_s = frames, 1, gap_s
        self._due = self._loop.time() + gap_s
        self._timer = self._loop.call_at(self._due, self._tick)

    def _tick(self) -> None:
        """Send every frame that is due by now."""
        now = self._loop.time()
        self._stats.ticks += 1
        self._stats.late_s += now - self._due
        last = min(len(self._frames), self._sent + 1 + int((now - self._due) / self._gap_s))
        self._transport.write(b"".join(self._frames[self._sent : last]))
        self._due += self._gap_s * (last - self._sent)
        self._sent = last
        if last < len(self._frames):
            self._timer = self._loop.call_at(self._due, self._tick)

    def _send_json(self, data: bytes) -> None:
        self._transport.write(JSON_HEAD % len(data) + data)


async def serve(port: int) -> None:
    """Serve on loopback until the process is ended."""
    stats = Stats()
    for number in range(VECTORS):
        _vector(number)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Caller(stats), "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, required=True)
    asyncio.run(serve(arguments.parse_args().port))
