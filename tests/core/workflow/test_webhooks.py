"""Requests to webhooks: what each declared name gets, and what is refused."""

from typing import Any

import pytest

from api.core.ports import JSONObject, JSONValue
from api.core.workflow.variables import ValueType
from api.core.workflow.webhooks import WebhookCall, WebhookConfig, outputs_of
from api.errors import InvalidRequest

FILE: JSONObject = {"dify_model_identity": "__dify__file__", "filename": "a.pdf"}
OTHER: JSONObject = {**FILE, "filename": "b.pdf"}
MULTIPART, TEXT, OCTETS = (
    "multipart/form-data; boundary=x",
    "text/plain; charset=utf-8",
    "application/octet-stream",
)


def take(config: JSONObject, **call: Any) -> JSONObject:
    """Return what a request gives; by POST and of the webhook's type where nothing else is said."""
    settings = WebhookConfig.model_validate({"type": "trigger-webhook", **config})
    asked = {"method": "POST", "content_type": settings.content_type, **call}
    return outputs_of(settings, WebhookCall(**asked))


def named(name: str, kind: str = "string", *, required: bool = False) -> JSONObject:
    return {"name": name, "type": kind, "required": required}


def refusal(config: JSONObject, **call: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as refused:
        take(config, **call)
    return refused.value


def test_everything_declared_goes_out_by_name_and_the_request_as_a_whole() -> None:
    outputs = take(
        {
            "headers": [{"name": "X-Hub-Signature", "required": True}, {"name": "Authorization"}],
            "params": [named("page", "number"), named("all", "boolean"), named("none")],
            "body": [named("payload", "object", required=True), named("absent", "array[string]")],
        },
        content_type="application/json; charset=utf-8",
        headers={"x-hub-signature": "sig", "Authorization": "Bearer t", "COOKIE": "c", "Host": "h"},
        params={"page": "2", "all": "Yes", "more": "x"},
        body={"payload": {"a": 1}, "extra": 1},
    )
    assert outputs == {
        "X_Hub_Signature": "sig",
        "Authorization": "Bearer t",
        "page": 2,
        "all": True,
        "none": None,
        "payload": {"a": 1},
        "absent": None,
        "_webhook_raw": {
            "method": "POST",
            "headers": {"x-hub-signature": "sig", "host": "h"},
            "query_params": {"page": "2", "all": "Yes", "more": "x"},
            "body": {"payload": {"a": 1}, "extra": 1},
            "files": {},
        },
    }


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("string", "a"),
        ("number", 1.5),
        ("boolean", False),
        ("object", {"a": 1}),
        ("array[string]", ["a"]),
        ("array[number]", [1]),
        ("array[object]", [{}]),
        ("array[boolean]", [True]),
    ],
)
def test_json_is_taken_by_its_types_and_no_others(kind: str, value: JSONValue) -> None:
    config: JSONObject = {"body": [named("x", kind)]}
    assert take(config, body={"x": value})["x"] == value
    wrong = refusal(config, body={"x": "1" if kind != "string" else 1})
    assert (wrong.field, wrong.fault) == ("x", "invalid_type")


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("string", "1", "1"),
        ("number", "-1.5", -1.5),
        ("boolean", "off", False),
        ("boolean", "1", True),
        ("object", '{"a": [1]}', {"a": [1]}),
        ("array[number]", "[1, 2]", [1, 2]),
    ],
)
def test_texts_of_forms_are_read_as_declared(kind: str, text: str, value: JSONValue) -> None:
    config: JSONObject = {"content_type": "application/x-www-form-urlencoded", "body": [named("x", kind)]}
    assert take(config, body={"x": text})["x"] == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [("number", "one"), ("number", "NaN"), ("boolean", "perhaps"), ("object", "{"), ("number", "[1]")],
)
def test_text_that_says_nothing_of_the_kind_is_refused(kind: str, text: str) -> None:
    wrong = refusal({"params": [named("x", kind)]}, params={"x": text})
    assert (wrong.field, wrong.fault) == ("x", "invalid_type")


def test_files_of_a_form_go_by_their_field() -> None:
    config: JSONObject = {
        "content_type": "multipart/form-data",
        "body": [
            named("note"),
            named("doc", "file", required=True),
            named("docs", "array[file]"),
            named("no", "file"),
        ],
    }
    files = {"doc": [FILE, OTHER], "docs": [FILE, OTHER], "no": []}
    outputs = take(config, content_type=MULTIPART, body={"note": "n"}, files=files)
    assert [outputs[name] for name in ("note", "doc", "docs", "no")] == ["n", FILE, [FILE, OTHER], None]
    raw = outputs["_webhook_raw"]
    assert isinstance(raw, dict)
    assert raw["files"] == files


def test_text_and_bytes_go_by_the_only_name() -> None:
    text = take({"content_type": "text/plain", "body": [named("x")]}, content_type=TEXT, body="hi")
    assert text["x"] == "hi"
    config: JSONObject = {"content_type": OCTETS, "body": [named("x", "file")]}
    assert take(config, files={"raw": [FILE]})["x"] == FILE
    assert take(config)["x"] is None
    assert take({"content_type": OCTETS}, files={"raw": [FILE]}).keys() == {"_webhook_raw"}


@pytest.mark.parametrize(("part", "where"), [("headers", "headers"), ("params", "query"), ("body", "body")])
def test_what_is_required_and_missing_is_refused(part: str, where: str) -> None:
    wrong = refusal({part: [named("x", required=True)]}, body={"x": None} if part == "body" else {})
    assert (wrong.message, wrong.fault, wrong.http_status) == (
        f"x is required in the {where}.",
        "required",
        400,
    )


def test_variables_given_are_known() -> None:
    config = WebhookConfig.model_validate(
        {
            "type": "t",
            "headers": [named("X-A")],
            "params": [named("n", "number")],
            "body": [named("f", "file")],
        }
    )
    assert config.gives() == {
        "X_A": ValueType.STRING,
        "n": ValueType.NUMBER,
        "f": ValueType.FILE,
        "_webhook_raw": ValueType.OBJECT,
    }


def test_method_may_be_written_in_any_case() -> None:
    assert take({"method": "Get"}, method="get")
    assert refusal({"method": "GET"}).field == "method"


def test_body_of_another_type_is_refused_but_none_is_none() -> None:
    assert refusal({}, content_type=TEXT, body="x").field == "content_type"
    assert refusal({}, content_type=MULTIPART, files={"x": [FILE]}).field == "content_type"
    assert take({"method": "get"}, method="GET", content_type="")
    assert refusal({}, body=[1]).field == "body"


@pytest.mark.parametrize(
    "config", [{"status_code": 404}, {"method": "brew"}, {"content_type": "x/y"}, {"timeout": 0}]
)
def test_settings_that_make_no_sense_are_refused(config: JSONObject) -> None:
    with pytest.raises(ValueError, match="1 validation error"):
        take(config)
