"""From a run's log to the wire: one stream of frames, or one blocking answer, of the same events.

A frame is exactly ``data: {json}`` and a blank line; clients cut it by hand.
Numbers (``id:`` lines) go only to readers that ask. The hot path is one text
delta: its frame is a fixed head, the encoded text and a fixed tail.
Wire: docs/wire/streaming.md.
"""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain

import orjson
from flask import Response, g, request

from api.controllers.http.agent_frames import agent_payload, told_thoughts
from api.controllers.http.door import render, runtime
from api.controllers.http.errors import dialect_code
from api.controllers.http.flow_frames import flow_payload, hide_details, run_result, text_payload
from api.core.events import (
    AgentThought,
    ErrorOccurred,
    Event,
    EventLog,
    MessageEnd,
    NodeFinished,
    RunFinished,
    RunHeader,
    RunPaused,
    SpeechChunk,
    SpeechEnd,
    TextChunk,
    TextReplaced,
)
from api.core.model_runtime.types import FREE, Usage
from api.core.ports import JSONObject
from api.errors import AppError, InvalidRequest, Unavailable
from api.principal import Principal
from api.runtime import Runtime
from api.services import generation

GRACE_S = 30.0
"""How long after its time a run may still be writing its end."""
PING = b"event: ping\n\n"
HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
    "Connection": "keep-alive",
}
SHOWN_OF_RESOURCE = ("segment_id", "position", "document_name", "score", "content", "summary")
"""What guests of an app's page see of a citation."""
NO_USAGE = Usage(prompt_tokens=0, completion_tokens=0, price=FREE, latency_s=0.0, first_token_s=None)


class RunFailed(AppError):
    """The run ended in an error; a blocking answer repeats its code and status."""

    def __init__(self, event: ErrorOccurred) -> None:
        super().__init__(event.message)
        self.code = event.code
        self.http_status = event.status


@dataclass(frozen=True, slots=True)
class Audience:
    """Who reads a run: under which dialect, and whether it asked for event numbers."""

    dialect: str | None
    wants_ids: bool = False
    is_guest: bool = False

    @classmethod
    def of_request(cls) -> "Audience":
        """Return the audience of the present request."""
        wants_ids = request.headers.get("X-Stream-Ids", "").lower() == "true"
        return cls(request.blueprint, wants_ids, is_guest="guest" in g)


class Frames:
    """Writes the events of one run for one audience."""

    def __init__(self, header: RunHeader, audience: Audience) -> None:
        self._dialect = audience.dialect
        self._is_flat = audience.dialect == "seed"
        self._is_guest = audience.is_guest
        self._header = header
        self._is_message = header.mode != "workflow"
        self._envelope = envelope(header)
        is_agent = header.mode == "agent-chat"
        named: JSONObject = {"id": header.message_id, "answer": ""}
        if not is_agent:
            named["from_variable_selector"] = None
        told = {"event": "agent_message" if is_agent else "message", **self._envelope, **named}
        head, _, tail = orjson.dumps(told).rpartition(b'""')
        self._text_head = b"data: " + head
        self._text_tail = tail + b"\n\n"

    def frame(self, event: Event) -> bytes:
        """Return the frame of one event."""
        if isinstance(event, TextChunk) and event.selector is None:
            return self._text_head + orjson.dumps(event.text) + self._text_tail
        return b"data: " + orjson.dumps(self.payload(event)) + b"\n\n"

    def payload(self, event: Event) -> JSONObject:
        """Return the JSON of one event."""
        told = flow_payload(event, self._header, self._envelope, is_flat=self._is_flat)
        if told is None:
            told = agent_payload(event, self._envelope, is_flat=self._is_flat)
            return self._message_payload(event) if told is None else told
        return hide_details(told) if self._is_guest else told

    def _message_payload(self, event: Event) -> JSONObject:
        """Return the JSON of an event that apps of every kind tell."""
        match event:
            case TextChunk() | TextReplaced() if not self._is_message:
                return text_payload(event, self._envelope, is_flat=self._is_flat)
            case TextChunk():
                selector: JSONObject = {"from_variable_selector": list(event.selector or ()) or None}
                return {
                    "event": "message",
                    **self._envelope,
                    "id": self._header.message_id,
                    "answer": event.text,
                    **selector,
                }
            case TextReplaced():
                return {
                    "event": "message_replace",
                    **self._envelope,
                    "answer": event.text,
                    "reason": event.reason,
                }
            case MessageEnd():
                named: JSONObject = {
                    "id": self._envelope["message_id"],
                    "metadata": metadata(event, is_guest=self._is_guest),
                    "files": list(event.files) if self._header.mode == "advanced-chat" else None,
                }
                return {"event": "message_end", **self._envelope, **named}
            case SpeechChunk() | SpeechEnd():
                audio = event.audio if isinstance(event, SpeechChunk) else ""
                name = "tts_message" if isinstance(event, SpeechChunk) else "tts_message_end"
                return {"event": name, **self._envelope, "audio": audio}
            case ErrorOccurred():
                code = dialect_code(event.code, self._dialect)
                told: JSONObject = {"status": event.status, "code": code, "message": event.message}
                return {"event": "error", **self._envelope, **told}
        raise AssertionError(f"{type(event).__name__} has no frame")


