"""Calls of the HTTP node against a server on loopback: what goes out, what comes back, what fails."""

import base64
import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesParser
from typing import Any

import pytest

from api.core.egress import EgressPolicy
from api.core.http import HTTPClient, Timeouts
from api.core.ports import Cancel, JSONObject
from api.core.workflow.deps import FlowLimits
from api.core.workflow.node import NODES, Demand
from api.core.workflow.variables import ANY_FILE, ValueType
from tests.flows import Ran, drawn, end, make_deps, run_flow
from tests.servers import Reply, ScriptedServer, Seen, Step
from tests.waiting import assert_quick, set_when

PATIENT = Timeouts(connect_s=20, first_byte_s=20, idle_s=20)
PDF: JSONObject = {
    "dify_model_identity": "__dify__file__",
    "filename": 'a "b".pdf',
    "mime_type": "application/pdf",
    "related_id": "1",
}


@dataclass
class KeptFiles:
    """Files in memory."""

    saved: list[tuple[str, str, bytes]] = field(default_factory=list)
    read_count: int = 0
    then_do: Callable[[], None] = lambda: None

    def read(self, file: JSONObject, cancel: Cancel) -> bytes:
        self.read_count += 1
        assert not cancel.is_set()
        self.then_do()
        return f"%PDF {file['related_id']}".encode()

    def save(self, name: str, mime_type: str, content: bytes) -> JSONObject:
        self.saved.append((name, mime_type, content))
        return {**PDF, "filename": name}

    def text(self, file: JSONObject, cancel: Cancel) -> str:
        raise AssertionError


@dataclass
class Caller:
    """Runs one HTTP node against a server that answers as told."""

    server: ScriptedServer
    client: HTTPClient
    files: KeptFiles = field(default_factory=KeptFiles)
    limits: FlowLimits = field(default_factory=FlowLimits)

    def run(self, inputs: JSONObject | None = None, *, cancel: Cancel | None = None, **config: Any) -> Ran:
        data = {"method": "get", "url": f"{self.server.url}/p", **config}
        pool = data.pop("pool", None)
        flow = {"secrets": data.pop("secrets")} if "secrets" in data else {}
        nodes = [
            drawn("s", "start"),
            drawn("h", "http-request", **data),
            end(body="h.body", status="h.status_code", headers="h.headers", files="h.files"),
        ]
        deps = make_deps(http=self.client, files=self.files, limits=self.limits)
        return run_flow(nodes, ["s > h > e"], inputs, deps=deps, cancel=cancel, pool=pool, **flow)

    @property
    def seen(self) -> Seen:
        """The only request there was."""
        (seen,) = self.server.seen
        return seen


@pytest.fixture
def caller() -> Iterator[Caller]:
    with (
        ScriptedServer(Reply(body=b"ok")) as server,
        contextlib.closing(HTTPClient(EgressPolicy(allow_private=True), PATIENT)) as client,
    ):
        yield Caller(server, client)


def texts(**fields: str) -> list[JSONObject]:
    """Return the items of a form."""
    return [{"key": key, "type": "text", "value": value} for key, value in fields.items()]


def of_form(seen: Seen) -> dict[str, tuple[str | None, str, bytes]]:
    """Return the parts of a form by name: file name, type and bytes."""
    head = f"Content-Type: {seen.headers['content-type']}\r\n\r\n".encode()
    parts = BytesParser().parsebytes(head + seen.body).get_payload()
    assert isinstance(parts, list)
    found: dict[str, tuple[str | None, str, bytes]] = {}
    for part in parts:
        assert isinstance(part, Message)
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        name = str(part.get_param("name", header="content-disposition"))
        found[name] = (part.get_filename(), part.get_content_type(), content)
    return found


# What goes out


@pytest.mark.parametrize("method", ["get", "POST", "put", "PATCH", "delete", "head", "options"])
def test_every_method_is_sent(caller: Caller, method: str) -> None:
    caller.server.then(Reply(status=200))
    assert caller.run(method=method).outputs["status"] == 200
    assert caller.seen.method == method.upper()


