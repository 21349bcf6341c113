"""Bodies on their way in: how large each may be, and forms whose files go to disk while they are read.

Boundary: counts, hashes and keeps what a client sends; what a file may be is
services/uploads.py. What must stay true: a body is refused by its declared length
before it is read and by its true length while it is, and however large, it
takes less than a megabyte of memory.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import wraps
from http import HTTPStatus
from io import BytesIO
from socket import socket
from tempfile import SpooledTemporaryFile
from typing import IO, Any, cast

from flask import Request, request
from gunicorn.http.errors import ParseException
from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser
from werkzeug.sansio.multipart import Data, Epilogue, Event, Field, File, MultipartDecoder, NeedData
from werkzeug.utils import cached_property
from werkzeug.wsgi import LimitedStream, get_input_stream

from api.controllers.http.door import runtime
from api.controllers.http.errors import MediaTypeUnsupported, Refused
from api.core.parallel import give_way
from api.errors import BadRequest, TooLarge, Unavailable, Unsupported
from api.services import file_kinds, speech
from api.services.uploads import IncomingFile

MULTIPART = "multipart/form-data"
MB = 1024 * 1024
READ_BYTES = 64 * 1024
SPOOL_MEMORY_BYTES = 256 * 1024
FORM_BYTES = MB
"""Room for what surrounds a file in its form."""
IDLE_S = 20.0
"""The longest pause of a client within its body."""


class NoFileUploaded(BadRequest):
    """The form holds no file under the name the route asks for."""

    code = "no_file_uploaded"


class TooManyFiles(BadRequest):
    """The form holds more files than the route takes."""

    code = "too_many_files"


class NoAudioUploaded(BadRequest):
    """The form holds no recording under the name ``file``."""

    code = "no_audio_uploaded"


class AudioTooLarge(TooLarge):
    """The recording is over the limit of what is written down."""

    code = "audio_too_large"


class Spool(SpooledTemporaryFile[bytes]):
    """A file on its way in: counted and hashed as it is written, small in memory, else on disk."""

    def __init__(self, max_bytes: int, fault: type[TooLarge] = TooLarge) -> None:
        super().__init__(max_size=SPOOL_MEMORY_BYTES)
        self.size_bytes = 0
        self.sha256 = hashlib.sha256()
        self._max_bytes = max_bytes
        self._fault = fault

    def write(self, data: bytes) -> int:  # type: ignore[override]  # only bytes are written here
        """Keep a piece; raises the fault above the limit, Unavailable where there is no room for it."""
        self.size_bytes += len(data)
        if self.size_bytes > self._max_bytes:
            raise self._fault(f"File size exceeds the limit of {self._max_bytes / MB:g} MB.")
        self.sha256.update(data)
        try:
            return super().write(data)
        except OSError as exc:
            raise Unavailable("The server has no room for the upload now.") from exc


class SentBody:
    """The body as the server reads it from its socket: a client that falls silent or babbles is told so."""

    def __init__(self, source: IO[bytes], connection: socket | None) -> None:
        self._source = source
        self._connection = connection

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes, fewer at the body's end.

        Raises Refused 408 after a pause of 20 s, BadRequest where the chunks are broken.
        """
        self._set_timeout(IDLE_S)
        try:
            return self._source.read(size)
        except TimeoutError as exc:
            raise Refused(HTTPStatus.REQUEST_TIMEOUT, "The request body did not come in time.") from exc
        except ParseException as exc:
            raise BadRequest("The chunks of the request body cannot be read.") from exc
        finally:
            self._set_timeout(None)  # a slow reader of the answer may take its time

    def _set_timeout(self, timeout_s: float | None) -> None:
        if self._connection is not None:
            self._connection.settimeout(timeout_s)


class UndeclaredBody(LimitedStream):
    """A body of undeclared length: where its parent would give the part that fits, it is refused."""

    def readall(self) -> bytes:
        """Return the whole body; raises RequestEntityTooLarge when it reaches the limit."""
        return b"".join(iter(lambda: self.read(READ_BYTES), b""))


class FormReader(FormDataParser):
    """Reads a multipart form as it comes in: fields into memory up to a total, the first file to disk.

    A second file is refused by every route, so it is only counted.
    """

    def parse(
        self,
        stream: IO[bytes],
        mimetype: str,
        content_length: int | None,
        options: dict[str, str] | None = None,
    ) -> tuple[IO[bytes], MultiDict[str, str], MultiDict[str, FileStorage]]:
        """Return the unread rest, the fields and the files; both empty for a body of another type.

        Raises BadRequest for a broken form, RequestEntityTooLarge over the
        limits of parts or memory, and what writing a file raises.
        """
        del content_length
        if mimetype != MULTIPART:
            return stream, self.cls(), self.cls()
        try:
            with ExitStack() as opened:
                parts = _Parts(self, opened)
                for event in self._events(stream, (options or {}).get("boundary", "")):
                    parts.take(event)
                opened.pop_all()
        except ValueError as exc:
            raise BadRequest("The multipart form cannot be read.") from exc
        return stream, self.cls(parts.fields), self.cls(parts.files)

    def _events(self, stream: IO[bytes], boundary: str) -> Iterator[Event]:
        if not boundary:
            raise ValueError("the form has no boundary")
        decoder = MultipartDecoder(
            boundary.encode("ascii"), self.max_form_memory_size, max_parts=self.max_form_parts
        )
        while not isinstance(event := decoder.next_event(), Epilogue):
            if isinstance(event, NeedData):
                give_way()  # a fast client would never let other requests of this process run
                decoder.receive_data(stream.read(READ_BYTES) or None)
            else:
                yield event


