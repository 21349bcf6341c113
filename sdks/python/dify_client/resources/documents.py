"""Documents of datasets."""

import json
from collections.abc import Sequence
from typing import Any, Literal

from dify_client.call import Call, get, path_of, post, post_file
from dify_client.resources.files import Source, to_part
from dify_client.resources.resource import AnswerT, ContentT, EventsT, Resource


class Documents(Resource[AnswerT, ContentT, EventsT]):
    """Documents of a dataset. Fields not named here are taken as the API has them."""

    def create_by_text(self, dataset_id: str, *, name: str, text: str, **fields: Any) -> AnswerT:
        """Add a text: ``{"document": …, "batch": …}``."""
        path = path_of("datasets", dataset_id, "document", "create-by-text")
        return self._transport.answer(post(path, {"name": name, "text": text, **fields}))

    def create_by_file(
        self, dataset_id: str, file: Source, *, file_name: str | None = None, **fields: Any
    ) -> AnswerT:
        """Add a file: ``{"document": …, "batch": …}``."""
        path = path_of("datasets", dataset_id, "document", "create-by-file")
        return self._transport.answer(post_file(path, to_part(file, file_name), data=json.dumps(fields)))

    def update_by_text(
        self, dataset_id: str, document_id: str, *, name: str, text: str, **fields: Any
    ) -> AnswerT:
        """Replace the text; the document keeps its id."""
        path = path_of("datasets", dataset_id, "documents", document_id, "update-by-text")
        return self._transport.answer(post(path, {"name": name, "text": text, **fields}))

    def update_by_file(
        self,
        dataset_id: str,
        document_id: str,
        file: Source,
        *,
        file_name: str | None = None,
        **fields: Any,
    ) -> AnswerT:
        """Replace the file; the document keeps its id."""
        path = path_of("datasets", dataset_id, "documents", document_id, "update-by-file")
        return self._transport.answer(post_file(path, to_part(file, file_name), data=json.dumps(fields)))

    def list(
        self,
        dataset_id: str,
        *,
        page: int | None = None,
        limit: int | None = None,
        keyword: str | None = None,
        **more: Any,
    ) -> AnswerT:
        """List them."""
        path = path_of("datasets", dataset_id, "documents")
        return self._transport.answer(get(path, page=page, limit=limit, keyword=keyword, **more))

    def get(self, dataset_id: str, document_id: str) -> AnswerT:
        """Get one in detail."""
        return self._transport.answer(get(path_of("datasets", dataset_id, "documents", document_id)))

    def indexing_status(self, dataset_id: str, batch: str) -> AnswerT:
        """Get how far the documents of a batch are."""
        return self._transport.answer(
            get(path_of("datasets", dataset_id, "documents", batch, "indexing-status"))
        )

    def set_status(
        self,
        dataset_id: str,
        action: Literal["enable", "disable", "archive", "un_archive"],
        *,
        document_ids: Sequence[str],
    ) -> AnswerT:
        """Switch documents on or off, or put them away."""
        path = path_of("datasets", dataset_id, "documents", "status", action)
        body = {"document_ids": [*document_ids]}
        return self._transport.answer(Call(method="PATCH", path=path, body=body))

    def delete(self, dataset_id: str, document_id: str) -> AnswerT:
        """Remove one."""
        path = path_of("datasets", dataset_id, "documents", document_id)
        return self._transport.answer(Call(method="DELETE", path=path))
