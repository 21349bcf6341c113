"""Speech."""

from dify_client.call import given, path_of, post, post_file
from dify_client.resources.files import Source, to_part
from dify_client.resources.resource import AnswerT, ContentT, EventsT, Resource


class Audio(Resource[AnswerT, ContentT, EventsT]):
    """Speech."""

    def to_text(self, file: Source, *, user: str | None = None, name: str | None = None) -> AnswerT:
        """Write down a recording: ``{"text": …}``."""
        return self._transport.answer(post_file(path_of("audio-to-text"), to_part(file, name), user=user))

    def speak(
        self,
        *,
        user: str,
        text: str | None = None,
        message_id: str | None = None,
        voice: str | None = None,
    ) -> ContentT:
        """Read a text, or the answer of a message, aloud: MP3."""
        body = given(user=user, text=text, message_id=message_id, voice=voice)
        return self._transport.content(post(path_of("text-to-audio"), body))
