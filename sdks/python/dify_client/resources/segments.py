"""Segments: the pieces of documents that searches find."""

from collections.abc import Mapping, Sequence
from typing import Any

from dify_client.call import Call, get, path_of, post
from dify_client.resources.resource import AnswerT, ContentT, EventsT, Resource


class Segments(Resource[AnswerT, ContentT, EventsT]):
    """The pieces of a document that searches find."""

    def create(self, dataset_id: str, document_id: str, *, segments: Sequence[Mapping[str, Any]]) -> AnswerT:
        """Add some: each has ``content``, and may have ``answer`` and ``keywords``."""
        body = {"segments": [dict(segment) for segment in segments]}
        return self._transport.answer(post(_path(dataset_id, document_id), body))

    def list(
        self,
        dataset_id: str,
        document_id: str,
        *,
        page: int | None = None,
        limit: int | None = None,
        keyword: str | None = None,
    ) -> AnswerT:
        """List them in their order."""
        path = _path(dataset_id, document_id)
        return self._transport.answer(get(path, page=page, limit=limit, keyword=keyword))

    def get(self, dataset_id: str, document_id: str, segment_id: str) -> AnswerT:
        """Get one."""
        return self._transport.answer(get(_path(dataset_id, document_id, segment_id)))

    def update(self, dataset_id: str, document_id: str, segment_id: str, **fields: Any) -> AnswerT:
        """Change what is named."""
        path = _path(dataset_id, document_id, segment_id)
        return self._transport.answer(post(path, {"segment": fields}))

    def delete(self, dataset_id: str, document_id: str, segment_id: str) -> AnswerT:
        """Remove one."""
        path = _path(dataset_id, document_id, segment_id)
        return self._transport.answer(Call(method="DELETE", path=path))


def _path(dataset_id: str, document_id: str, *segment: str) -> str:
    return path_of("datasets", dataset_id, "documents", document_id, "segments", *segment)
