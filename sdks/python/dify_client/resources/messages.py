"""Single messages."""

from typing import Literal

from dify_client.call import get, given, path_of, post
from dify_client.resources.resource import AnswerT, ContentT, EventsT, Resource


class Messages(Resource[AnswerT, ContentT, EventsT]):
    """Single messages."""

    def list(
        self, *, conversation_id: str, user: str, first_id: str | None = None, limit: int | None = None
    ) -> AnswerT:
        """List those of a conversation, as ``conversations.messages`` does."""
        query = given(conversation_id=conversation_id, user=user, first_id=first_id, limit=limit)
        return self._transport.answer(get(path_of("messages"), **query))

    def feedback(
        self,
        message_id: str,
        *,
        rating: Literal["like", "dislike"] | None,
        user: str,
        content: str | None = None,
    ) -> AnswerT:
        """Say what the user thinks of an answer; None takes it back."""
        body = {"rating": rating, "user": user, **given(content=content)}
        return self._transport.answer(post(path_of("messages", message_id, "feedbacks"), body))

    def suggested(self, message_id: str, *, user: str) -> AnswerT:
        """Get what the user may want to ask next."""
        return self._transport.answer(get(path_of("messages", message_id, "suggested"), user=user))
