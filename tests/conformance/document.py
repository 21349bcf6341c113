"""Another project's OpenAPI document, read as a list of operations an answer can be held against.

The document is not part of this project; ``TEST_DIFY_OPENAPI`` says where it is.
"""

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from openapi_schema_validator import OAS30Validator

from tests.conformance.client import Answer

NULLABLE = frozenset(
    {
        *("answer", "updated_by", "score_threshold", "icon_small_dark"),  # segments, datasets, providers
        *("data_source_type", "doc_form", "icon_url"),  # datasets without documents or pictures
        *("external_knowledge_id", "external_knowledge_api_id"),
        *("external_knowledge_api_name", "external_knowledge_api_endpoint"),
        *("chat_color_theme", "copyright", "description", "privacy_policy"),  # sites
    }
)
"""Properties for which Dify gives null and its document forgets to say so."""
METHODS = ("get", "post", "put", "patch", "delete")
REF = "#/components/"


@dataclass(frozen=True)
class Operation:
    """A route of the document."""

    method: str
    path: str
    group: str
    responses: dict[str, Any]

    @property
    def name(self) -> str:
        """Method and path."""
        return f"{self.method} {self.path}"


class Reference:
    """The document."""

    def __init__(self, path: Path) -> None:
        self._raw: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))

    @cached_property
    def operations(self) -> dict[str, Operation]:
        """Every operation by its name, in the order of the document."""
        return {found.name: found for found in self._operations()}

    def faults(self, operation: Operation, answer: Answer) -> list[str]:
        """Return how an answer differs from what is documented of a success; empty where it does not."""
        if answer.status >= 300:
            return [f"status {answer.status}: {answer.content[:300].decode(errors='replace')}"]
        described = self._resolved(operation.responses.get(str(answer.status)))
        if described is None:
            return [f"status {answer.status} is not documented, only {', '.join(operation.responses)}"]
        content = described.get("content") or {}
        if not content:
            return [f"a body of {len(answer.content)} bytes"] if answer.content else []
        if answer.mimetype not in content and "application/octet-stream" not in content:
            return [f"media type {answer.mimetype}, documented are {', '.join(content)}"]
        if answer.mimetype != "application/json":
            return []
        own = _satisfiable(copy.deepcopy(content[answer.mimetype].get("schema", {})))
        schema = {**own, "components": self._components}
        return [f"{e.json_path}: {e.message[:200]}" for e in OAS30Validator(schema).iter_errors(answer.json)]

    def absent(self, operation: Operation, answer: Answer) -> set[str]:
        """Return the documented fields a JSON answer lacks, as paths such as ``data[].id``."""
        described = self._resolved(operation.responses.get(str(answer.status))) or {}
        content = (described.get("content") or {}).get("application/json")
        if answer.mimetype != "application/json" or content is None:
            return set()
        return set(self._lacking(content.get("schema", {}), answer.json, ""))

    def _lacking(self, schema: Any, value: Any, path: str) -> Iterator[str]:
        schema = self._resolved(schema)
        for part in schema.get("allOf", ()):
            yield from self._lacking(part, value, path)
        if isinstance(value, dict):
            for name, described in _properties(schema):
                if name not in value:
                    yield f"{path}{name}"
                else:
                    yield from self._lacking(described, value[name], f"{path}{name}.")
        elif isinstance(value, list):
            for item in value:
                yield from self._lacking(schema.get("items", {}), item, f"{path[:-1]}[].")

    def _operations(self) -> Iterator[Operation]:
        for path, item in self._raw["paths"].items():
            for method in METHODS:
                if method in item:
                    found = item[method]
                    yield Operation(
                        method.upper(), path, (found.get("tags") or ["Other"])[0], found["responses"]
                    )

    def _resolved(self, described: Any) -> Any:
        while isinstance(described, dict) and "$ref" in described:
            kind, _, name = described["$ref"].removeprefix(REF).partition("/")
            described = self._raw["components"][kind][name]
        return described

    @cached_property
    def _components(self) -> Any:
        return _satisfiable(copy.deepcopy(self._raw.get("components", {})))


def _satisfiable(schema: Any) -> Any:
    """Return schemas an answer can agree with: null where Dify gives it, and ``oneOf`` as ``anyOf``.

    Without required fields the branches of a ``oneOf`` all match at once.
    """
    if isinstance(schema, list):
        return [_satisfiable(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    changed = {key: _satisfiable(value) for key, value in schema.items() if key != "discriminator"}
    for name, described in _properties(changed):
        if name in NULLABLE and "type" in described:
            described["nullable"] = True
    if "oneOf" in changed:
        changed["anyOf"] = changed.pop("oneOf")
    return changed


def _properties(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    properties = schema.get("properties")
    for name, described in properties.items() if isinstance(properties, dict) else ():
        if isinstance(described, dict):
            yield name, described
