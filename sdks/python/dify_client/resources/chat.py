"""Messages to chat apps, agents and chatflows."""

from collections.abc import Mapping, Sequence
from typing import Any

from dify_client.call import Call, given, path_of, post
from dify_client.resources.resource import AnswerT, ContentT, EventsT, Resource
from dify_client.resources.runs import joining_of_message, reading_of_message

FOLDER = "chat-messages"


class Chat(Resource[AnswerT, ContentT, EventsT]):
    """Messages to chat apps, agents and chatflows."""

    def create(
        self,
        *,
        query: str,
        user: str,
        conversation_id: str | None = None,
        inputs: Mapping[str, Any] | None = None,
        files: Sequence[Mapping[str, Any]] | None = None,
        **more: Any,
    ) -> AnswerT:
        """Send a message and get the whole answer. ``more`` are further fields of the API."""
        return self._transport.answer(
            _message("blocking", query, user, conversation_id, inputs=inputs, files=files, **more)
        )

    def create_stream(
        self,
        *,
        query: str,
        user: str,
        conversation_id: str | None = None,
        inputs: Mapping[str, Any] | None = None,
        files: Sequence[Mapping[str, Any]] | None = None,
        **more: Any,
    ) -> EventsT:
        """Send a message and get the answer as it comes: events up to ``message_end``, then sound."""
        start = _message("streaming", query, user, conversation_id, inputs=inputs, files=files, **more)
        return self._transport.events(reading_of_message(start, FOLDER, user))

    def events(self, task_id: str, *, user: str, after: int | None = None) -> EventsT:
        """Get the events of a run again, from the first on or after the one of a number."""
        return self._transport.events(joining_of_message(FOLDER, task_id, user, after))

    def stop(self, task_id: str, *, user: str) -> AnswerT:
        """End a run of the user; what was answered so far is kept."""
        return self._transport.answer(post(path_of(FOLDER, task_id, "stop"), {"user": user}))


def _message(mode: str, query: str, user: str, conversation_id: str | None, **more: Any) -> Call:
    named = given(conversation_id=conversation_id, **{"inputs": {}, **given(**more)})
    return post(path_of(FOLDER), {"query": query, "user": user, "response_mode": mode, **named})
