"""Vectors in a Weaviate server (1.27 or newer), a Weaviate collection each.

The store has no part in the database's transactions: ``unit`` is ignored. The
client library takes seconds to import and is imported with the first call.
What must stay true: no call waits without bound, and what the server says it
could not do is an error, never silence.
"""

import re
import socket
import threading
import uuid
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, cast
from urllib.parse import urlsplit

from gevent import monkey
from sqlalchemy.orm import Session, sessionmaker

from api.core.ports import Offload
from api.core.rag.chunk import Hit, VectorEntry
from api.core.rag.unit_vector import UnitVector, check_dimension, to_unit, to_units
from api.errors import Unavailable
from api.settings import Settings

if TYPE_CHECKING:
    import weaviate
    from weaviate.collections.classes.filters import FilterReturn

T = TypeVar("T")

NAME = re.compile(r"Vectors_[0-9a-f]{32}")
AT_ONCE = 500
MAX_ROUNDS = 1_000
"""Weaviate deletes some 10,000 objects a call."""
CONNECT_TIMEOUT_S = 2.0
QUERY_TIMEOUT_S = 20.0
INSERT_TIMEOUT_S = 60.0
IMPORT_TIMEOUT_S = 120.0


class Backend:
    """Implements VectorStore; connects with the first call, and again after a failure."""

    joins_unit: ClassVar[bool] = False

    def __init__(self, url: str, grpc_port: int, api_key: str | None, offload: Offload) -> None:
        parts = urlsplit(url)
        self._is_secure = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if self._is_secure else 80)
        self._grpc_port = grpc_port
        self._api_key = api_key
        self._offload = offload
        self._lock = threading.Lock()
        self._client: weaviate.WeaviateClient | None = None

    @classmethod
    def from_settings(cls, settings: Settings, *, sessions: sessionmaker[Session], offload: Offload) -> Self:
        """Use the server of WEAVIATE_URL."""
        del sessions  # a server of its own
        key = settings.weaviate_api_key
        return cls(
            settings.weaviate_url,
            settings.weaviate_grpc_port,
            key.get_secret_value() if key is not None else None,
            offload,
        )

    def upsert(self, collection: str, entries: Sequence[VectorEntry], *, unit: object = None) -> None:
        """Store the entries, replacing those of the same id; see VectorStore."""
        del unit
        vectors = to_units(entry.vector for entry in entries)
        if not vectors:
            return
        with self._reach() as client:
            self._make(client, collection, len(vectors[0]))
            data_object = self._library.classes.data.DataObject
            objects = {
                entry.id: data_object(
                    uuid=entry.id,
                    vector=list(vector),
                    properties={"segment_id": entry.segment_id, "document_id": entry.document_id},
                )
                for entry, vector in zip(entries, vectors, strict=True)
            }
            data = client.collections.use(_name(collection)).data
            for some in _slices(list(objects.values()), AT_ONCE):
                refused = data.insert_many(some).errors
                if refused:
                    raise Unavailable(f"Weaviate refused {len(refused)} of {len(some)} vectors; try again.")

    def search(
        self,
        collections: Sequence[str],
        vector: Sequence[float],
        *,
        top_k: int,
        min_score: float = 0.0,
        documents: Collection[str] | None = None,
    ) -> list[Hit]:
        """Return the nearest entries of all the collections together, one call each; see VectorStore."""
        query = to_unit(vector)
        if documents is not None and not documents:
            return []
        hits: list[Hit] = []
        with self._reach() as client:
            for collection in collections:
                hits += self._search(client, collection, query, top_k, documents)
        kept = [hit for hit in hits if hit.score >= min_score]
        return sorted(kept, key=lambda hit: (-hit.score, hit.id))[:top_k]

    def delete(
        self,
        collection: str,
        *,
        ids: Collection[str] | None = None,
        document_id: str | None = None,
        unit: object = None,
    ) -> None:
        """Remove entries by their ids, or all of a document; see VectorStore."""
        del unit
        with self._reach() as client:
            if not client.collections.exists(_name(collection)):
                return
            by = self._library.classes.query.Filter
            for some in _slices(list(ids or ()), AT_ONCE):
                _delete_all(client, collection, by.by_id().contains_any(list(some)))
            if document_id is not None:
                _delete_all(client, collection, by.by_property("document_id").equal(document_id))

    def drop(self, collection: str, *, unit: object = None) -> None:
        """Remove a collection with all it holds; see VectorStore."""
        del unit
        with self._reach() as client:
            client.collections.delete(_name(collection))
            if client.collections.exists(_name(collection)):
                raise Unavailable("Weaviate did not delete a collection; try again.")

    def ids(self, collection: str) -> Iterator[str]:
        """Yield the id of every entry, in any order."""
        with self._reach() as client:
            if not client.collections.exists(_name(collection)):
                return
            objects = client.collections.use(_name(collection)).iterator(
                return_properties=[], cache_size=AT_ONCE
            )
            for found in objects:
                yield str(found.uuid)

    def known(self, collection: str, ids: Collection[str]) -> set[str]:
        """Return those of ``ids`` that have an entry."""
        return {str(found.uuid) for found in self._fetch(collection, ids, has_vector=False)}

    def vectors(self, collection: str, ids: Collection[str]) -> dict[str, Sequence[float]]:
        """Return the stored vectors of those of ``ids`` that are there."""
        return {
            str(found.uuid): cast("list[float]", found.vector["default"])
            for found in self._fetch(collection, ids, has_vector=True)
        }

    def collections(self) -> Iterator[str]:
        """Yield the names of all collections, leaving out those others made."""
        with self._reach() as client:
            names = list(client.collections.list_all())
        return (str(uuid.UUID(name.removeprefix("Vectors_"))) for name in names if NAME.fullmatch(name))

    def close(self) -> None:
        """Give the connection back; the next call makes a new one."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _make(self, client: "weaviate.WeaviateClient", collection: str, dimension: int) -> None:
        """Make the collection unless it is there; by itself Weaviate would make one of other properties."""
        name = _name(collection)
        if not client.collections.exists(name):
            config = self._library.classes.config
            text = {
                "data_type": config.DataType.TEXT,
                "tokenization": config.Tokenization.FIELD,
                "index_searchable": False,
            }
            cosine = config.Configure.VectorIndex.hnsw(distance_metric=config.VectorDistances.COSINE)
            try:
                client.collections.create(
                    name,
                    description=_describe(dimension),
                    properties=[config.Property(name=of, **text) for of in ("segment_id", "document_id")],
                    vector_config=config.Configure.Vectors.self_provided(vector_index_config=cosine),
                )
            except self._library.exceptions.UnexpectedStatusCodeError:
                if not client.collections.exists(name):  # else another process made it just now
                    raise
        _check_described(client, name, dimension)

    def _fetch(self, collection: str, ids: Collection[str], *, has_vector: bool) -> list[Any]:
        """Return those of some objects that are there, some hundred a call."""
        found: list[Any] = []
        with self._reach() as client:
            if not client.collections.exists(_name(collection)):
                return found
            by_id = self._library.classes.query.Filter.by_id()
            query = client.collections.use(_name(collection)).query
            for some in _slices(list(ids), AT_ONCE):
                answer = query.fetch_objects(
                    filters=by_id.contains_any(list(some)),
                    limit=len(some),
                    include_vector=has_vector,
                    return_properties=[],
                )
                found += answer.objects
        return found

    def _search(
        self,
        client: "weaviate.WeaviateClient",
        collection: str,
        query: UnitVector,
        top_k: int,
        documents: Collection[str] | None,
    ) -> list[Hit]:
        of = self._library.classes.query
        only = of.Filter.by_property("document_id").contains_any(list(documents)) if documents else None
        try:
            answer = client.collections.use(_name(collection)).query.near_vector(
                list(query),
                limit=top_k,
                filters=only,
                return_metadata=of.MetadataQuery(distance=True),
                return_properties=["segment_id", "document_id"],
            )
        except self._library.exceptions.WeaviateQueryError:
            if not client.collections.exists(_name(collection)):
                return []
            _check_described(client, _name(collection), len(query))
            raise
        return [
            Hit(
                collection=collection,
                id=str(found.uuid),
                segment_id=str(found.properties["segment_id"]),
                document_id=str(found.properties["document_id"]),
                score=min(1.0, max(0.0, 1.0 - (found.metadata.distance or 0.0))),
            )
            for found in answer.objects
        ]

    @contextmanager
    def _reach(self) -> Iterator["weaviate.WeaviateClient"]:
        """Yield a client; what goes wrong with it is Unavailable."""
        library = self._library
        try:
            self._knock()
            yield self._connected()
        except (library.exceptions.WeaviateBaseError, OSError) as error:
            raise Unavailable(
                "Weaviate, the store of vectors, is not available; try again shortly."
            ) from error

    def _knock(self) -> None:
        """Raise OSError where nothing listens: the library would try again for a minute."""
        for port in (self._port, self._grpc_port):
            socket.create_connection((self._host, port), timeout=CONNECT_TIMEOUT_S).close()

    def _connected(self) -> "weaviate.WeaviateClient":
        with self._lock:
            if self._client is None:
                init = self._library.classes.init
                self._client = self._library.connect_to_custom(
                    http_host=self._host,
                    http_port=self._port,
                    http_secure=self._is_secure,
                    grpc_host=self._host,
                    grpc_port=self._grpc_port,
                    grpc_secure=self._is_secure,
                    auth_credentials=init.Auth.api_key(self._api_key) if self._api_key else None,
                    additional_config=init.AdditionalConfig(
                        timeout=init.Timeout(
                            init=CONNECT_TIMEOUT_S, query=QUERY_TIMEOUT_S, insert=INSERT_TIMEOUT_S
                        )
                    ),
                    skip_init_checks=True,  # they ask the package index for a newer client
                )
            return self._client

    @cached_property
    def _library(self) -> Any:
        _prepare_grpc()
        return self._offload.call(import_module, "weaviate", timeout_s=IMPORT_TIMEOUT_S)


@cache
def _prepare_grpc() -> None:
    """Have gRPC's waits let other greenlets run, where the process is patched; else each would block all."""
    if monkey.is_module_patched("socket"):
        from grpc.experimental import gevent  # heavy, and only of use with this store

        gevent.init_gevent()


def _delete_all(client: "weaviate.WeaviateClient", collection: str, where: "FilterReturn") -> None:
    """Delete what matches until nothing does."""
    data = client.collections.use(_name(collection)).data
    for _ in range(MAX_ROUNDS):
        done = data.delete_many(where=where)
        if done.failed:
            raise Unavailable(
                f"Weaviate could not delete {done.failed} of {done.matches} vectors; try again."
            )
        if done.matches == 0:
            return
    raise Unavailable("Weaviate still has vectors that it says it deleted; try again.")


def _check_described(client: "weaviate.WeaviateClient", name: str, dimension: int) -> None:
    """Raise InvalidRequest where the collection was made for vectors of another dimension."""
    described = client.collections.use(name).config.get(simple=True).description or ""
    check_dimension(dimension, int(described.partition(" ")[0]))


def _describe(dimension: int) -> str:
    return f"{dimension} dimensions"


def _name(collection: str) -> str:
    """Return the name Weaviate has for a collection; raises ValueError for what is no UUID."""
    return f"Vectors_{uuid.UUID(collection).hex}"


def _slices(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))
