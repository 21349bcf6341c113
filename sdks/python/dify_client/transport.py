"""The only place that differs between waiting and awaiting: sending a call, again where that is right."""

import asyncio
import time
from typing import Protocol, TypeVar

import httpx

from dify_client.answers import to_json
from dify_client.call import JSON, Call
from dify_client.options import Options
from dify_client.progress import Progress, Reading
from dify_client.retries import Tries
from dify_client.streams import AsyncStream, Stream

AnswerT_co = TypeVar("AnswerT_co", covariant=True)
ContentT_co = TypeVar("ContentT_co", covariant=True)
EventsT_co = TypeVar("EventsT_co", covariant=True)


class Transport(Protocol[AnswerT_co, ContentT_co, EventsT_co]):
    """Sends calls. What it gives is the thing itself, or something to await it with."""

    def answer(self, call: Call) -> AnswerT_co:
        """Give the JSON object that a call is answered with; raises DifyError."""

    def content(self, call: Call) -> ContentT_co:
        """Give the bytes that a call is answered with; raises DifyError."""

    def events(self, reading: Reading) -> EventsT_co:
        """Give the events of a run, which is asked for with the first of them."""


class WaitingTransport:
    """Implements Transport for programs that wait."""

    def __init__(self, options: Options, http: httpx.Client) -> None:
        self._options = options
        self._http = http

    def answer(self, call: Call) -> JSON:
        return to_json(self._send(call))

    def content(self, call: Call) -> bytes:
        return self._send(call).content

    def events(self, reading: Reading) -> Stream:
        return Stream(self._send, Progress(reading, self._options.max_resumes))

    def _send(self, call: Call) -> httpx.Response:
        tries = Tries(self._options.retries)
        while True:
            try:
                request = self._options.request(self._http, call)
                response = self._http.send(request, stream=call.is_stream)
                if response.is_success:
                    return response
                response.read()
                wait_s = tries.after_answer(response)
            except httpx.RequestError as exc:
                wait_s = tries.after_failure(exc)
            time.sleep(wait_s)


class AwaitedTransport:
    """Implements Transport for programs that await."""

    def __init__(self, options: Options, http: httpx.AsyncClient) -> None:
        self._options = options
        self._http = http

    async def answer(self, call: Call) -> JSON:
        return to_json(await self._send(call))

    async def content(self, call: Call) -> bytes:
        return (await self._send(call)).content

    def events(self, reading: Reading) -> AsyncStream:
        return AsyncStream(self._send, Progress(reading, self._options.max_resumes))

    async def _send(self, call: Call) -> httpx.Response:
        tries = Tries(self._options.retries)
        while True:
            try:
                request = self._options.request(self._http, call)
                response = await self._http.send(request, stream=call.is_stream)
                if response.is_success:
                    return response
                await response.aread()
                wait_s = tries.after_answer(response)
            except httpx.RequestError as exc:
                wait_s = tries.after_failure(exc)
            await asyncio.sleep(wait_s)
