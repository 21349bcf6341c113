"""Conversations of an end user."""

from typing import Any

from dify_client.call import Call, get, given, path_of, post
from dify_client.resources.resource import AnswerT, ContentT, EventsT, Resource

FOLDER = "conversations"


class Conversations(Resource[AnswerT, ContentT, EventsT]):
    """Conversations of an end user."""

    def list(
        self,
        *,
        user: str,
        last_id: str | None = None,
        limit: int | None = None,
        sort_by: str | None = None,
    ) -> AnswerT:
        """List them, those changed last first; the page after ``last_id``."""
        query = given(user=user, last_id=last_id, limit=limit, sort_by=sort_by)
        return self._transport.answer(get(path_of(FOLDER), **query))

    def messages(
        self, conversation_id: str, *, user: str, first_id: str | None = None, limit: int | None = None
    ) -> AnswerT:
        """List the messages, latest page first, oldest first within a page; the page before ``first_id``."""
        path = path_of(FOLDER, conversation_id, "messages")
        return self._transport.answer(get(path, user=user, first_id=first_id, limit=limit))

    def rename(
        self,
        conversation_id: str,
        *,
        user: str,
        name: str | None = None,
        auto_generate: bool | None = None,
    ) -> AnswerT:
        """Give it a name, or have the app's model find one."""
        body = given(user=user, name=name, auto_generate=auto_generate)
        return self._transport.answer(post(path_of(FOLDER, conversation_id, "name"), body))

    def delete(self, conversation_id: str, *, user: str) -> AnswerT:
        """Remove it with its messages."""
        path = path_of(FOLDER, conversation_id)
        return self._transport.answer(Call(method="DELETE", path=path, body={"user": user}))

    def variables(
        self,
        conversation_id: str,
        *,
        user: str,
        variable_name: str | None = None,
        last_id: str | None = None,
        limit: int | None = None,
    ) -> AnswerT:
        """List what a chatflow keeps with the conversation."""
        query = given(user=user, variable_name=variable_name, last_id=last_id, limit=limit)
        return self._transport.answer(get(path_of(FOLDER, conversation_id, "variables"), **query))

    def set_variable(self, conversation_id: str, variable_id: str, *, value: Any, user: str) -> AnswerT:
        """Set a variable for the conversation's next message."""
        path = path_of(FOLDER, conversation_id, "variables", variable_id)
        return self._transport.answer(Call(method="PUT", path=path, body={"value": value, "user": user}))
