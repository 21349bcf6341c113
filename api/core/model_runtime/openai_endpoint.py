"""Calls a server that speaks the OpenAI wire, or one of its kind, without an SDK."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from api.core.http import Cancelled, HTTPClient
from api.core.model_runtime.openai_protocol import MAX_EMBEDDINGS_BYTES, read_chat, read_embeddings
from api.core.model_runtime.openai_speech import (
    MAX_TRANSCRIPTION_BYTES,
    read_transcription,
    transcription_form,
)
from api.core.model_runtime.rerank_protocol import read_rerank
from api.core.model_runtime.types import Audio, ChatChunk, Embeddings, Ranking, Transcript
from api.core.model_runtime.upstream import (
    CHECK_TOTAL_S,
    MAX_ERROR_BYTES,
    credentials_check,
    to_refused,
    upstream,
)
from api.core.ports import Cancel, JSONObject


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAIEndpoint:
    """Where a vendor listens and what proves who calls. ``secrets`` are kept out of its error texts."""

    http: HTTPClient
    headers: Mapping[str, str] = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)

    def chat(self, url: str, body: JSONObject, cancel: Cancel, *, joins: bool = False) -> Iterator[ChatChunk]:
        """Yield the answer to a chat body; ends early and quietly when ``cancel`` is set.

        With ``joins`` what comes together is yielded as one chunk.
        """
        with (
            contextlib.suppress(Cancelled),
            upstream(self.secrets),
            self.http.stream("POST", url, headers=self.headers, json=body, cancel=cancel) as response,
        ):
            if response.status != 200:
                content = response.read_start(MAX_ERROR_BYTES)
                raise to_refused(response.status, response.headers, content)
            yield from read_chat(response.iter_line_groups(), joins=joins)

    def embed(self, url: str, body: JSONObject, count: int, cancel: Cancel) -> Embeddings:
        """Return the ``count`` vectors an embedding body asks for."""
        return read_embeddings(self.post(url, body, cancel), count)

    def rerank(self, url: str, body: JSONObject, count: int, cancel: Cancel) -> Ranking:
        """Return how the ``count`` texts of a rerank body answer its query."""
        return read_rerank(self.post(url, body, cancel), count)

    def transcribe(self, url: str, model: str, audio: Audio, cancel: Cancel) -> Transcript:
        """Return what is said in a recording."""
        content, kind = transcription_form(model, audio)
        headers = {**self.headers, "content-type": kind}
        with upstream(self.secrets):
            reply = self.http.request(
                "POST",
                url,
                headers=headers,
                content=content,
                cancel=cancel,
                max_bytes=MAX_TRANSCRIPTION_BYTES,
            )
            if reply.status != 200:
                raise to_refused(reply.status, reply.headers, reply.content)
        return read_transcription(reply.content)

    def speak(self, url: str, body: JSONObject, cancel: Cancel) -> Iterator[bytes]:
        """Yield the sound a speech body asks for, as it comes."""
        with (
            upstream(self.secrets),
            self.http.stream("POST", url, headers=self.headers, json=body, cancel=cancel) as response,
        ):
            if response.status != 200:
                content = response.read_start(MAX_ERROR_BYTES)
                raise to_refused(response.status, response.headers, content)
            yield from response.iter_bytes()

    def post(self, url: str, body: JSONObject, cancel: Cancel) -> bytes:
        """Return what a body is answered with, of the size of embeddings at most."""
        with upstream(self.secrets):
            reply = self.http.request(
                "POST", url, headers=self.headers, json=body, cancel=cancel, max_bytes=MAX_EMBEDDINGS_BYTES
            )
            if reply.status != 200:
                raise to_refused(reply.status, reply.headers, reply.content)
        return reply.content

    def check(self, url: str, *, accepted: frozenset[int] = frozenset({200})) -> None:
        """Prove the credentials by a call that must be answered with an ``accepted`` status."""
        cancel = Cancel(CHECK_TOTAL_S)
        with (
            credentials_check(),
            upstream(self.secrets),
            self.http.stream("GET", url, headers=self.headers, cancel=cancel) as response,
        ):
            if response.status not in accepted:
                content = response.read_start(MAX_ERROR_BYTES)
                raise to_refused(response.status, response.headers, content)