def respond(log: EventLog, response_mode: str, on_disconnect: str, principal: Principal) -> Response:
    """Answer with a run: as a stream, or folded into one JSON object when it is over.

    ``on_disconnect`` "cancel" stops the run when a streaming client leaves.
    """
    if response_mode == "blocking":
        return blocking(log)
    leave = None
    if on_disconnect == "cancel":
        house, header = runtime(), log.header
        leave = partial(generation.stop, house, principal, header.app_id, header.task_id)
    return stream(log, Audience.of_request(), on_leave=leave)


def stream(
    log: EventLog, audience: Audience, *, after: int = 0, on_leave: Callable[[], None] | None = None
) -> Response:
    """Answer with the frames of the events numbered above ``after``, as they come."""
    frames = _counted(runtime(), _frames(log, audience, after, runtime().limits.ping_interval_s, on_leave))
    return Response(frames, headers=HEADERS)


def resume(log: EventLog) -> Response:
    """Answer an events route: everything after ``Last-Event-ID``, numbered. Raises InvalidRequest."""
    last = request.headers.get("Last-Event-ID", "").strip() or "0"
    if not last.isascii() or not last.isdigit() or len(last) > 12:
        raise InvalidRequest("Last-Event-ID must be the number of an event", field="Last-Event-ID")
    audience = Audience(request.blueprint, wants_ids=True, is_guest="guest" in g)
    return stream(log, audience, after=int(last))


def _counted(house: Runtime, frames: Generator[bytes]) -> Iterator[bytes]:
    """Yield a stream's frames; it counts as open from the first on until it ends or its client leaves."""
    house.metrics.open_streams += 1
    try:
        yield from frames
    finally:
        house.metrics.open_streams -= 1


def _frames(
    log: EventLog, audience: Audience, after: int, ping_s: float, on_leave: Callable[[], None] | None
) -> Generator[bytes]:
    after = max(after, log.header.told_events)
    frames, task_id = Frames(log.header, audience), log.header.task_id
    yield b""  # sends the headers now, long before the model's first word
    try:
        for events in follow(log, after, ping_s):
            if log.header.task_id != task_id:  # a run that went on after a pause
                frames, task_id = Frames(log.header, audience), log.header.task_id
            yield b"".join(_numbered(frames, events, after, audience)) if events else PING
            after += len(events)
    except AppError as exc:
        yield frames.frame(ErrorOccurred(status=exc.http_status, code=exc.code, message=exc.message))
    except GeneratorExit:
        if on_leave is not None:
            on_leave()
        raise


def follow(log: EventLog, after: int, pause_s: float) -> Iterator[Sequence[Event]]:
    """Yield the events numbered above ``after`` as they come, and nothing each ``pause_s`` without one.

    Raises Unavailable when the log is out of reach, or when it should long have ended.
    """
    give_up_at = time.monotonic() + log.header.total_s + GRACE_S
    after = max(after, log.header.told_events)
    while True:
        batch = log.read(after - log.header.told_events, pause_s)
        if batch.events or not batch.is_last:
            yield batch.events
        if batch.is_last:
            return
        after += len(batch.events)
        if time.monotonic() > give_up_at:
            raise Unavailable("The run did not end in its time.")


