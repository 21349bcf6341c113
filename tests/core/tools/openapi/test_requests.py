"""Custom tools on the wire: addresses, heads, bodies, keys and answers."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from api.core.ports import JSONObject, JSONValue
from api.core.tools.calling import ToolOutput
from api.core.tools.openapi.document import load_document
from api.core.tools.openapi.operations import read_operations
from api.core.tools.openapi.tools import to_tool
from api.core.tools.tool import ToolFailed
from tests.servers import Reply, ScriptedServer, Seen
from tests.tools import NamedFiles, call

FILE: JSONObject = {"filename": "a.png", "mime_type": "image/png"}
FILES = NamedFiles({"a.png": b"\x89PNG"})
OK = Reply.of_json({"ok": True})


def send(
    operation: JSONObject,
    given: JSONObject,
    *,
    path: str = "/p",
    method: str = "post",
    reply: Reply = OK,
    auth: Mapping[str, str] | None = None,
) -> tuple[Seen, ToolOutput]:
    """Call the one operation of a document on a server; return what came in and what went out."""
    with ScriptedServer(reply) as server:
        text = {
            "openapi": "3.0.0",
            "servers": [{"url": f"{server.url}/v1"}],
            "paths": {path: {method: operation}},
        }
        (read,) = read_operations(load_document(json.dumps(text)))
        output = call(to_tool(read), given, files=FILES, credentials=auth or {})
        return server.seen[0], output


def query(name: str, kind: str, **more: JSONValue) -> JSONObject:
    return {"parameters": [{"name": name, "in": "query", "schema": {"type": kind}, **more}]}


def body(media_type: str, **properties: JSONValue) -> JSONObject:
    schema: JSONObject = {"type": "object", "properties": properties} if properties else {}
    return {"requestBody": {"content": {media_type: {"schema": schema}}}}


@pytest.mark.parametrize(
    ("operation", "value", "target"),
    [
        (query("q", "string"), "a b&c/é", "q=a%20b%26c%2F%C3%A9"),
        (query("q", "integer"), 5.0, "q=5"),
        (query("q", "boolean"), True, "q=true"),
        (query("q", "array"), ["a", 1], "q=a&q=1"),
        (query("q", "array", explode=False), ["a", 1], "q=a%2C1"),
        (query("q", "array", style="pipeDelimited", explode=False), ["a", 1], "q=a%7C1"),
        (query("q", "object", style="deepObject"), {"a": 1}, "q%5Ba%5D=1"),
        (query("q", "object"), {"a": 1, "b": "x"}, "a=1&b=x"),
        (query("q", "object", explode=False), {"a": 1}, "q=a%2C1"),
    ],
)
def test_query_is_written_in_its_style(operation: JSONObject, value: JSONValue, target: str) -> None:
    seen, _ = send(operation, {"q": value}, method="get")

    assert (seen.method, seen.target) == ("GET", f"/v1/p?{target}")


@pytest.mark.parametrize(
    ("style", "value", "target"),
    [
        ("simple", "a/b c", "/v1/p/a%2Fb%20c/x"),
        ("simple", "?#", "/v1/p/%3F%23/x"),
        ("simple", ["a", "b"], "/v1/p/a,b/x"),
        ("label", ["a", "b"], "/v1/p/.a.b/x"),
        ("matrix", "a", "/v1/p/;id=a/x"),
    ],
)
def test_path_holds_a_value_in_one_segment(style: str, value: JSONValue, target: str) -> None:
    kind = "array" if isinstance(value, list) else "string"
    operation: JSONObject = {
        "parameters": [{"name": "id", "in": "path", "style": style, "schema": {"type": kind}}]
    }
    seen, _ = send(operation, {"id": value}, path="/p/{id}/x", method="get")

    assert seen.target == target


@pytest.mark.parametrize("value", ["", ".", ".."])
def test_path_is_not_left_by_a_value(value: str) -> None:
    operation: JSONObject = {"parameters": [{"name": "id", "in": "path", "schema": {"type": "string"}}]}
    with pytest.raises(ToolFailed, match="cannot be the path's 'id'"):
        send(operation, {"id": value}, path="/p/{id}")


def test_heads_and_cookies_are_sent() -> None:
    operation: JSONObject = {
        "parameters": [
            {"name": "X-Trace", "in": "header", "schema": {"type": "array"}},
            {"name": "Host", "in": "header", "schema": {"type": "string"}},
            {"name": "sid", "in": "cookie", "schema": {"type": "string"}},
        ]
    }
    seen, _ = send(operation, {"X-Trace": ["a", "b"], "Host": "evil", "sid": "a;b"})

    assert (seen.headers["x-trace"], seen.headers["cookie"]) == ("a,b", "sid=a%3Bb")
    assert seen.headers["host"].startswith("127.0.0.1")


def test_line_in_a_head_is_refused() -> None:
    operation: JSONObject = {"parameters": [{"name": "X", "in": "header", "schema": {"type": "string"}}]}
    with pytest.raises(ToolFailed):
        send(operation, {"X": "a\r\nb: c"})


@pytest.mark.parametrize(
    ("operation", "given", "content", "kind"),
    [
        (
            body("application/json", a={"type": "integer"}, b={"type": "object"}, c={}),
            {"a": "1", "b": {"x": [1]}},
            b'{"a": 1, "b": {"x": [1]}}',
            "application/json",
        ),
        (
            body("application/merge-patch+json", a={}),
            {"a": "x"},
            b'{"a": "x"}',
            "application/merge-patch+json",
        ),
        (body("*/*", a={}), {"a": "x"}, b'{"a": "x"}', "application/json"),
        (
            body("application/x-www-form-urlencoded", a={}, b={"type": "array"}),
            {"a": "x y", "b": ["1", "2"]},
            b"a=x+y&b=1&b=2",
            "application/x-www-form-urlencoded",
        ),
        (
            body("application/x-www-form-urlencoded"),
            {"body": {"a": 1}},
            b"a=1",
            "application/x-www-form-urlencoded",
        ),
        (body("text/plain"), {"body": "é"}, "é".encode(), "text/plain; charset=utf-8"),
        (body("text/*"), {"body": "é"}, "é".encode(), "text/plain; charset=utf-8"),
        (body("application/octet-stream"), {"body": FILE}, b"\x89PNG", "application/octet-stream"),
        (body("image/*"), {"body": FILE}, b"\x89PNG", "image/png"),
    ],
)
def test_body_is_written_in_its_type(
    operation: JSONObject, given: JSONObject, content: bytes, kind: str
) -> None:
    seen, _ = send(operation, given)

    assert (seen.body, seen.headers["content-type"]) == (content, kind)


def test_form_carries_files() -> None:
    binary: JSONObject = {"type": "string", "format": "binary"}
    operation = body("multipart/form-data", note={}, one=binary, many={"type": "array", "items": binary})
    seen, _ = send(operation, {"note": "hi", "one": FILE, "many": [FILE, FILE]})

    assert seen.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert seen.body.count(b"\x89PNG") == 3
    assert seen.body.count(b'name="many"; filename="a.png"\r\nContent-Type: image/png') == 2
    assert b'name="note"\r\n\r\nhi\r\n' in seen.body


def test_no_body_is_sent_where_nothing_is_given() -> None:
    seen, _ = send(body("application/json", a={}), {})
    assert seen.body == b""


HEADER = {"auth_type": "api_key_header", "api_key_value": "k:1"}


@pytest.mark.parametrize(
    ("auth", "header", "sent"),
    [
        ({**HEADER, "api_key_header_prefix": "bearer"}, "authorization", "Bearer k:1"),
        ({**HEADER, "api_key_header_prefix": "basic"}, "authorization", "Basic azox"),
        (
            {**HEADER, "api_key_header_prefix": "basic", "api_key_value": "azox"},
            "authorization",
            "Basic azox",
        ),
        ({**HEADER, "api_key_header": "X-Key"}, "x-key", "k:1"),
        ({"auth_type": "none", "api_key_value": "k"}, "authorization", None),
    ],
)
def test_key_is_sent_in_the_head(auth: dict[str, str], header: str, sent: str | None) -> None:
    seen, _ = send({}, {}, auth=auth)
    assert seen.headers.get(header) == sent


def test_key_is_sent_in_the_query() -> None:
    auth = {"auth_type": "api_key_query", "api_key_query_param": "token", "api_key_value": "k&1"}
    seen, _ = send({}, {}, auth=auth)
    assert seen.target == "/v1/p?token=k%261"


@pytest.mark.parametrize(
    ("reply", "text", "found"),
    [
        (Reply.of_json({"a": 1}), '{"a": 1}', [{"a": 1}]),
        (Reply.of_json([1]), "[1]", [[1]]),
        (Reply(body=b"hi", headers={"Content-Type": "text/plain"}), "hi", []),
        (Reply(body=b"7"), "7", []),
        (Reply(status=204), "", []),
    ],
)
def test_answer_is_text_and_json(reply: Reply, text: str, found: list[JSONValue]) -> None:
    _, output = send({}, {}, reply=reply)
    assert (output.text, output.json) == (text, found)


def test_answer_may_be_a_file() -> None:
    _, output = send({}, {}, reply=Reply(body=b"%PDF", headers={"Content-Type": "application/pdf"}))
    (file,) = output.files
    assert (file.name, file.mime_type, file.content) == ("p.pdf", "application/pdf", b"%PDF")


def test_refusal_says_the_status_and_hides_the_key() -> None:
    with pytest.raises(ToolFailed, match=r"status 401: bad key \[hidden\]$") as caught:
        send({}, {}, reply=Reply(status=401, body=b"bad key k:1"), auth={**HEADER})
    assert caught.value.error_type == "ToolResponseError"


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("user:hunter2", "wrong: dXNlcjpodW50ZXIy"),
        ('a"b-secret', 'wrong: a\\"b-secret'),
        ("sk-" + "9" * 40, "x" * 980 + " sk-" + "9" * 40),
    ],
)
def test_key_is_hidden_however_a_server_repeats_it(key: str, said: str) -> None:
    with pytest.raises(ToolFailed) as caught:
        send({}, {}, reply=Reply(status=401, body=said.encode()), auth={**HEADER, "api_key_value": key})

    told = str(caught.value)
    assert not any(part in told for part in ("9999", "secret", "dXNlcjpodW50ZXIy"))


def test_name_of_a_file_is_read_whatever_a_server_calls_it() -> None:
    heads = {"Content-Type": "image/png", "Content-Disposition": "attachment; filename*=idna''x%80"}
    _, output = send({}, {}, path="/pic.png", reply=Reply(headers=heads, body=b"\x89PNG"))

    assert [file.name for file in output.files] == ["pic.png"]


def test_document_without_a_server_is_refused_at_the_call() -> None:
    text: Any = {"openapi": "3.0.0", "paths": {"/p": {"get": {}}}}
    (operation,) = read_operations(load_document(json.dumps(text)))
    with pytest.raises(ToolFailed, match="names no server"):
        call(to_tool(operation), {})
