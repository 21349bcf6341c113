"""The two clients: the same API, waited for or awaited."""

from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, Unpack

import httpx

from dify_client.call import JSON
from dify_client.options import Options, Tuning
from dify_client.resources.app import App
from dify_client.resources.audio import Audio
from dify_client.resources.chat import Chat
from dify_client.resources.completion import Completion
from dify_client.resources.conversations import Conversations
from dify_client.resources.datasets import Datasets
from dify_client.resources.files import Files
from dify_client.resources.messages import Messages
from dify_client.resources.workflows import Workflows
from dify_client.streams import AsyncStream, Stream
from dify_client.transport import AwaitedTransport, Transport, WaitingTransport

AnswerT = TypeVar("AnswerT")
ContentT = TypeVar("ContentT")
EventsT = TypeVar("EventsT")


class API(Generic[AnswerT, ContentT, EventsT]):
    """Everything there is to call, by what it is about."""

    def __init__(self, transport: Transport[AnswerT, ContentT, EventsT]) -> None:
        self.app = App(transport)
        self.audio = Audio(transport)
        self.chat = Chat(transport)
        self.completion = Completion(transport)
        self.conversations = Conversations(transport)
        self.datasets = Datasets(transport)
        self.files = Files(transport)
        self.messages = Messages(transport)
        self.workflows = Workflows(transport)


class Client(API[JSON, bytes, Stream]):
    """Calls the API and waits. Good for many threads; close it, or use it in ``with``.

    Without a ``base_url`` the environment's DIFY_BASE_URL counts, else a server on this machine. An
    ``http_client`` that is given (for proxies, certificates) stays the caller's to close.
    """

    def __init__(
        self,
        api_key: str,
        base_url: str | None = None,
        *,
        http_client: httpx.Client | None = None,
        **tuning: Unpack[Tuning],
    ) -> None:
        options = Options.of(api_key, base_url, tuning)
        self._http = http_client or httpx.Client()
        self._is_ours = http_client is None
        super().__init__(WaitingTransport(options, self._http))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        if self._is_ours:
            self._http.close()


class AsyncClient(API[Coroutine[Any, Any, JSON], Coroutine[Any, Any, bytes], AsyncStream]):
    """Calls the API and is awaited; otherwise as ``Client``."""

    def __init__(
        self,
        api_key: str,
        base_url: str | None = None,
        *,
        http_client: httpx.AsyncClient | None = None,
        **tuning: Unpack[Tuning],
    ) -> None:
        options = Options.of(api_key, base_url, tuning)
        self._http = http_client or httpx.AsyncClient()
        self._is_ours = http_client is None
        super().__init__(AwaitedTransport(options, self._http))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        if self._is_ours:
            await self._http.aclose()
