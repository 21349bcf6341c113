"""Datasets over the program's own HTTP API: made, filled with documents, waited for."""

import http.client
import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from api.core.ports import JSONObject
from tests.bench.calls import Answer, Call, do
from tests.bench.texts import make_text
from tests.bench.workspace import CALL_TIMEOUT_S

EMBEDDING_MODEL = "bench-embed"
TEXT_BYTES = 1_000_000
TOKENS_A_CHUNK = 112
"""By which a text of 1 MB becomes about 2,160 chunks, as many as in the figure to compare with."""
HYBRID: JSONObject = {"search_method": "hybrid_search", "top_k": 4}
POLL_S = 0.05
INDEX_TIMEOUT_S = 600.0
RULE = {
    "mode": "custom",
    "rules": {
        "pre_processing_rules": [{"id": "remove_extra_spaces", "enabled": True}],
        "segmentation": {"separator": "\n\n", "max_tokens": TOKENS_A_CHUNK, "chunk_overlap": 0},
    },
}


class NotIndexed(Exception):
    """A document did not end as completed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """A dataset with a document of 1 MB, a key that opens it, and another dataset to add documents to."""

    key: str
    dataset_id: str
    growing_id: str


def set_up_library(call: Call, port: int, token: str) -> Library:
    """Make both datasets and index the document."""
    choose_embedding(call, token)
    headers = {"Authorization": f"Bearer {token}"}
    asked = {"name": "bench", "permissions": ["dataset"]}
    key = do(call, "POST", "/console/api/api-keys", token, asked)["token"]
    library = Library(
        key=key,
        dataset_id=make_dataset(call, token, "Bench"),
        growing_id=make_dataset(call, token, "Growing"),
    )
    batch = add_document(port, headers, library.dataset_id, "first.txt", make_text(TEXT_BYTES, seed=0), RULE)
    wait_until_indexed(call, token, library.dataset_id, batch)
    return library


def choose_embedding(call: Call, token: str) -> None:
    """Have the workspace embed by the scripted model."""
    model = {"model_type": "text-embedding", "provider": "openai_api_compatible", "model": EMBEDDING_MODEL}
    path = "/console/api/workspaces/current/default-model"
    do(call, "POST", path, token, {"model_settings": [model]})


def make_dataset(call: Call, token: str, name: str) -> str:
    """Make a dataset that is searched by vectors and words together; return its id."""
    asked = {"name": name, "indexing_technique": "high_quality", "retrieval_model": HYBRID}
    return str(do(call, "POST", "/console/api/datasets", token, asked)["id"])


def add_document(
    port: int,
    headers: Mapping[str, str],
    dataset_id: str,
    name: str,
    data: bytes,
    rule: Mapping[str, object] | None = None,
) -> str:
    """Send a file to a dataset; return the batch it is indexed in. Without a rule it is cut automatically."""
    boundary = uuid.uuid4().hex
    asked = json.dumps({"process_rule": rule} if rule else {})
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="data"\r\n\r\n{asked}\r\n'
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    body = head.encode() + data + f"\r\n--{boundary}--\r\n".encode()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=CALL_TIMEOUT_S)
    try:
        sent = {"Content-Type": f"multipart/form-data; boundary={boundary}", **headers}
        connection.request("POST", f"/console/api/datasets/{dataset_id}/document/create_by_file", body, sent)
        reply = connection.getresponse()
        answer: Answer = json.loads(reply.read())
    finally:
        connection.close()
    if reply.status not in (200, 201):
        raise NotIndexed(f"{name} was answered {reply.status}: {answer}")
    return str(answer["batch"])


def is_indexed(call: Call, token: str, dataset_id: str, batch: str) -> int | None:
    """Return how many segments a batch of one document became, None while it is indexed.

    Raises NotIndexed where that failed.
    """
    path = f"/console/api/datasets/{dataset_id}/batch/{batch}/indexing-status"
    status = do(call, "GET", path, token, None)["data"][0]
    if status["indexing_status"] in ("error", "paused"):
        raise NotIndexed(f"{status['indexing_status']}: {status['error']}")
    return int(status["completed_segments"]) if status["indexing_status"] == "completed" else None


def wait_until_indexed(call: Call, token: str, dataset_id: str, batch: str) -> int:
    """Wait for a batch of one document; return how many segments it became."""
    deadline = time.monotonic() + INDEX_TIMEOUT_S
    while (segments := is_indexed(call, token, dataset_id, batch)) is None:
        if time.monotonic() > deadline:
            raise NotIndexed(f"not indexed within {INDEX_TIMEOUT_S:.0f} s")
        time.sleep(POLL_S)
    return segments
