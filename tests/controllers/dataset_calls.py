"""Calls of the public API's dataset routes, one each, for comparing answers with their description."""

from collections.abc import Callable
from typing import Any

from werkzeug.test import TestResponse

Call = Callable[..., TestResponse]


def call_datasets(call: Call) -> dict[str, TestResponse]:
    """Call every route of datasets once, as a client would, and return the answers by the routes' names."""
    create = call("POST", "/datasets", json={"name": "Birds", "indexing_technique": "high_quality"})
    found: Any = create.get_json()
    path = f"/datasets/{found['id']}"
    tags = call_tags(call, found["id"])
    return {
        **tags,
        "GET /workspaces/current/models/model-types/{model_type}": call(
            "GET", "/workspaces/current/models/model-types/text-embedding"
        ),
        **call_metadata(call, path),
        "POST /datasets": create,
        "GET /datasets": call("GET", "/datasets"),
        "GET /datasets/{dataset_id}": call("GET", path),
        "PATCH /datasets/{dataset_id}": call("PATCH", path, json={"description": "of the ice"}),
        "DELETE /datasets/{dataset_id}": call("DELETE", path),
    }


def call_tags(call: Call, dataset_id: str) -> dict[str, TestResponse]:
    """Call every route of tags once, with a dataset to put them on."""
    create = call("POST", "/datasets/tags", json={"name": "ice"})
    tag: Any = create.get_json()
    target = {"tag_ids": [tag["id"]], "target_id": dataset_id}
    renamed = {"tag_id": tag["id"], "name": "snow"}
    return {
        "POST /datasets/tags": create,
        "GET /datasets/tags": call("GET", "/datasets/tags"),
        "PATCH /datasets/tags": call("PATCH", "/datasets/tags", json=renamed),
        "POST /datasets/tags/binding": call("POST", "/datasets/tags/binding", json=target),
        "GET /datasets/{dataset_id}/tags": call("GET", f"/datasets/{dataset_id}/tags"),
        "POST /datasets/tags/unbinding": call("POST", "/datasets/tags/unbinding", json=target),
        "DELETE /datasets/tags": call("DELETE", "/datasets/tags", json={"tag_id": tag["id"]}),
    }


def call_metadata(call: Call, path: str) -> dict[str, TestResponse]:
    """Call every route of metadata once, of the dataset at ``path``."""
    create = call("POST", f"{path}/metadata", json={"name": "year", "type": "number"})
    field: Any = create.get_json()
    switch = f"{path}/metadata/built-in"
    of = "/datasets/{dataset_id}"
    return {
        f"POST {of}/metadata": create,
        f"GET {of}/metadata": call("GET", f"{path}/metadata"),
        f"PATCH {of}/metadata/{{field_id}}": call(
            "PATCH", f"{path}/metadata/{field['id']}", json={"name": "age"}
        ),
        "GET /datasets/metadata/built-in": call("GET", "/datasets/metadata/built-in"),
        f"GET {of}/metadata/built-in": call("GET", switch),
        f"POST {of}/metadata/built-in/enable": call("POST", f"{switch}/enable"),
        f"POST {of}/metadata/built-in/disable": call("POST", f"{switch}/disable"),
        f"POST {of}/documents/metadata": call(
            "POST", f"{path}/documents/metadata", json={"operation_data": []}
        ),
        f"DELETE {of}/metadata/{{field_id}}": call("DELETE", f"{path}/metadata/{field['id']}"),
    }