def test_texts_are_templates_and_parameters_join_those_of_the_address(caller: Caller) -> None:
    caller.run(
        {"x": "a b&c", "who": "me\n", "more": "X-One: 1\nX-Two: 2"},
        url=caller.server.url + "/{{#s.x#}}?z=1",
        params="q : {{#s.x#}}\nno line\n:nameless\nr:1",
        headers="X-Who:{{#s.who#}}\n{{#s.more#}}\nContent-Length:7\nHost:elsewhere",
    )
    assert caller.seen.target == "/a%20b&c?z=1&q=a%20b%26c&no%20line=&r=1"
    names = ("x-who", "x-one", "x-two", "host")
    assert [caller.seen.headers[name] for name in names] == [
        "me",
        "1",
        "2",
        f"127.0.0.1:{caller.server.port}",
    ]


def test_value_adds_no_header(caller: Caller) -> None:
    ran = caller.run({"x": "1\nX-Admin: yes"}, headers="X-Who:{{#s.x#}}")
    assert ran.finished.status == "failed"
    assert caller.server.seen == []


@pytest.mark.parametrize(
    ("config", "header", "value"),
    [
        ({"type": "bearer", "api_key": "{{#env.key#}}"}, "authorization", "Bearer sk-1"),
        (
            {"type": "basic", "api_key": "me:pw"},
            "authorization",
            f"Basic {base64.b64encode(b'me:pw').decode()}",
        ),
        ({"type": "basic", "api_key": "bWU6cHc="}, "authorization", "Basic bWU6cHc="),
        ({"type": "custom", "api_key": "{{#env.key#}}", "header": "X-API-Key"}, "x-api-key", "sk-1"),
    ],
)
def test_key_is_sent_as_told_and_never_shown(
    caller: Caller, config: JSONObject, header: str, value: str
) -> None:
    ran = caller.run(
        pool={"env": {"key": "sk-1"}},
        authorization={"type": "api-key", "config": config},
        params="again:" + str(config["api_key"]),
    )
    assert caller.seen.headers[header] == value
    shown = str(ran.of("h")[0].process_data["request"])
    assert shown.startswith("GET /p?again=******** HTTP/1.1\r\nHost: 127.0.0.1")
    assert f"{header}: ********" in shown


def test_config_beside_no_auth_means_nothing(caller: Caller) -> None:
    caller.run(authorization={"type": "no-auth", "config": {"type": "basic", "api_key": ""}})
    assert "authorization" not in caller.seen.headers


@pytest.mark.parametrize("config", [None, {"type": "bearer", "api_key": "{{#s.none#}}"}])
def test_missing_key_is_told(caller: Caller, config: JSONObject | None) -> None:
    ran = caller.run({"none": ""}, authorization={"type": "api-key", "config": config})
    assert "there is none" in str(ran.finished.error)


@pytest.mark.parametrize(
    ("body", "kind", "sent"),
    [
        ({"type": "none", "data": ""}, None, b""),
        ({"type": "none", "data": []}, None, b""),
        (
            {"type": "raw-text", "data": [{"type": "text", "value": "{{#s.x#}}"}]},
            "text/plain; charset=utf-8",
            "é",
        ),
        ({"type": "raw-text", "data": "{{#s.x#}}!"}, "text/plain; charset=utf-8", "é!"),
        ({"type": "raw-text", "data": []}, None, b""),
        (
            {"type": "json", "data": [{"key": "", "value": '{"a": "{{#s.x#}}"}'}]},
            "application/json",
            '{"a": "é"}',
        ),
        ({"type": "json", "data": '[{{#s.n#}}, "{{#s.n#}}"]'}, "application/json", '[1, "1"]'),
        ({"type": "json", "data": " "}, None, b""),
        (
            {
                "type": "x-www-form-urlencoded",
                "data": [*texts(a="{{#s.x#}}", b="1 2"), {"key": "", "value": ""}],
            },
            "application/x-www-form-urlencoded",
            b"a=%C3%A9&b=1+2",
        ),
        (
            {"type": "x-www-form-urlencoded", "data": "a: {{#s.x#}}\nb:1"},
            "application/x-www-form-urlencoded",
            b"a=%C3%A9&b=1",
        ),
        ({"type": "binary", "data": [{"type": "file", "file": ["s", "pdf"]}]}, "application/pdf", b"%PDF 1"),
    ],
)
def test_bodies_are_sent_with_their_type(
    caller: Caller, body: JSONObject, kind: str | None, sent: bytes | str
) -> None:
    ran = caller.run({"x": "é", "n": 1, "pdf": PDF}, method="post", body=body)
    assert ran.finished.status == "succeeded", ran.finished.error
    assert caller.seen.headers.get("content-type") == kind
    assert caller.seen.body == (sent.encode() if isinstance(sent, str) else sent)


