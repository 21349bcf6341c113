"""Examples for an OpenAPI document: a value for each parameter and each JSON body, made from its schema.

What a field says itself (an example, its choices, a default) is taken at its
word; for the others the name of the field tells what it may hold.
"""

from collections.abc import Iterator, Mapping
from typing import Any

UUID = "0d5f3c0e-8f3a-4c55-9d0e-6c1f6b1e2a77"
INSTANT = "2026-11-26T21:35:11Z"
UNIX = 1_795_728_911
TEXTS: Mapping[str, str] = {
    "answer": "Some dive deeper than 500 metres.",
    "author_name": "Ada",
    "batch": "20261126213511482913",
    "content": "Emperor penguins dive deeper than 500 metres.",
    "created_by": UUID,
    "currency": "USD",
    "data": '{"indexing_technique": "economy"}',
    "data_source_type": "upload_file",
    "dataset_name": "Birds of the ice",
    "delimiter": "\n\n",
    "description": "What is known of birds that swim.",
    "doc_language": "English",
    "document_name": "penguins.txt",
    "email": "ada@example.com",
    "extension": "txt",
    "file": "(the bytes of the file)",
    "form_token": "Zb2Yx0s7Q9uE4kV1",
    "icon": "🐧",
    "icon_background": "#E0F2FE",
    "indexing_status": "completed",
    "keyword": "penguin",
    "language": "en",
    "message": "All is well.",
    "mime_type": "text/plain",
    "mode": "chat",
    "model_type": "text-embedding",
    "name": "Penguins",
    "process_rule": '{"mode": "automatic"}',
    "question": "How deep do penguins dive?",
    "query": "How deep do penguins dive?",
    "retrieval_model": '{"search_method": "hybrid_search", "top_k": 4}',
    "retriever_from": "api",
    "session_id": "ann",
    "summary_index_setting": '{"enable": false}',
    "text": "Emperor penguins dive deeper than 500 metres.",
    "title": "Penguins",
    "type": "text",
    "url": "https://example.com/penguins.txt",
    "user": "ann",
    "voice": "alloy",
}
"""What fields of these names hold."""
ENDS: Mapping[str, str] = {
    "_id": UUID,
    "_url": "https://example.com/penguins.txt",
    "_price": "0.0000180",
    "_price_unit": "0.001",
    "_model": "my-model",
    "_provider": "openai_api_compatible",
    "_name": "penguins",
}
"""What fields hold whose names end so."""
NOTHING: dict[str, Any] = {}
"""Stands for a value that cannot be made up: an object of any keys, a part of itself."""
FORMATS: Mapping[str, str] = {"uuid": UUID, "date-time": INSTANT, "date": INSTANT[:10]}


def add_examples(document: dict[str, Any]) -> None:
    """Give what has none in an OpenAPI 3 document an example: parameters, request bodies, answers."""
    maker = _Maker(document["components"]["schemas"])
    for item in document["paths"].values():
        for method, operation in item.items():
            if method == "parameters":
                maker.show(operation)
                continue
            maker.show(operation["parameters"])
            for content in _contents(operation):
                if "schema" in content and not {"example", "examples"} & set(content):
                    content["example"] = maker.value(content["schema"])


def _contents(operation: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what an operation takes and gives, by media type; files and streams are not written down."""
    for said in (operation.get("requestBody", {}), *operation["responses"].values()):
        for media, content in said.get("content", {}).items():
            if media in ("application/json", "multipart/form-data"):
                yield content


class _Maker:
    """Makes values that agree with schemas."""

    def __init__(self, schemas: dict[str, Any]) -> None:
        self._schemas = schemas

    def show(self, parameters: list[dict[str, Any]]) -> None:
        """Give each parameter an example."""
        for parameter in parameters:
            parameter["example"] = self.value(parameter["schema"], parameter["name"])

    def value(self, schema: dict[str, Any], name: str = "", within: tuple[str, ...] = ()) -> Any:
        """Return a value for a field of a name; ``within`` are the schemas it is part of."""
        match schema:
            case {"$ref": str(target)}:
                model = target.rpartition("/")[2]
                return (
                    NOTHING if model in within else self.value(self._schemas[model], name, (*within, model))
                )
            case {"example": known} | {"default": known} | {"enum": [known, *_]}:
                return known
            case {"allOf": [part, *_]} | {"anyOf": [part, *_]}:
                return self.value(part, name, within)
            case {"properties": dict(properties)}:
                return {key: self.value(said, key, within) for key, said in properties.items()}
            case {"type": "array", "items": items}:
                item = self.value(items, name, within)
                return [] if item is NOTHING else [item]
        return _plain(schema, name)


def _plain(schema: dict[str, Any], name: str) -> Any:
    """Return a value without parts; null where that is allowed and the name tells of nothing better."""
    text = TEXTS.get(name) or next((said for end, said in ENDS.items() if name.endswith(end)), None)
    if schema.get("nullable") and text is None and schema.get("type") != "object":
        return None
    match schema.get("type"):
        case "integer":
            return UNIX if name.endswith("_at") else max(1, schema.get("minimum", 1))
        case "number":
            return 0.5
        case "boolean":
            return True
        case "object":
            return NOTHING
    return FORMATS.get(schema.get("format", "")) or (UUID if name == "id" else text or "text")
