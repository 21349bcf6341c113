"""Documents as tools: what is read of them, and what is refused."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from api.core.ports import JSONObject
from api.core.tools.openapi.document import BadDocument, load_document
from api.core.tools.openapi.operations import Operation, read_operations

REAL = Path(os.environ.get("TEST_OPENAPI", Path(__file__).parents[5] / "shared/data/openapi"))
REAL_FILES = sorted(path for path in REAL.glob("*") if path.suffix in (".json", ".yaml", ".yml"))


def document(paths: JSONObject, **parts: Any) -> str:
    head = {"openapi": "3.0.3", "servers": [{"url": "https://api.example.com/v1/"}]}
    return json.dumps({**head, "paths": paths, **parts})


def read(text: str) -> list[Operation]:
    return read_operations(load_document(text))


def one(paths: JSONObject, **parts: Any) -> Operation:
    (operation,) = read(document(paths, **parts))
    return operation


def taken(operation: Operation) -> dict[str, tuple[str, str, bool]]:
    """Return what an operation takes: where, of which type, and whether it must."""
    return {
        each.parameter.name: (each.place, each.parameter.type, each.parameter.is_required)
        for each in operation.arguments
    }


@pytest.mark.skipif(not REAL_FILES, reason="no real documents here")
@pytest.mark.parametrize("path", REAL_FILES, ids=lambda path: path.name)
def test_real_document_becomes_tools(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    operations = read(text)

    known = load_document(text)
    paths = {path: known.resolve(item) for path, item in json.loads(text)["paths"].items()}
    methods = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}
    assert len(operations) == sum(len(methods & set(item)) for item in paths.values())
    names = [operation.name for operation in operations]
    assert len(set(names)) == len(names)
    assert all(operation.source for operation in operations)
    for operation in operations:
        places = {f"{{{each.wire_name}}}" for each in operation.arguments if each.place == "path"}
        assert all(place in operation.path for place in places)


def test_names_are_ids_or_made_of_the_path() -> None:
    operations = read(
        document(
            {
                "/a/{id}": {"get": {}, "post": {"operationId": "a b/c"}},
                "/": {"get": {}},
                "/b": {"get": {"operationId": "x"}, "put": {"operationId": "x"}},
                "/" + "long" * 30: {"delete": {"summary": "S"}},
            }
        )
    )

    assert [each.name for each in operations[:5]] == ["aid_get", "a_b_c", "root_get", "x", "x_2"]
    assert len(operations[5].name) == 64
    assert operations[5].description == "S"


@pytest.mark.parametrize(
    ("servers", "url"),
    [
        ([{"url": "https://a.example/"}], "https://a.example"),
        ([{"url": "//a.example/x"}], "https://a.example/x"),
        (
            [{"url": "https://{h}.example:{p}", "variables": {"h": {"default": "b"}, "p": {"default": "8"}}}],
            "https://b.example:8",
        ),
        ([{"url": "/relative"}, {"url": "http://c.example"}], "http://c.example"),
        ([{"url": "ftp://c.example"}], ""),
        ([{"url": "http://[bad"}], ""),
        ([], ""),
    ],
)
def test_server_is_the_first_address_of_the_web(servers: list[JSONObject], url: str) -> None:
    assert one({"/a": {"get": {}}}, servers=servers).server_url == url


def test_server_of_the_operation_counts_first() -> None:
    own: JSONObject = {"servers": [{"url": "https://own"}]}
    assert one({"/a": {"get": own}}).server_url == "https://own"
    assert one({"/a": {**own, "get": {}}}).server_url == "https://own"


def test_parameters_of_all_places_and_by_reference() -> None:
    parameters = {"q": {"name": "q", "in": "query", "schema": {"$ref": "#/components/schemas/Word"}}}
    operation = one(
        {
            "/a/{id}": {
                "parameters": [
                    {"name": "id", "in": "path", "schema": {"type": "integer", "minimum": 1}},
                    {"name": "limit", "in": "query", "schema": {"type": "integer", "default": 5}},
                ],
                "get": {
                    "parameters": [
                        {"$ref": "#/components/parameters/q"},
                        {"name": "limit", "in": "query", "required": True, "schema": {"type": "number"}},
                        {"name": "X-Trace", "in": "header", "schema": {"type": ["boolean", "null"]}},
                        {"name": "id", "in": "cookie", "schema": {"type": "array", "items": {}}},
                        {
                            "name": "f",
                            "in": "query",
                            "content": {"application/json": {"schema": {"type": "object"}}},
                        },
                    ]
                },
            }
        },
        components={"parameters": parameters, "schemas": {"Word": {"type": "string", "enum": ["x", "y"]}}},
    )

    assert taken(operation) == {
        "id": ("path", "number", True),
        "limit": ("query", "number", True),
        "q": ("query", "select", False),
        "X-Trace": ("header", "boolean", False),
        "cookie_id": ("cookie", "array", False),
        "f": ("query", "object", False),
    }
    assert operation.arguments[-1].is_json
    assert operation.arguments[0].parameter.minimum == 1


def test_json_body_is_its_members() -> None:
    operation = one(
        {"/a": {"post": {"requestBody": {"$ref": "#/components/requestBodies/B"}}}},
        components={
            "requestBodies": {
                "B": {
                    "required": True,
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/C"}}},
                }
            },
            "schemas": {
                "C": {
                    "allOf": [
                        {"$ref": "#/components/schemas/Base"},
                        {
                            "properties": {"tags": {"type": "array", "items": {"type": "string"}}},
                            "required": ["tags"],
                        },
                    ]
                },
                "Base": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {
                        "name": {"anyOf": [{"type": "null"}, {"type": "string"}]},
                        "self": {"$ref": "#/components/schemas/C"},
                        "made": {"type": "string", "readOnly": True},
                    },
                },
            },
        },
    )

    assert (operation.body_kind, operation.body_type) == ("json", "application/json")
    assert taken(operation) == {
        "name": ("part", "string", True),
        "self": ("part", "object", False),
        "tags": ("part", "array", True),
    }


@pytest.mark.parametrize(
    ("content", "kind", "arguments"),
    [
        ({"application/json": {"schema": {"type": "array"}}}, "json", {"body": ("body", "array", False)}),
        ({"application/json": {}}, "json", {"body": ("body", "string", False)}),
        (
            {"text/plain": {}, "application/vnd.x+json": {"schema": {"type": "object"}}},
            "json",
            {"body": ("body", "object", False)},
        ),
        ({"application/octet-stream": {}}, "raw", {"body": ("body", "file", False)}),
        ({"application/xml": {"schema": {"type": "object"}}}, "raw", {"body": ("body", "string", False)}),
        (
            {"application/x-www-form-urlencoded": {"schema": {"properties": {"a": {"type": "integer"}}}}},
            "form",
            {"a": ("part", "number", False)},
        ),
        (
            {
                "multipart/form-data": {
                    "schema": {
                        "properties": {
                            "one": {"type": "string", "format": "binary"},
                            "many": {"type": "array", "items": {"type": "string", "format": "binary"}},
                        }
                    }
                }
            },
            "multipart",
            {"one": ("part", "file", False), "many": ("part", "files", False)},
        ),
        ({}, "none", {}),
    ],
)
def test_bodies_of_all_kinds(content: JSONObject, kind: str, arguments: object) -> None:
    operation = one({"/a": {"post": {"requestBody": {"content": content}}}})

    assert (operation.body_kind, taken(operation)) == (kind, arguments)


def test_swagger_2_is_read() -> None:
    text = """