def test_own_content_type_is_kept(caller: Caller) -> None:
    caller.run(method="post", headers="Content-Type: text/csv", body={"type": "raw-text", "data": "a,b"})
    assert caller.seen.headers["content-type"] == "text/csv"


@pytest.mark.parametrize(
    ("template", "value", "sent"),
    [
        ('{"a": "{{#s.v#}}"}', 'say "hi"\n', {"a": 'say "hi"\n'}),
        ('{"a": "{{#s.v#}}"}', 'x", "admin": true, "y": "', {"a": 'x", "admin": true, "y": "'}),
        ('{"a": "{{#s.v#}}"}', r"escaped \"before\"", {"a": 'escaped "before"'}),
        ('{"a": "\\"{{#s.v#}}"}', "two\nlines", {"a": '"two\nlines'}),
        ('{"a": {{#s.v#}}}', '{"b": [1]}', {"a": {"b": [1]}}),
        ('{"a": {{#s.v#}}}', {"b": True}, {"a": {"b": True}}),
        ('{"a": {{#s.v#}}}', True, {"a": True}),
        ('{"a": {{#s.v#}}, "b": "{{#s.v#}}"}', [], {"a": [], "b": ""}),
        ('{"a": {{#s.v#}}}', PDF, {"a": None}),
        ('{"a": "{{#s.w#}}"}', None, {"a": "s.w"}),
    ],
)
def test_values_in_json_stay_what_they_are(caller: Caller, template: str, value: Any, sent: object) -> None:
    ran = caller.run({"v": value}, method="post", body={"type": "json", "data": [{"value": template}]})
    assert ran.finished.status == "succeeded", ran.finished.error
    assert caller.seen.json == sent


@pytest.mark.parametrize("text", ['{"a": }', "{{#s.deep#}}", '{"a": NaN}'])
def test_body_that_is_no_json_is_told(caller: Caller, text: str) -> None:
    ran = caller.run({"deep": "[" * 100_000}, method="post", body={"type": "json", "data": text})
    assert "The body is no JSON" in str(ran.finished.error)
    assert caller.server.seen == []


@pytest.mark.parametrize(
    "body",
    [
        {"type": "json", "data": '{"a": "\\ud800"}'},
        {"type": "raw-text", "data": "half \ud800"},
        {"type": "form-data", "data": texts(a="half \ud800")},
        {"type": "form-data", "data": [{"key": "\ud800", "type": "file", "file": ["s", "pdf"]}]},
        {"type": "x-www-form-urlencoded", "data": texts(a="half \ud800")},
        {"type": "x-www-form-urlencoded", "data": texts(**{"\ud800": "a"})},
    ],
)
def test_body_that_is_no_text_is_told(caller: Caller, body: JSONObject) -> None:
    provided: dict[str, Any] = {
        "error_strategy": "default-value",
        "default_value": [{"key": "body", "value": "none"}],
    }
    ran = caller.run({"pdf": PDF}, method="post", body=body, **provided)
    assert "The body is no text" in str(ran.of("h")[0].error)
    assert ran.of("h")[0].outputs["error_type"] == "RequestBodyError"
    assert caller.server.seen == []


def test_parameter_that_is_no_text_is_told(caller: Caller) -> None:
    assert "A parameter is no text" in str(caller.run(params="a: \ud800").finished.error)


