"""What all parts of the API share: a transport to send their calls with."""

from typing import Generic, TypeVar

from dify_client.transport import Transport

AnswerT = TypeVar("AnswerT")
ContentT = TypeVar("ContentT")
EventsT = TypeVar("EventsT")


class Resource(Generic[AnswerT, ContentT, EventsT]):
    """One part of the API. Its methods only say what to send, and so serve either client."""

    def __init__(self, transport: Transport[AnswerT, ContentT, EventsT]) -> None:
        self._transport = transport