class _Parts:
    """What has been read of a form so far."""

    def __init__(self, reader: FormReader, opened: ExitStack) -> None:
        self.fields: list[tuple[str, str]] = []
        self.files: list[tuple[str, FileStorage]] = []
        self._reader = reader
        self._opened = opened
        self._room_bytes = reader.max_form_memory_size or 0
        self._part: Field | File
        self._content: IO[bytes] | None

    def take(self, event: Event) -> None:
        match event:
            case Field() | File():
                if not event.name:
                    raise ValueError("a part has no name")
                self._part = event
                self._content = self._open(event)
            case Data():
                self._add(event.data)
                if not event.more_data:
                    self._finish()

    def _open(self, part: Field | File) -> IO[bytes] | None:
        if isinstance(part, Field):
            return BytesIO()
        if self.files:
            return None
        content_type = part.headers.get("content-type")
        file = self._reader.stream_factory(None, content_type, part.filename)
        self._opened.callback(file.close)
        return file

    def _add(self, data: bytes) -> None:
        if isinstance(self._part, Field):
            self._room_bytes -= len(data)
            if self._room_bytes < 0:
                raise RequestEntityTooLarge
        if self._content is not None:
            self._content.write(data)

    def _finish(self) -> None:
        part, content = self._part, self._content
        if isinstance(part, Field):
            self.fields.append((part.name, cast("BytesIO", content).getvalue().decode()))
            return
        if content is not None:
            content.seek(0)
        self.files.append((part.name, FileStorage(content, part.filename, part.name, headers=part.headers)))


class HouseRequest(Request):
    """A request whose body is bounded by its route: as a JSON body is, unless the route takes files."""

    form_data_parser_class = FormReader
    is_audio_form = False
    """Whether the file of the form is a recording to be written down, which has a limit of its own."""

    @property
    def max_content_length(self) -> int | None:
        """The most bytes that are read of the body."""
        return self._max_content_length or runtime().limits.max_json_bytes

    @max_content_length.setter
    def max_content_length(self, value: int | None) -> None:
        self._max_content_length = value

    @cached_property
    def stream(self) -> IO[bytes]:
        """The body; reading beyond its limit raises RequestEntityTooLarge, declared or not."""
        limit, length = self.max_content_length, self.content_length
        body = cast("IO[bytes]", SentBody(self.environ["wsgi.input"], self.environ.get("gunicorn.socket")))
        if length is not None and limit is not None:
            if length > limit:
                raise RequestEntityTooLarge
            return cast("IO[bytes]", LimitedStream(body, length))
        if "wsgi.input_terminated" in self.environ and limit is not None:
            return cast("IO[bytes]", UndeclaredBody(body, limit, is_max=True))
        return get_input_stream({**self.environ, "wsgi.input": body}, max_content_length=limit)

    def _get_file_stream(
        self,
        total_content_length: int | None,
        content_type: str | None,
        filename: str | None = None,
        content_length: int | None = None,
    ) -> IO[bytes]:
        """Return where a file of the form goes; its name says how large it may be."""
        del total_content_length, content_type, content_length
        if self.is_audio_form:
            return Spool(speech.MAX_AUDIO_BYTES, AudioTooLarge)
        return Spool(file_kinds.max_bytes(runtime().limits.max_file_bytes, filename or ""))


def takes_files(method: Callable[..., Any]) -> Callable[..., Any]:
    """Let a door method read a form with a file: its body may be as large as the largest kind of file.

    Stands above the guard, which may read the form.
    """

    @wraps(method)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if request.mimetype == MULTIPART:
            request.max_content_length = max(runtime().limits.max_file_bytes.values()) + FORM_BYTES
        return method(*args, **kwargs)

    return wrapper


def takes_audio(method: Callable[..., Any]) -> Callable[..., Any]:
    """Let a door method read a form with a recording, which :func:`sent_audio` returns."""

    @wraps(method)
    def wrapper(self: object, *args: Any, **kwargs: Any) -> Any:
        cast("HouseRequest", request).is_audio_form = True
        return method(self, *args, **kwargs)

    return takes_files(wrapper)


def sent_file(name: str = "file") -> IncomingFile:
    """Return the one file of the form, under ``name`` there; it is gone when the request ends.

    Raises NoFileUploaded, TooManyFiles, Unsupported for a part that names no
    type, MediaTypeUnsupported for a body that is no multipart form.
    """
    part = _sent_part(NoFileUploaded("Please upload your file."), name)
    if not part.content_type:
        raise Unsupported("File type not allowed.")
    return _to_incoming(part)


def sent_audio() -> tuple[IncomingFile, str]:
    """Return the one recording of the form, and the media type its client gives it (may be empty).

    Raises NoAudioUploaded, AudioTooLarge, TooManyFiles, MediaTypeUnsupported.
    """
    part = _sent_part(NoAudioUploaded("Please upload your audio."))
    return _to_incoming(part), part.mimetype


def _sent_part(missing: BadRequest, name: str = "file") -> FileStorage:
    """Return the form's one file; raises ``missing`` where there is none."""
    if request.mimetype not in ("", MULTIPART):
        raise MediaTypeUnsupported(f"The request's Content-Type must be {MULTIPART}.")
    part = request.files.get(name)
    if part is None:
        raise missing
    if sum(map(len, request.files.listvalues())) > 1:
        raise TooManyFiles("Only one file is allowed.")
    return part


def _to_incoming(part: FileStorage) -> IncomingFile:
    spool = cast("Spool", part.stream)
    return IncomingFile(
        name=part.filename or "",
        content=cast("Any", spool),
        size_bytes=spool.size_bytes,
        sha256=spool.sha256.hexdigest(),
    )
