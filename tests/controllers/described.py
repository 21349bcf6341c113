"""Answers held against what an API says of itself, as OpenAPI 3."""

from collections.abc import Iterator
from typing import Any

from openapi_schema_validator import OAS30Validator
from werkzeug.test import TestResponse


def body(answer: TestResponse) -> dict[str, Any]:
    """Return the JSON object of an answer."""
    assert isinstance(answer.json, dict)
    return answer.json


def documented(spec: dict[str, Any]) -> set[tuple[str, str]]:
    """Return (path, method) of what a document describes."""
    return {
        (path, method) for path, item in spec["paths"].items() for method in item if method != "parameters"
    }


def operations(spec: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every operation of a document with its name, such as ``GET /apps``."""
    for path, method in documented(spec):
        yield f"{method.upper()} {path}", spec["paths"][path][method]


def strictly(spec: dict[str, Any]) -> dict[str, Any]:
    """Return the document's schemas with every documented key demanded and no other allowed."""
    schemas = {}
    for name, schema in spec["components"]["schemas"].items():
        own = {"additionalProperties": False, "required": list(schema["properties"])}
        schemas[name] = schema if name in ("Error", "Fault") else {**schema, **own}
    return {"schemas": schemas}


def check_answer(spec: dict[str, Any], name: str, answer: TestResponse) -> None:
    """Assert that an answer has the status, media type, keys and types the document says."""
    operation = dict(operations(spec))[name]
    status = str(answer.status_code)
    assert status in operation["responses"], f"{name} answered {status}: {answer.get_data(as_text=True)}"
    described = operation["responses"][status]
    if "$ref" in described:
        described = spec["components"]["responses"][described["$ref"].rpartition("/")[2]]
    content = described.get("content", {})
    if not content:
        assert answer.get_data() == b"", name
        return
    assert answer.mimetype in content or "*/*" in content, name
    if answer.mimetype == "application/json":
        schema = {**content["application/json"]["schema"], "components": strictly(spec)}
        faults = [
            f"{name} {e.json_path}: {e.message}" for e in OAS30Validator(schema).iter_errors(answer.json)
        ]
        assert not faults, "\n".join(faults)
