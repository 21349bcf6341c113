"""A Weaviate to test against where none runs: its HTTP and gRPC, storing and searching for real.

Started as ``python -m tests.weaviate_double HTTP_PORT GRPC_PORT`` (0: any free
one): prints its ports and serves until its standard input ends. Knows what the client sends for
what we use, refuses the rest, and answers errors with the real server's words.
"""

import json
import re
import sys
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
import numpy as np
from weaviate.proto.v1 import (
    base_pb2,
    batch_delete_pb2,
    batch_pb2,
    properties_pb2,
    search_get_pb2,
    weaviate_pb2_grpc,
)

from tests.vectors import UNDELETABLE

MAX_DELETES = 700
"""Few, so that one call does not delete all."""
HNSW = {
    "cleanupIntervalSeconds": 300,
    "dynamicEfFactor": 8,
    "dynamicEfMax": 500,
    "dynamicEfMin": 100,
    "ef": -1,
    "efConstruction": 128,
    "flatSearchCutoff": 40_000,
    "maxConnections": 32,
    "skip": False,
    "vectorCacheMaxObjects": 1_000_000_000_000,
}
"""What the server adds to the index of a collection."""
SCHEMA = re.compile(r"/v1/schema(?:/(\w+))?")


@dataclass(frozen=True)
class Stored:
    """An object with its properties and its vector, as bytes."""

    properties: dict[str, str]
    vector: bytes


@dataclass
class Weaviate:
    """The collections: their schemas as they were posted, and their objects by id."""

    schemas: dict[str, dict[str, Any]] = field(default_factory=dict)
    objects: dict[str, dict[str, Stored]] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)