@pytest.mark.parametrize("kind", ["form-data", "binary"])
def test_files_above_their_limit_in_all_are_told(caller: Caller, kind: str) -> None:
    data = [{"key": "all", "type": "file", "file": ["s", "pdfs"]}]
    caller.limits = FlowLimits(http_upload_bytes=len(b"%PDF 1") * (3 if kind == "form-data" else 1) - 1)
    ran = caller.run({"pdfs": [PDF] * 9}, method="post", body={"type": kind, "data": data})
    assert "The files of the body have more than" in str(ran.finished.error)
    assert caller.files.read_count == (3 if kind == "form-data" else 1)
    assert caller.server.seen == []


def test_stop_between_files_reads_no_more(caller: Caller) -> None:
    cancel = Cancel()
    caller.files.then_do = cancel.set
    body: JSONObject = {"type": "form-data", "data": [{"key": "a", "type": "file", "file": ["s", "pdfs"]}]}
    ran = caller.run({"pdfs": [PDF] * 9}, method="post", body=body, cancel=cancel)
    assert ran.finished.status == "stopped"
    assert caller.files.read_count == 1
    assert caller.server.seen == []


def test_form_carries_texts_and_files(caller: Caller) -> None:
    data = [
        *texts(model="m", note="{{#s.x#}}"),
        {"key": "doc", "type": "file", "file": ["s", "pdf"]},
        {"key": "all", "type": "file", "file": ["s", "pdfs"]},
        {"key": "none", "type": "file", "file": ["s", "x"]},
        {"key": "", "type": "text", "value": ""},
        {"key": "", "type": "file", "file": ["s", "pdf"]},
    ]
    ran = caller.run(
        {"x": "é\r\n", "pdf": PDF, "pdfs": [PDF]},
        method="post",
        headers="Content-Type: multipart/form-data",
        body={"type": "form-data", "data": data},
    )
    assert of_form(caller.seen) == {
        "model": (None, "text/plain", b"m"),
        "note": (None, "text/plain", "é\r\n".encode()),
        "doc": ("a %22b%22.pdf", "application/pdf", b"%PDF 1"),
        "all": ("a %22b%22.pdf", "application/pdf", b"%PDF 1"),
    }
    shown = str(ran.of("h")[0].process_data["request"])
    assert "<6 bytes>" in shown
    assert "%PDF" not in shown


def test_old_form_has_a_field_a_line(caller: Caller) -> None:
    caller.run({"x": "1"}, method="post", body={"type": "form-data", "data": "a: {{#s.x#}}"})
    assert of_form(caller.seen) == {"a": (None, "text/plain", b"1")}


@pytest.mark.parametrize("data", [[], [{"type": "file", "file": ["s", "nothing"]}]])
def test_missing_file_is_told(caller: Caller, data: list[JSONObject]) -> None:
    ran = caller.run(method="post", body={"type": "binary", "data": data})
    assert "there is none" in str(ran.finished.error)


@pytest.mark.parametrize(
    "url", ["", "ftp://example.org/", "example.org", "http://[::1", "file:///etc/passwd"]
)
def test_address_that_is_none_is_told(caller: Caller, url: str) -> None:
    ran = caller.run(url=url)
    assert "does not begin with http" in str(ran.finished.error)


@pytest.mark.parametrize("config", [{"method": "brew"}, {"body": "text"}])
def test_settings_that_make_no_sense_are_told(caller: Caller, config: dict[str, Any]) -> None:
    assert "not set up" in str(caller.run(**config).finished.error)


