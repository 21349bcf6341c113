"""GET /metrics: what it tells, in a form Prometheus reads, and to whom."""

import re
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import delete
from werkzeug.test import TestResponse

from api.core.ports import Queue
from api.errors import Unavailable
from api.models.job import JobRow
from api.runtime import Runtime
from tests.conftest import ONCE
from tests.factories import ChatApp, Owner, make_chat_app
from tests.fakes import Script

LINE = re.compile(r'([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\]|\\.)*",?)+)\})? (\S+)')


def read(answer: TestResponse) -> dict[str, float]:
    """Return the samples by name and labels; every line must be of the text format."""
    assert answer.status_code == 200, answer.text
    assert answer.text.endswith("\n")
    samples: dict[str, float] = {}
    told: set[str] = set()
    for line in answer.text.splitlines():
        if line.startswith("# TYPE "):
            name = line.split()[2]
            assert name not in told
            told.add(name)
        elif not line.startswith("# HELP "):
            found = LINE.fullmatch(line)
            assert found, line
            assert {found[1], re.sub("_(bucket|sum|count)$", "", found[1])} & told, line
            key = line.rpartition(" ")[0]
            assert key not in samples, key
            samples[key] = float(found[3])
    return samples


def metrics(client: FlaskClient) -> dict[str, float]:
    return read(client.get("/metrics"))


def test_requests_are_told_by_route_with_their_quantiles(client: FlaskClient, chat_app: ChatApp) -> None:
    before = metrics(client)
    for status in (200, 404):
        path = chat_app.id if status == 200 else "11111111-1111-4111-8111-111111111111"
        answer = client.get(f"/console/api/apps/{path}", headers=chat_app.owner.headers)
        assert answer.status_code == status
    client.get("/nowhere/at/all")
    client.open("/health", method="BREW")
    after = metrics(client)

    route = 'method="GET",route="/console/api/apps/<app_id>"'
    for labels in (
        f'{route},status="200"',
        f'{route},status="404"',
        'method="GET",route="none",status="404"',
    ):
        key = f"slipway_http_requests_total{{{labels}}}"
        assert after[key] == before.get(key, 0) + 1, key
    assert not any("BREW" in key or "nowhere" in key or chat_app.id in key for key in after)
    for quantile in ("0.5", "0.95", "0.99"):
        key = f'slipway_http_request_duration_quantile_seconds{{{route},quantile="{quantile}"}}'
        assert 0 < after[key] < 600
    buckets = [
        value
        for key, value in after.items()
        if key.startswith(f"slipway_http_request_duration_seconds_bucket{{{route},")
    ]
    assert buckets == sorted(buckets)
    assert buckets[-1] == after[f"slipway_http_request_duration_seconds_count{{{route}}}"]


def test_tokens_streams_pool_and_jobs_are_told(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    app = make_chat_app(runtime, owner, model=Script(["a", "b"]).choice)
    before = metrics(client)
    asked = {"query": "Hi", "user": "ada", "response_mode": "streaming", "auto_generate_name": False}
    streaming = client.post("/v1/chat-messages", json=asked, headers=app.headers)
    frames = iter(streaming.response)
    next(frames)
    during = metrics(client)
    left = client.post("/v1/chat-messages", json=asked, headers=app.headers)
    next(iter(left.response))
    left.close()
    for _ in frames:
        pass
    after = metrics(client)

    assert during["slipway_open_streams"] == before["slipway_open_streams"] + 1
    assert after["slipway_open_streams"] == before["slipway_open_streams"]
    assert after['slipway_tokens_total{direction="in"}'] >= before['slipway_tokens_total{direction="in"}'] + 7
    assert (
        after['slipway_tokens_total{direction="out"}'] >= before['slipway_tokens_total{direction="out"}'] + 5
    )
    assert after["slipway_database_up"] == 1
    assert after["slipway_database_connections_max"] == 10
    assert after['slipway_database_connections{state="used"}'] >= 0
    for name in ("running_runs", "running_jobs", "lease_losses_total", "uncounted_calls_total"):
        assert after[f"slipway_{name}"] >= 0


def test_counters_lose_nothing_when_they_grow_large(client: FlaskClient, runtime: Runtime) -> None:
    name, many = 'slipway_tokens_total{direction="in"}', 12_345_678_901_234
    before = metrics(client)[name]
    runtime.metrics.totals["tokens_in"] += many

    after = metrics(client)[name]
    runtime.metrics.totals["tokens_in"] -= many

    assert 0 <= after - before - many < 100_000  # a job another test left behind may have asked a model


@ONCE
def test_queue_that_is_empty_is_told_to_be(client: FlaskClient, runtime: Runtime) -> None:
    with runtime.transaction() as session:
        session.execute(delete(JobRow))
    runtime.memory.put("counted-jobs", None)

    told = metrics(client)

    waiting = {key: count for key, count in told.items() if key.startswith("slipway_jobs{")}
    assert waiting == {f'slipway_jobs{{queue="{queue}",state="waiting"}}': 0 for queue in Queue}


def test_figures_are_told_while_the_database_is_away(
    client: FlaskClient, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_self: Runtime) -> None:
        raise Unavailable("away")

    monkeypatch.setattr(Runtime, "reading", away)
    runtime.memory.put("counted-jobs", None)
    told = metrics(client)
    runtime.memory.put("counted-jobs", None)

    assert told["slipway_database_up"] == 0
    assert not any(key.startswith("slipway_jobs{") for key in told)


@ONCE
def test_figures_are_for_this_machine_until_there_is_a_token(
    house: Flask, client: FlaskClient, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def status(**sent: Any) -> int:
        return client.get("/metrics", **sent).status_code

    far = {"REMOTE_ADDR": "203.0.113.5"}
    assert status() == status(environ_overrides={"REMOTE_ADDR": "::1"}) == 200
    assert status(environ_overrides=far) == 403
    for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP"):
        assert status(headers={name: "203.0.113.5"}) == 403

    limits = replace(runtime.limits, metrics_token="a-token-of-the-operator")
    monkeypatch.setitem(house.extensions, "runtime", replace(runtime, limits=limits))
    assert status() == status(headers={"Authorization": "Bearer another"}) == 401
    assert status(headers={"Authorization": "a-token-of-the-operator"}) == 401
    token = {"Authorization": "Bearer a-token-of-the-operator"}
    assert status(headers=token, environ_overrides=far) == 200
    assert "a-token-of-the-operator" not in repr(limits)