class Schemas(BaseHTTPRequestHandler):
    """HTTP: the meta page and the schema."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    weaviate: Weaviate

    def do_GET(self) -> None:
        if self.path == "/v1/meta":
            self._answer(200, {"version": "1.33.0", "hostname": "http://double", "modules": {}})
            return
        name = self._collection()
        with self.weaviate.lock:
            if name is None:
                self._answer(200, {"classes": list(self.weaviate.schemas.values())})
            elif name in self.weaviate.schemas:
                self._answer(200, self.weaviate.schemas[name])
            else:
                self._answer(404, None)

    def do_POST(self) -> None:
        schema = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = schema["class"]
        with self.weaviate.lock:
            if name in self.weaviate.schemas:
                self._answer(422, {"error": [{"message": f"class name {name} already exists"}]})
                return
            for given in schema["properties"]:
                given.setdefault("indexFilterable", True)
                given.setdefault("indexSearchable", True)
            for config in schema["vectorConfig"].values():
                config["vectorIndexConfig"] = HNSW | config["vectorIndexConfig"]
            self.weaviate.schemas[name] = schema
            self.weaviate.objects[name] = {}
            self._answer(200, schema)

    def do_DELETE(self) -> None:
        with self.weaviate.lock:
            self.weaviate.schemas.pop(self._collection() or "", None)
            self.weaviate.objects.pop(self._collection() or "", None)
        self._answer(200, None)

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def _collection(self) -> str | None:
        matched = SCHEMA.fullmatch(self.path)
        assert matched is not None, self.path
        return matched[1]

    def _answer(self, status: int, body: object) -> None:
        sent = json.dumps(body).encode() if body is not None else b""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)


class Objects(weaviate_pb2_grpc.WeaviateServicer):
    """gRPC: objects in, out and searched."""

    def __init__(self, weaviate: Weaviate) -> None:
        self._weaviate = weaviate

    def BatchObjects(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        reply = batch_pb2.BatchObjectsReply(took=0.001)
        with self._weaviate.lock:
            for index, sent in enumerate(request.objects):
                error = self._store(sent)
                if error:
                    reply.errors.append(batch_pb2.BatchObjectsReply.BatchError(index=index, error=error))
        return reply

    def BatchDelete(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        with self._weaviate.lock:
            objects = self._objects(request.collection, context)
            matched = list(_matching(objects, request.filters))[:MAX_DELETES]
            deleted = [name for name in matched if objects[name].properties["document_id"] != UNDELETABLE]
            for name in deleted:
                del objects[name]
        return batch_delete_pb2.BatchDeleteReply(
            took=0.001, matches=len(matched), successful=len(deleted), failed=len(matched) - len(deleted)
        )

    def Search(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        with self._weaviate.lock:
            objects = dict(self._objects(request.collection, context))
        names = sorted(_matching(objects, request.filters if request.HasField("filters") else None))
        distances: dict[str, float] = {}
        if request.HasField("near_vector"):
            distances = _distances(objects, names, _vector_of(request.near_vector), context)
            names.sort(key=distances.__getitem__)
        if request.after:
            names = [name for name in names if name > request.after]
        return search_get_pb2.SearchReply(
            took=0.001,
            results=[
                _to_result(name, objects[name], distances.get(name), request)
                for name in names[: request.limit]
            ],
        )

    def _store(self, sent: Any) -> str:
        """Store one object; return what is wrong with it, if something is."""
        objects = self._weaviate.objects.get(sent.collection)
        if objects is None:
            return f"class {sent.collection} not found in schema"
        vector = _vector_of(sent)
        other = next(iter(objects.values()), None)
        if other is not None and len(other.vector) != len(vector):
            wanted, given = len(other.vector) // 4, len(vector) // 4
            return (
                f"new node has a vector with length {given}. Existing nodes have vectors with length {wanted}"
            )
        properties = {name: str(value) for name, value in sent.properties.non_ref_properties.items()}
        objects[str(uuid.UUID(sent.uuid))] = Stored(properties, vector)
        return ""

    def _objects(self, collection: str, context: Any) -> dict[str, Stored]:
        objects = self._weaviate.objects.get(collection)
        if objects is None:
            context.abort(grpc.StatusCode.UNKNOWN, f"could not find class {collection} in schema")
        assert objects is not None
        return objects


def _vector_of(message: Any) -> bytes:
    """Return the vector of an object or a query, wherever in the message the client puts it."""
    vector: bytes = message.vectors[0].vector_bytes if message.vectors else message.vector_bytes
    assert vector, message
    return vector


def _matching(objects: dict[str, Stored], filters: Any) -> Iterator[str]:
    if filters is None:
        yield from objects
        return
    operators = base_pb2.Filters
    match filters.operator:
        case operators.OPERATOR_EQUAL:
            wanted = {filters.value_text}
        case operators.OPERATOR_CONTAINS_ANY:
            wanted = set(filters.value_text_array.values)
        case _:
            raise NotImplementedError(filters.operator)
    of = filters.target.property
    for name, stored in objects.items():
        if (name if of in {"_id", "id"} else stored.properties[of]) in wanted:
            yield name


def _distances(objects: dict[str, Stored], names: list[str], query: bytes, context: Any) -> dict[str, float]:
    if not names:
        return {}
    if len(query) != len(objects[names[0]].vector):
        context.abort(grpc.StatusCode.UNKNOWN, "vector search: vector lengths don't match")
    vector = np.frombuffer(query, "<f4")
    matrix = np.frombuffer(b"".join(objects[name].vector for name in names), "<f4").reshape(len(names), -1)
    cosines = matrix @ vector / (np.linalg.norm(matrix, axis=1) * np.linalg.norm(vector))
    return dict(zip(names, (1 - cosines).tolist(), strict=True))


def _to_result(name: str, stored: Stored, distance: float | None, request: Any) -> Any:
    metadata = search_get_pb2.MetadataResult(id=name, id_as_bytes=uuid.UUID(name).bytes)
    if distance is not None and request.metadata.distance:
        metadata.distance, metadata.distance_present = distance, True
    if request.metadata.vector or request.metadata.vectors:
        single = base_pb2.Vectors.VECTOR_TYPE_SINGLE_FP32
        metadata.vectors.append(base_pb2.Vectors(name="default", vector_bytes=stored.vector, type=single))
    shown = properties_pb2.Properties()
    for of in request.properties.non_ref_properties:
        shown.fields[of].text_value = stored.properties[of]
    return search_get_pb2.SearchResult(
        metadata=metadata, properties=search_get_pb2.PropertiesResult(non_ref_props=shown)
    )


def main() -> None:
    """Serve until the standard input ends."""
    weaviate = Weaviate()
    http_port, grpc_port = (int(port) for port in sys.argv[1:])
    http = ThreadingHTTPServer(("127.0.0.1", http_port), type("Bound", (Schemas,), {"weaviate": weaviate}))
    threading.Thread(target=http.serve_forever, daemon=True).start()
    server = grpc.server(ThreadPoolExecutor(8))
    weaviate_pb2_grpc.add_WeaviateServicer_to_server(Objects(weaviate), server)  # type: ignore[no-untyped-call]  # generated
    grpc_port = server.add_insecure_port(f"127.0.0.1:{grpc_port}")
    server.start()
    sys.stdout.write(f"{http.server_port} {grpc_port}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
