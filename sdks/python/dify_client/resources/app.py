"""What an app tells of itself."""

from dify_client.call import get, path_of
from dify_client.resources.resource import AnswerT, ContentT, EventsT, Resource


class App(Resource[AnswerT, ContentT, EventsT]):
    """What an app tells of itself."""

    def info(self) -> AnswerT:
        """Get its name, description, mode and tags."""
        return self._transport.answer(get(path_of("info")))

    def parameters(self) -> AnswerT:
        """Get its form, its features and the limits of uploads."""
        return self._transport.answer(get(path_of("parameters")))

    def meta(self) -> AnswerT:
        """Get the icons of its tools."""
        return self._transport.answer(get(path_of("meta")))

    def site(self) -> AnswerT:
        """Get how it presents itself."""
        return self._transport.answer(get(path_of("site")))
