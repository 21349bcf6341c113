"""Both Python clients behind one face, so that each test says once what holds for either."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
from flask import Flask

from dify_client import AsyncClient, Chunk, Client


class Twin:
    """A client that waits."""

    def __init__(
        self, key: str, url: str, transport: Callable[[], httpx.BaseTransport] | None = None, **tuning: Any
    ) -> None:
        self._key, self._url, self._transport = key, url, transport
        self._tuning = {"backoff_s": 0.0, **tuning}

    def ask(self, call: Callable[[Any], Any]) -> Any:
        """Return what a call is answered with."""
        with httpx.Client(transport=self._transport and self._transport(), trust_env=False) as http:
            return call(Client(self._key, self._url, http_client=http, **self._tuning))

    def read(self, call: Callable[[Any], Any], *, limit: int | None = None) -> list[Chunk]:
        """Return the events of a run, of which no more than ``limit`` are read."""
        chunks: list[Chunk] = []
        with httpx.Client(transport=self._transport and self._transport(), trust_env=False) as http:
            client = Client(self._key, self._url, http_client=http, **self._tuning)
            with call(client) as stream:
                for chunk in stream:
                    chunks.append(chunk)
                    if len(chunks) == limit:
                        break
                assert stream.task_id == chunks[-1].task_id
        return chunks


class AwaitedTwin(Twin):
    """A client that is awaited."""

    def ask(self, call: Callable[[Any], Any]) -> Any:
        async def awaited() -> Any:
            async with self._http() as http:
                return await call(AsyncClient(self._key, self._url, http_client=http, **self._tuning))

        return asyncio.run(awaited())

    def read(self, call: Callable[[Any], Any], *, limit: int | None = None) -> list[Chunk]:
        async def awaited() -> list[Chunk]:
            chunks: list[Chunk] = []
            async with self._http() as http:
                client = AsyncClient(self._key, self._url, http_client=http, **self._tuning)
                async with call(client) as stream:
                    async for chunk in stream:
                        chunks.append(chunk)
                        if len(chunks) == limit:
                            break
                    assert stream.task_id == chunks[-1].task_id
            return chunks

        return asyncio.run(awaited())

    def _http(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=self._transport and Awaited(self._transport()), trust_env=False)


TWINS = {"waits": Twin, "awaits": AwaitedTwin}


class Awaited(httpx.AsyncBaseTransport):
    """A transport that waits, for a client that awaits."""

    def __init__(self, transport: httpx.BaseTransport) -> None:
        self._transport = transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        content = await request.aread()
        plain = httpx.Request(request.method, request.url, headers=request.headers, content=content)
        answer = self._transport.handle_request(plain)
        assert isinstance(answer.stream, httpx.SyncByteStream)
        return httpx.Response(answer.status_code, headers=answer.headers, stream=Pieces(answer.stream))


class Pieces(httpx.AsyncByteStream):
    """What such a transport answers with."""

    def __init__(self, stream: httpx.SyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._stream:
            yield piece

    async def aclose(self) -> None:
        self._stream.close()


class Cut(httpx.SyncByteStream):
    """An answer whose connection breaks after some bytes."""

    def __init__(self, stream: httpx.SyncByteStream, after_bytes: int) -> None:
        self._stream, self._left = stream, after_bytes

    def __iter__(self) -> Any:
        for piece in self._stream:
            yield piece[: self._left]
            self._left -= len(piece)
            if self._left <= 0:
                break
        raise httpx.ReadError("the connection broke")

    def close(self) -> None:
        self._stream.close()


class Program(httpx.WSGITransport):
    """The program, reached without a socket; the first answers break after as many bytes as ``cuts`` says."""

    def __init__(self, program: Flask, *cuts: int) -> None:
        super().__init__(app=program)
        self._cuts = list(cuts)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = super().handle_request(request)
        if self._cuts:
            assert isinstance(answer.stream, httpx.SyncByteStream)
            answer.stream = Cut(answer.stream, self._cuts.pop(0))
        return answer
