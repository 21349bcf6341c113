import importlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import ModuleType

import pytest

from api.core.http import BodyTooLarge, Cancelled, ConnectFailed, ConnectionBroken, TimedOut
from api.core.model_runtime.provider import RetryableFailure
from api.core.model_runtime.upstream import Refused, load_sdk, read_error, scrub, to_refused, upstream
from api.errors import CompletionFailed, ModelUnavailable, QuotaExceeded


@pytest.mark.parametrize(
    ("body", "message", "codes"),
    [
        ({"error": {"message": "m", "type": "T", "code": "c"}}, "m", {"t", "c"}),
        ({"error": {"message": "m", "code": 404}}, "m", {"404"}),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "m"}}, "m", {"overloaded_error"}),
        ({"error": "plain"}, "plain", set()),
        (
            {"object": "error", "message": "m", "type": "NotFoundError", "code": 404},
            "m",
            {"notfounderror", "404"},
        ),
        ({"detail": "m"}, "m", set()),
        ({"detail": [{"msg": "nested"}]}, "", set()),
        ("words", "words", set()),
        ([1], "", set()),
        (None, "", set()),
    ],
)
def test_read_error_shapes_of_many_vendors(body: object, message: str, codes: set[str]) -> None:
    assert read_error(body) == (message, frozenset(codes))


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (429, b'{"error":{"message":"m","code":"insufficient_quota"}}', QuotaExceeded),
        (402, b'{"error":{"message":"Insufficient Balance"}}', QuotaExceeded),
        (400, b'{"error":{"message":"Your credit balance is too low to go on"}}', QuotaExceeded),
        (400, b'{"error":{"message":"m","code":"model_not_found"}}', ModelUnavailable),
        (404, b'{"error":{"message":"m","code":"DeploymentNotFound"}}', ModelUnavailable),
        (404, b"not json", ModelUnavailable),
        (400, b'{"error":{"message":"m"}}', CompletionFailed),
        (422, b"", CompletionFailed),
        (302, b"", CompletionFailed),
    ],
)
def test_upstream_refusal_is_classified(status: int, body: bytes, error: type[Exception]) -> None:
    with pytest.raises(error), upstream(()):
        raise to_refused(status, {}, body)


@pytest.mark.parametrize(
    ("fault", "is_retryable"),
    [
        (ConnectFailed("c"), True),
        (TimedOut("h", "connect"), True),
        (TimedOut("h", "first_byte"), False),
        (TimedOut("h", "total"), False),
        (ConnectionBroken("b", is_midway=False), True),
        (ConnectionBroken("b"), False),
        (BodyTooLarge("l"), False),
        (Refused("m", status=503), True),
        (Refused("m", status=503, is_midway=True), False),
    ],
)
def test_upstream_fault_is_retryable_only_before_any_answer(fault: Exception, is_retryable: bool) -> None:
    with pytest.raises((RetryableFailure, CompletionFailed)) as failed, upstream(()):
        raise fault
    assert isinstance(failed.value, RetryableFailure) == is_retryable
    cause = failed.value.cause if isinstance(failed.value, RetryableFailure) else failed.value
    assert isinstance(cause, CompletionFailed)


def test_upstream_cancelled_passes_through() -> None:
    with pytest.raises(Cancelled), upstream(()):
        raise Cancelled


@pytest.mark.parametrize(
    ("value", "seconds"), [("3", 3.0), ("0.5", 0.5), ("-1", 0.0), ("", None), ("soon", None), ("nan", 0.0)]
)
def test_to_refused_retry_after_in_seconds(value: str, seconds: float | None) -> None:
    assert to_refused(429, {"retry-after": value}, b"").retry_after_s == seconds


def test_to_refused_retry_after_as_a_date() -> None:
    header = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    found = to_refused(429, {"retry-after": header}, b"").retry_after_s
    assert found is not None
    assert 0 < found <= 30


def test_scrub_secrets_and_bearer_tokens_go_short_words_stay() -> None:
    text = scrub("key=abcdef, short=abc, Authorization: bearer xyz.123 end", ("abcdef", "abc"))
    assert text == "key=***, short=abc, Authorization: Bearer *** end"


def test_scrub_long_text_is_cut_after_scrubbing() -> None:
    text = scrub("x" * 495 + "abcdefghij", ("abcdefghij",))
    assert len(text) <= 500
    assert "abc" not in text


class CountingOffload:
    def __init__(self, *, is_busy: bool = False) -> None:
        self.calls = 0
        self.is_busy = is_busy

    def call(self, fn: Callable[[str], ModuleType], name: str, *, timeout_s: float) -> ModuleType:
        self.calls += 1
        if self.is_busy:
            raise TimeoutError(timeout_s)
        return fn(name)


def test_load_sdk_module_is_imported_off_the_loop_once() -> None:
    offload = CountingOffload()
    assert load_sdk("json", offload.call) is importlib.import_module("json")
    assert load_sdk("json", offload.call) is load_sdk("json", offload.call)
    assert offload.calls == 1


def test_load_sdk_too_slow_is_retryable_and_tried_anew() -> None:
    offload = CountingOffload(is_busy=True)
    for _ in range(2):
        with pytest.raises(RetryableFailure):
            load_sdk("json", offload.call)
    assert offload.calls == 2
