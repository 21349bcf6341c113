"""Texts of completion apps."""

from collections.abc import Mapping, Sequence
from typing import Any

from dify_client.call import Call, given, path_of, post
from dify_client.resources.resource import AnswerT, ContentT, EventsT, Resource
from dify_client.resources.runs import joining_of_message, reading_of_message

FOLDER = "completion-messages"


class Completion(Resource[AnswerT, ContentT, EventsT]):
    """Texts of completion apps."""

    def create(
        self,
        *,
        user: str,
        inputs: Mapping[str, Any] | None = None,
        query: str | None = None,
        files: Sequence[Mapping[str, Any]] | None = None,
        **more: Any,
    ) -> AnswerT:
        """Fill the app's template and get the whole text. ``more`` are further fields of the API."""
        return self._transport.answer(
            _message("blocking", user, inputs=inputs, query=query, files=files, **more)
        )

    def create_stream(
        self,
        *,
        user: str,
        inputs: Mapping[str, Any] | None = None,
        query: str | None = None,
        files: Sequence[Mapping[str, Any]] | None = None,
        **more: Any,
    ) -> EventsT:
        """Fill the app's template and get the text as it comes: events up to ``message_end``, then sound."""
        start = _message("streaming", user, inputs=inputs, query=query, files=files, **more)
        return self._transport.events(reading_of_message(start, FOLDER, user))

    def events(self, task_id: str, *, user: str, after: int | None = None) -> EventsT:
        """Get the events of a run again, from the first on or after the one of a number."""
        return self._transport.events(joining_of_message(FOLDER, task_id, user, after))

    def stop(self, task_id: str, *, user: str) -> AnswerT:
        """End a run of the user; what was answered so far is kept."""
        return self._transport.answer(post(path_of(FOLDER, task_id, "stop"), {"user": user}))


def _message(mode: str, user: str, **more: Any) -> Call:
    return post(path_of(FOLDER), {"user": user, "response_mode": mode, "inputs": {}, **given(**more)})
