"""How far a run has been read, and how it is read on where the connection broke. Knows no connection."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from dify_client.call import JSON, Call, get, path_of
from dify_client.chunk import Chunk
from dify_client.errors import (
    APIConnectionError,
    APIError,
    DifyError,
    InvalidAnswerError,
    StreamInterruptedError,
    error_class,
)
from dify_client.sse import Frame, FrameParser

NUMBER = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How a run is read: the call that starts it or joins it, where it is read on, and what ends it.

    ``folder`` and the id under ``id_key`` make the path of the run's events.
    """

    start: Call
    folder: str
    id_key: str
    endings: frozenset[str]
    query: JSON = field(default_factory=dict)


class Progress:
    """How far a run has been read."""

    def __init__(self, reading: Reading, max_resumes: int) -> None:
        self.last: Chunk | None = None
        self._reading = reading
        self._max_resumes = max_resumes
        self._number: int | None = None
        self._opened = 0
        self._has_ended = False
        self._parser = FrameParser()
        self._failure: Exception | None = None

    def is_over(self) -> bool:
        """Tell whether what came last may be the last; the sound of an answer follows its end."""
        return self._has_ended

    def next_call(self) -> Call:
        """Return the call that begins to read, or reads on; raises StreamInterruptedError."""
        self._parser = FrameParser()
        self._opened += 1
        if self._is_first:
            return self._reading.start.streamed(**{"X-Stream-Ids": "true"})
        if self._opened > 1 + self._max_resumes or (self.last and self._number is None):
            raise StreamInterruptedError("The stream broke before its end.") from self._failure
        if self.last is None:  # the key of the call makes the server take it for the same
            return self._reading.start.streamed(**{"X-Stream-Ids": "true"})
        path = path_of(self._reading.folder, str(self.last.raw.get(self._reading.id_key)), "events")
        return get(path, **self._reading.query).streamed(**{"Last-Event-ID": str(self._number)})

    def feed(self, piece: bytes) -> Iterator[Chunk]:
        """Yield the events that the next bytes complete, none twice.

        Raises the APIError that an error event tells of, and InvalidAnswerError.
        """
        for frame in self._parser.feed(piece):
            chunk = to_chunk(frame)
            if chunk.number is not None:
                if chunk.number <= (self._number or 0):
                    continue
                self._number = chunk.number
            self.last = chunk
            self._has_ended = chunk.event in self._reading.endings
            if chunk.event == "error":
                raise stream_error(chunk)
            yield chunk

    def broke(self, exc: httpx.RequestError) -> None:
        """Remember why the connection broke."""
        self._failure = exc

    def refused(self, exc: DifyError) -> None:
        """Take it that no stream was had; raises what that means, unless it is worth another try."""
        if self._is_first:
            raise exc
        if isinstance(exc, APIConnectionError):
            self._failure = exc
        elif self.last is None:
            raise exc
        else:
            message = "The stream broke, and the server does not let it be read on."
            raise StreamInterruptedError(message) from exc

    @property
    def _is_first(self) -> bool:
        return self._opened == 1


def to_chunk(frame: Frame) -> Chunk:
    """Return the event of a frame; raises InvalidAnswerError for one that is none of this API."""
    try:
        raw: Any = json.loads(frame.data)
    except ValueError as exc:
        raise InvalidAnswerError("The stream holds a frame that is no JSON.") from exc
    if not isinstance(raw, dict) or not isinstance(raw.get("event"), str):
        raise InvalidAnswerError("The stream holds a frame that is no event.")
    is_number = NUMBER.fullmatch(frame.id) is not None
    return Chunk(raw["event"], raw, int(frame.id) if is_number else None)


def stream_error(chunk: Chunk) -> APIError:
    """Return the error of an error event."""
    status = chunk.raw.get("status")
    known = status if isinstance(status, int) else 500
    return error_class(known, str(chunk.raw.get("code")))(chunk.raw, known)