swagger: "2.0"
host: api.example.com
basePath: /v2
schemes: [http, https]
consumes: [application/json]
parameters:
  Limit: {name: limit, in: query, type: integer, default: 3}
paths:
  /pets/{id}:
    post:
      parameters:
        - {$ref: "#/parameters/Limit"}
        - {name: id, in: path, required: true, type: string}
        - {name: tags, in: query, type: array, items: {type: string}, collectionFormat: multi}
        - name: pet
          in: body
          required: true
          schema: {type: object, required: [kind], properties: {kind: {type: string}}}
    put:
      consumes: [multipart/form-data]
      parameters:
        - {name: id, in: path, required: true, type: string}
        - {name: photo, in: formData, type: file, required: true}
        - {name: note, in: formData, type: string}
"""
    put, post = read(text)

    assert post.server_url == "https://api.example.com/v2"
    assert taken(post) == {
        "limit": ("query", "number", False),
        "id": ("path", "string", True),
        "tags": ("query", "array", False),
        "kind": ("part", "string", True),
    }
    assert (post.arguments[2].style, post.arguments[2].is_exploded) == ("form", True)
    assert put.body_kind == "multipart"
    assert taken(put)["photo"] == ("part", "file", True)


NESTED: Any = {}
for _ in range(150):
    NESTED = {"a": NESTED}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "no object"),
        ("[]", "no object"),
        ("{", "no valid YAML"),
        ("a: &x [*x]", "stands for nothing"),
        ('{"openapi": "2.0"}', "neither OpenAPI 3 nor Swagger 2"),
        ('{"schema_version": "v1", "api": {"url": "https://x"}}', "manifest of a plugin"),
        (document({}), "no operations"),
        (document({"/a": {"get": {}}}, x=NESTED), "more than 100 deep"),
        (" " * (5 * 1024 * 1024 + 1), "more than 5 MB"),
        (document({f"/{n}": {"get": {}} for n in range(1001)}), "more than 1000 operations"),
        (document({"/a": {"get": {"parameters": [{"$ref": "#/nowhere"}]}}}), "leads nowhere"),
        (document({"/a": {"get": {"parameters": [{"$ref": "http://x/y"}]}}}), "out of the document"),
        (document({"/a": {"$ref": "#/b"}}, b={"$ref": "#/paths/~1a"}), "on and on"),
        (
            document(
                {"/a": {"get": {"parameters": [{"name": "q", "in": "query", "schema": {"$ref": "#/s"}}]}}},
                s={"allOf": [{"$ref": "#/s"}, {"$ref": "#/s"}]},
            ),
            "more than 50 others",
        ),
        (
            document({"/a": {"get": {"parameters": [{"name": f"q{n}", "in": "query"} for n in range(501)]}}}),
            "more than 500 parameters",
        ),
    ],
)
def test_what_cannot_be_tools_is_refused_with_the_reason(text: str, fault: str) -> None:
    with pytest.raises(BadDocument, match=fault):
        read(text)


@pytest.mark.parametrize(
    "paths",
    [
        {"/a": {"get": {"parameters": [7, None, "x", {"in": "query"}, {"name": "a", "in": "moon"}]}}},
        {"/a": {"get": {"parameters": {"x": 1}, "requestBody": {"content": {"application/json": 7}}}}},
        {"/a": {"get": {"requestBody": 7, "servers": 7, "summary": 7, "operationId": 7}}, "/b": 7},
        {"/a": {"get": {"parameters": [{"name": "q", "in": "query", "schema": {"enum": 7, "type": 7}}]}}},
    ],
)
def test_odd_pieces_are_passed_over(paths: JSONObject) -> None:
    assert one(paths).path == "/a"


def query(name: str) -> JSONObject:
    return {"in": "query", "name": name, "schema": {"$ref": "#/words"}}


SHARED: JSONObject = {method: {} for method in ("get", "put", "post", "delete")}


@pytest.mark.parametrize(
    "shared",
    [
        {"parameters": [{}] * 4_000, **SHARED},
        {
            "parameters": [query(f"q{number}") for number in range(200)],
            **SHARED,
        },
        {method: {"summary": "x" * 40_000} for method in SHARED},
    ],
    ids=["parameters", "words", "source"],
)
def test_document_that_tells_the_same_again_and_again_is_refused(shared: JSONObject) -> None:
    paths: JSONObject = {f"/p{number}": {"$ref": "#/shared"} for number in range(200)}
    text = document(paths, shared=shared, words={"type": "string", "enum": [f"v{n}" for n in range(400)]})

    with pytest.raises(BadDocument, match=r"too (often|long)"):
        read(text)