def _numbered(frames: Frames, events: Sequence[Event], after: int, audience: Audience) -> Iterator[bytes]:
    for number, event in enumerate(events, after + 1):
        if audience.wants_ids:
            yield b"id: %d\n" % number
        yield frames.frame(event)


def blocking(log: EventLog) -> Response:
    """Answer with the whole run in one object, once it is over; raises RunFailed where it failed."""
    pieces: list[str] = []
    thoughts: dict[str, AgentThought] = {}
    end: MessageEnd | None = None
    run: RunFinished | RunPaused | None = None
    for event in chain.from_iterable(follow(log, 0, runtime().limits.ping_interval_s)):
        match event:
            case TextChunk():
                pieces.append(event.text)
            case TextReplaced():
                pieces[:] = [event.text]
            case AgentThought():
                thoughts[event.id] = event
            case RunFinished() | RunPaused():
                run = event
            case MessageEnd():
                end = event
            case ErrorOccurred():
                raise RunFailed(event)
    if run is not None and (end is None or log.header.mode == "workflow"):
        return render(flow_answer(log.header, run))
    assert end is not None, "a run ends with its end or with an error"
    told = answer(log.header, "".join(pieces), end)
    if log.header.mode == "agent-chat":
        told["agent_thoughts"] = told_thoughts(thoughts, log.header, is_flat=request.blueprint == "seed")
    return render(told)


def execution_of(log: EventLog, node_id: str) -> str:
    """Wait for the end of a run; return the execution of one of its nodes. Raises RunFailed, Unavailable."""
    found = None
    for event in chain.from_iterable(follow(log, 0, runtime().limits.ping_interval_s)):
        match event:
            case NodeFinished() if event.node_id == node_id:
                found = event.execution_id
            case ErrorOccurred():
                raise RunFailed(event)
    if found is None:
        raise Unavailable("The run was stopped before the node began.")
    return found


def flow_answer(header: RunHeader, run: RunFinished | RunPaused) -> JSONObject:
    """Return the blocking answer of a workflow, and of a chatflow that waits for a person."""
    ids = {"task_id": header.task_id, "workflow_run_id": header.workflow_run_id}
    more = envelope(header) if header.mode != "workflow" else {}
    return {**more, **ids, "data": run_result(run, header)}


def answer(header: RunHeader, text: str, end: MessageEnd) -> JSONObject:
    """Return the blocking answer of a message app."""
    return {
        "event": "message",
        **envelope(header),
        "id": header.message_id,
        "mode": header.mode,
        "answer": text,
        "metadata": metadata(end, is_guest="guest" in g),
    }


def envelope(header: RunHeader) -> JSONObject:
    """Return what every event of a message app carries; completion apps show no conversation."""
    if header.mode == "workflow":
        return {"workflow_run_id": header.workflow_run_id, "task_id": header.task_id}
    ids: JSONObject = {
        "message_id": header.message_id,
        "created_at": header.created_at,
        "task_id": header.task_id,
    }
    return ids if header.mode == "completion" else {"conversation_id": header.conversation_id, **ids}


def metadata(end: MessageEnd, *, is_guest: bool) -> JSONObject:
    """Return the metadata of a finished answer. Prices are decimal strings; guests are told none."""
    if is_guest:
        return {"retriever_resources": [cut_resource(asdict(item)) for item in end.retriever_resources]}
    return {
        "annotation_reply": end.annotation_reply,
        "retriever_resources": [dict(asdict(item)) for item in end.retriever_resources],
        "usage": (end.usage or NO_USAGE).to_json(),
    }


def cut_resource(resource: JSONObject) -> JSONObject:
    """Return what a guest is shown of a citation."""
    return {key: resource.get(key) for key in SHOWN_OF_RESOURCE}