def test_variables_read_and_given_are_known() -> None:
    config = NODES["http-request", "1"].configured(
        {
            "type": "http-request",
            "method": "post",
            "url": "{{#a.u#}}",
            "headers": "X:{{#a.h#}}",
            "authorization": {"type": "api-key", "config": {"type": "custom", "api_key": "{{#a.k#}}"}},
            "body": {"type": "form-data", "data": [{"key": "{{#a.n#}}", "type": "file", "file": ["a", "f"]}]},
        }
    )
    plain = NODES["http-request", "1"].configured(
        {"type": "http-request", "method": "get", "url": "{{#a.u#}}"}
    )
    assert set(config.references()) == {("a", "u"), ("a", "h"), ("a", "k"), ("a", "n"), ("a", "f")}
    assert set(plain.references()) == {("a", "u")}
    assert [*config.demands()] == [Demand(("a", "f"), ANY_FILE)]
    assert plain.gives() == {
        "status_code": ValueType.NUMBER,
        "body": ValueType.STRING,
        "headers": ValueType.OBJECT,
        "files": ValueType.ARRAY_FILE,
    }


# What comes back


@pytest.mark.parametrize(
    ("kind", "body", "text"),
    [
        ("application/json", b'{"a": 1}', '{"a": 1}'),
        ("application/problem+json; charset=utf-8", b"{}", "{}"),
        ("text/html; charset=gbk", "中文".encode("gbk"), "中文"),
        ("", b"text " * 99 + b"\0", "text " * 99),
    ],
)
def test_text_is_the_body(caller: Caller, kind: str, body: bytes, text: str) -> None:
    caller.server.then(
        Reply(status=201, headers={"Content-Type": kind, "X-A": "1"} if kind else {}, body=body)
    )
    outputs = caller.run().outputs
    assert (outputs["status"], outputs["body"], outputs["files"]) == (201, text, [])
    assert isinstance(outputs["headers"], dict)
    assert outputs["headers"].get("x-a") == ("1" if kind else None)


@pytest.mark.parametrize(
    ("headers", "path", "name", "kind"),
    [
        ({"Content-Type": "image/png"}, "/a/cat.png?x=1", "cat.png", "image/png"),
        ({"Content-Type": "image/png"}, "/", "file.png", "image/png"),
        ({"Content-Type": "application/octet-stream"}, "/x%2Fdump", "dump.bin", "application/octet-stream"),
        (
            {"Content-Disposition": 'attachment; filename="../r.csv"', "Content-Type": "text/csv"},
            "/",
            "r.csv",
            "text/csv",
        ),
        (
            {"Content-Disposition": "inline; filename*=UTF-8''%C3%A9.txt"},
            "/",
            "é.txt",
            "application/octet-stream",
        ),
    ],
)
def test_file_is_kept(caller: Caller, headers: dict[str, str], path: str, name: str, kind: str) -> None:
    caller.server.then(Reply(headers=headers, body=b"bytes"))
    outputs = caller.run(url=caller.server.url + path).outputs
    assert caller.files.saved == [(name, kind, b"bytes")]
    assert (outputs["body"], outputs["files"]) == ("", [{**PDF, "filename": name}])


def test_file_without_bytes_is_none(caller: Caller) -> None:
    caller.server.then(Reply(headers={"Content-Type": "image/png"}))
    assert caller.run(method="head").outputs["files"] == []


@pytest.mark.parametrize("kind", ["text/plain", "image/png"])
def test_answer_above_its_limit_fails(caller: Caller, kind: str) -> None:
    caller.limits = FlowLimits(http_text_bytes=10, http_file_bytes=10)
    caller.server.then(Reply(headers={"Content-Type": kind}, body=bytes(11)))
    assert "more than 10 bytes" in str(caller.run().finished.error)


def test_redirects_are_followed(caller: Caller) -> None:
    caller.server.then(Reply(status=302, headers={"Location": "/there"}), Reply(body=b"there"))
    assert caller.run().outputs["body"] == "there"


# What fails


def test_refusal_is_an_answer_unless_provided_for(caller: Caller) -> None:
    caller.server.then(Reply(status=404, body=b"gone"))
    outputs = caller.run().outputs
    assert (outputs["status"], outputs["body"]) == (404, "gone")


def test_refusal_fails_where_it_is_provided_for(caller: Caller) -> None:
    caller.server.then(Reply(status=503, body=b"busy"))
    ran = caller.run(error_strategy="default-value", default_value=[{"key": "body", "value": "later"}])
    assert ran.finished.status == "partial-succeeded"
    assert ran.outputs["body"] == "later"
    assert ran.of("h")[0].error == "The request was answered with status 503."


