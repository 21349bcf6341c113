"""Files of end users."""

from pathlib import Path
from typing import BinaryIO

from dify_client.call import get, path_of, post_file
from dify_client.resources.resource import AnswerT, ContentT, EventsT, Resource

Source = bytes | str | Path | BinaryIO
"""A file's content, its path, or the file itself, open for reading bytes."""


class Files(Resource[AnswerT, ContentT, EventsT]):
    """Files of end users."""

    def upload(self, file: Source, *, user: str, name: str | None = None) -> AnswerT:
        """Keep a file for messages to name. Content without a path needs a ``name``, which tells the kind."""
        return self._transport.answer(post_file(path_of("files", "upload"), to_part(file, name), user=user))

    def preview(self, file_id: str, *, user: str, as_attachment: bool = False) -> ContentT:
        """Get the content of a file of the user."""
        query = {"user": user, "as_attachment": "true" if as_attachment else None}
        return self._transport.content(get(path_of("files", file_id, "preview"), **query))


def to_part(file: Source, name: str | None) -> tuple[str, bytes]:
    """Return name and content, read whole so that it can be sent again; raises ValueError without a name."""
    if isinstance(file, str | Path):
        return name or Path(file).name, Path(file).read_bytes()
    if isinstance(file, bytes):
        known, content = "", file
    else:
        known, content = Path(str(getattr(file, "name", ""))).name, file.read()
    if not (name or known):
        raise ValueError("a file without a path needs a name")
    return name or known, content
