"""Knowledge: datasets, their documents, the segments of these. Needs a dataset key."""

from typing import Any

from dify_client.call import Call, get, given, path_of, post
from dify_client.resources.documents import Documents
from dify_client.resources.resource import AnswerT, ContentT, EventsT, Resource
from dify_client.resources.segments import Segments
from dify_client.transport import Transport

FOLDER = "datasets"


class Datasets(Resource[AnswerT, ContentT, EventsT]):
    """Datasets, with ``documents`` and ``segments``. Fields not named here are taken as the API has them."""

    def __init__(self, transport: Transport[AnswerT, ContentT, EventsT]) -> None:
        super().__init__(transport)
        self.documents = Documents(transport)
        self.segments = Segments(transport)

    def list(
        self, *, page: int | None = None, limit: int | None = None, keyword: str | None = None, **more: Any
    ) -> AnswerT:
        """List them, newest first."""
        return self._transport.answer(get(path_of(FOLDER), page=page, limit=limit, keyword=keyword, **more))

    def create(self, *, name: str, **fields: Any) -> AnswerT:
        """Make an empty one."""
        return self._transport.answer(post(path_of(FOLDER), {"name": name, **fields}))

    def get(self, dataset_id: str) -> AnswerT:
        """Get one."""
        return self._transport.answer(get(path_of(FOLDER, dataset_id)))

    def update(self, dataset_id: str, **fields: Any) -> AnswerT:
        """Change what is named; None is a value too."""
        return self._transport.answer(Call(method="PATCH", path=path_of(FOLDER, dataset_id), body=fields))

    def delete(self, dataset_id: str) -> AnswerT:
        """Remove it with its documents."""
        return self._transport.answer(Call(method="DELETE", path=path_of(FOLDER, dataset_id)))

    def retrieve(
        self, dataset_id: str, *, query: str, retrieval_model: dict[str, Any] | None = None
    ) -> AnswerT:
        """Search it."""
        body = given(query=query, retrieval_model=retrieval_model)
        return self._transport.answer(post(path_of(FOLDER, dataset_id, "retrieve"), body))