def test_node_tries_again_and_nobody_else_does(caller: Caller) -> None:
    caller.server.then(Reply(status=500, body=b"no"), Reply(raw=[Step.DROP]), Reply(body=b"yes"))
    retry = {"retry_enabled": True, "max_retries": "2", "retry_interval": 0}
    ran = caller.run(method="post", body={"type": "raw-text", "data": "x"}, retry_config=retry)
    assert [event.status for event in ran.of("h")] == ["retry", "retry", "succeeded"]
    assert ran.of("h")[0].outputs["body"] == "no"
    assert len(caller.server.seen) == 3


def test_broken_call_is_sent_once(caller: Caller) -> None:
    caller.server.then(Reply(raw=[Step.DROP]))
    ran = caller.run(method="post", body={"type": "raw-text", "data": "x"})
    assert "broke off" in str(ran.finished.error)
    assert len(caller.server.seen) == 1


def test_address_inside_is_refused_unless_allowed(caller: Caller) -> None:
    with contextlib.closing(HTTPClient(EgressPolicy(), PATIENT)) as strict:
        caller.client = strict
        ran = caller.run(error_strategy="fail-branch")
    assert ran.of("h")[0].outputs["error_type"] == "EgressDenied"
    assert caller.server.seen == []


def test_waits_are_capped(caller: Caller) -> None:
    caller.limits = FlowLimits(http_read_s=0.05, http_write_s=0.05)
    caller.server.then(Reply(raw=[Step.HANG]))
    ran = caller.run(timeout={"connect": 300, "read": 300, "max_read_timeout": 0})
    assert "did not answer in time" in str(ran.finished.error)


def test_waits_are_those_asked_for(caller: Caller) -> None:
    caller.server.then(Reply(raw=[Step.HANG]))
    began = time.monotonic()
    ran = caller.run(timeout={"connect": 0.1, "read": 0.05, "write": 0.05})
    assert "did not answer in time" in str(ran.finished.error)
    assert_quick(time.monotonic() - began, 2)


def test_trickle_ends_with_the_total(caller: Caller) -> None:
    caller.server.then(Reply(steps=[b"x", 0.02] * 2_500))
    ran = caller.run(timeout={"connect": 0.5, "read": 0.5, "write": 0.5})
    assert "(total)" in str(ran.finished.error)


def test_stop_closes_the_connection_within_300_ms(caller: Caller) -> None:
    caller.server.then(Reply(steps=[b"x", Step.HANG]))
    cancel = Cancel()
    stopped_at = set_when(cancel, lambda: caller.server.sent_bytes > 0)
    ran = caller.run(cancel=cancel)
    took_s = time.monotonic() - stopped_at[0]
    assert ran.finished.status == "stopped"
    assert caller.server.wait_for_hangup(30)
    assert_quick(took_s, 0.3)


def test_certificates_count_unless_told_otherwise(caller: Caller) -> None:
    told: list[bool] = []

    class Noting(HTTPClient):
        def stream(self, *args: Any, verify: bool = True, **values: Any) -> Any:
            told.append(verify)
            return super().stream(*args, verify=verify, **values)

    with contextlib.closing(Noting(EgressPolicy(allow_private=True), PATIENT)) as client:
        caller.client = client
        caller.run()
        caller.run(ssl_verify=False)
    assert told == [True, False]


def test_secrets_of_the_workflow_are_never_shown(caller: Caller) -> None:
    ran = caller.run(
        {},
        pool={"env": {"key": 'p/w"1'}},
        secrets=('p/w"1',),
        method="post",
        params="k:{{#env.key#}}",
        headers="X-Key:{{#env.key#}}",
        body={"type": "json", "data": '{"k": "{{#env.key#}}"}'},
    )
    assert caller.seen.json == {"k": 'p/w"1'}
    shown = str(ran.of("h")[0].process_data["request"])
    assert shown.count("********") == 3
    assert "w" not in shown.replace("application", "").replace("www", "")
