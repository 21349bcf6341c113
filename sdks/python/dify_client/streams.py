"""Runs as they go on, read to their end: for programs that wait, and for those that await."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator
from types import TracebackType
from typing import Self

import httpx

from dify_client.answers import check_is_stream
from dify_client.call import Call
from dify_client.chunk import Chunk
from dify_client.errors import APIConnectionError, APIError
from dify_client.progress import Progress


class Stream:
    """The events of a run, which starts when the first is asked for.

    The run belongs to the server: it goes on when nobody reads any more, until its end or a call of ``stop``.
    """

    def __init__(self, open_call: Callable[[Call], httpx.Response], progress: Progress) -> None:
        self._open = open_call
        self._progress = progress
        self._chunks = self._read()

    def __iter__(self) -> Iterator[Chunk]:
        return self

    def __next__(self) -> Chunk:
        return next(self._chunks)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def task_id(self) -> str:
        """What stops the run; empty before its first event."""
        return self._progress.last.task_id if self._progress.last else ""

    def close(self) -> None:
        """Read no more."""
        self._chunks.close()

    def _read(self) -> Generator[Chunk, None, None]:
        while not self._progress.is_over():
            call = self._progress.next_call()
            try:
                response = self._open(call)
            except (APIConnectionError, APIError) as exc:
                self._progress.refused(exc)
                continue
            try:
                check_is_stream(response)
                for piece in response.iter_bytes():
                    yield from self._progress.feed(piece)
            except httpx.RequestError as exc:
                self._progress.broke(exc)
            finally:
                response.close()


class AsyncStream:
    """The same for ``async for``."""

    def __init__(self, open_call: Callable[[Call], Awaitable[httpx.Response]], progress: Progress) -> None:
        self._open = open_call
        self._progress = progress
        self._chunks = self._read()

    def __aiter__(self) -> AsyncIterator[Chunk]:
        return self

    async def __anext__(self) -> Chunk:
        return await anext(self._chunks)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def task_id(self) -> str:
        """What stops the run; empty before its first event."""
        return self._progress.last.task_id if self._progress.last else ""

    async def close(self) -> None:
        """Read no more."""
        await self._chunks.aclose()

    async def _read(self) -> AsyncGenerator[Chunk, None]:
        while not self._progress.is_over():
            call = self._progress.next_call()
            try:
                response = await self._open(call)
            except (APIConnectionError, APIError) as exc:
                self._progress.refused(exc)
                continue
            try:
                check_is_stream(response)
                async for piece in response.aiter_bytes():
                    for chunk in self._progress.feed(piece):
                        yield chunk
            except httpx.RequestError as exc:
                self._progress.broke(exc)
            finally:
                await response.aclose()
