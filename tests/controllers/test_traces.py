"""Traces: what a collector is sent of chats, workflows and jobs; and what of a collector that is away."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from api.core.ports import JSONObject
from api.runtime import Runtime
from api.tasks.registry import run_job
from tests.conftest import ReadsHere, make_house, make_settings, stop_house
from tests.factories import ChatApp, Owner, make_app, make_chat_app, make_key, make_owner
from tests.flows import drawn, edges
from tests.knowledge import add_document, make_dataset, wait_until_indexed
from tests.online import reachable
from tests.servers import Reply, ScriptedServer, Seen
from tests.vendors import OpenAIWire
from tests.waiting import wait_until

pytest.importorskip("opentelemetry.sdk.trace", reason="the extra otel is not installed")
pytest.importorskip(
    "opentelemetry.exporter.otlp.proto.common.trace_encoder", reason="the extra otel is not installed"
)

from tests.collector import Collector, Told  # needs the extra

PROVIDER = "openai_api_compatible"
CREDENTIALS = f"/console/api/workspaces/current/model-providers/{PROVIDER}/models/credentials"
TRACE_ID, CALLER_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CALLER = {"traceparent": f"00-{TRACE_ID}-{CALLER_ID}-01", "X-Request-Id": "asked-by-a-test"}
UNSAMPLED = {"traceparent": f"00-{'a' * 32}-{CALLER_ID}-00"}
COLLECTOR_KEY, MODEL_KEY = "planted-collector-key", "planted-model-key"
QUESTION, ANSWER, PROMPT = "planted question", "planted answer", "planted prompt"
EMBEDDINGS = "embeddings multilingual-e5-small"
BROKEN = "m-broken"
PASSAGE = b"planted passage of the harbour"
PLANTED = (COLLECTOR_KEY, MODEL_KEY, QUESTION, ANSWER, PROMPT, PASSAGE.decode(), "planted")
SERVER, CLIENT, CONSUMER = 2, 3, 5
"""Kinds of spans in OTLP."""


@dataclass(frozen=True, kw_only=True)
class Traced:
    """What was done, and what the collector was sent of it."""

    spans: list[Told]
    collector: Collector
    upstream: ScriptedServer
    owner: Owner
    chat: ChatApp
    broken: ChatApp
    flow_id: str
    flow_answer: Any

    def one(self, name: str, under: Told | None = None) -> Told:
        """Return the only span of a name, below another where that is given."""
        found = [
            span
            for span in self.spans
            if span.name == name and (under is None or span.parent_id == under.span_id)
        ]
        assert len(found) == 1, [(span.name, span.facts) for span in self.spans]
        return found[0]

    def of_app(self, name: str, app_id: str) -> Told:
        """Return the only span of a name that is for an app."""
        found = [span for span in self.spans if span.name == name and span.facts["slipway.app_id"] == app_id]
        assert len(found) == 1, [(span.name, span.facts) for span in self.spans]
        return found[0]


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    """A program that traces, in which a chat, a workflow and a document were had, and calls that failed."""
    with ExitStack() as stack:
        collector = stack.enter_context(Collector())
        upstream = stack.enter_context(ScriptedServer(_answer))
        house = make_traced(
            tmp_path_factory.mktemp("traced"),
            collector.url,
            otel_exporter_otlp_headers=f"x-api-key={COLLECTOR_KEY}",
            otel_service_name="slipway-of-a-test",
        )
        stack.callback(stop_house, house)
        runtime = stack.enter_context(reachable(house, upstream))
        owner = make_owner(runtime)
        client = house.test_client()
        chat, broken, flow = _make_apps(client, runtime, owner, upstream)
        asked = {"query": QUESTION, "user": "ada", "response_mode": "streaming", "auto_generate_name": False}
        _send(client, "/v1/chat-messages", asked, {**chat.headers, **CALLER})
        _send(client, "/v1/chat-messages", asked, {**chat.headers, **UNSAMPLED})
        run = {"inputs": {"q": QUESTION}, "user": "ada", "response_mode": "blocking"}
        answer = _send(client, "/v1/workflows/run", run, flow.headers).get_json()
        _send(client, "/v1/workflows/run", {**run, "inputs": {}}, flow.headers)
        _send(client, "/v1/chat-messages", asked, broken.headers)
        client.get("/v1/info", headers={"Authorization": "Bearer app-planted-wrong-key"}).close()
        wait_until(lambda: not runtime.live_runs and not runtime.live_jobs)
        runtime.tracer.stop(10.0)
        yield Traced(
            spans=collector.spans,
            collector=collector,
            upstream=upstream,
            owner=owner,
            chat=chat,
            broken=broken,
            flow_id=flow.id,
            flow_answer=answer,
        )


def make_traced(data_dir: Path, url: str, **values: object) -> Flask:
    """Return a program with its worker that sends traces."""
    house = make_house(
        make_settings(data_dir, otel_exporter_otlp_endpoint=url, log_level="WARNING", **values)
    )
    made: Runtime = replace(house.extensions["runtime"], extractor=ReadsHere())
    house.extensions["runtime"] = made
    made.queue.start(partial(run_job, made), ())
    return house


def _answer(seen: Seen) -> Reply:
    if seen.method == "GET":
        return Reply.of_json({"object": "list", "data": [], "said": ANSWER})
    if seen.json["model"] == BROKEN:
        return Reply.of_json(OpenAIWire().error(f"{QUESTION} with {MODEL_KEY}"), 400)
    return Reply.of_events(*OpenAIWire().text(ANSWER))


def _send(client: FlaskClient, path: str, body: object, headers: dict[str, str]) -> Any:
    answer = client.post(path, json=body, headers=headers)
    assert answer.data is not None
    answer.close()
    return answer


def _make_apps(
    client: FlaskClient, runtime: Runtime, owner: Owner, upstream: ScriptedServer
) -> tuple[ChatApp, ChatApp, ChatApp]:
    form = {"endpoint_url": f"{upstream.url}/v1", "api_key": MODEL_KEY}
    for name in ("m-1", BROKEN):
        body = {"model": name, "model_type": "llm", "credentials": form}
        added = client.post(CREDENTIALS, json=body, headers=owner.headers)
        assert added.status_code == 201, added.text
    model: JSONObject = {"provider": PROVIDER, "name": "m-1", "mode": "chat", "completion_params": {}}
    chat = make_chat_app(runtime, owner, model=model, pre_prompt=PROMPT)
    broken = make_chat_app(runtime, owner, model={**model, "name": BROKEN})
    dataset_id = make_dataset(runtime, owner)
    document = add_document(client, owner, dataset_id, content=PASSAGE, indexing_technique="high_quality")
    wait_until_indexed(runtime, document["id"])
    nodes = [
        drawn(
            "s", "start", variables=[{"variable": "q", "label": "Q", "type": "text-input", "required": False}]
        ),
        drawn(
            "k",
            "knowledge-retrieval",
            query_variable_selector=["s", "q"],
            dataset_ids=[dataset_id],
            retrieval_mode="multiple",
            multiple_retrieval_config={"top_k": 2, "reranking_enable": False},
        ),
        drawn("l", "llm", model=model, prompt_template=[{"role": "user", "text": f"{PROMPT} {{{{#s.q#}}}}"}]),
        drawn("t", "tool", provider_type="builtin", provider_id="time", tool_name="current_time"),
        drawn("h", "http-request", method="get", url=f"{upstream.url}/planted/path"),
        drawn("e", "end", outputs=[{"variable": "x", "value_selector": ["l", "text"]}]),
    ]
    flow_id = make_app(runtime, owner, mode="workflow")
    graph = {"nodes": nodes, "edges": edges("s > k > l > t > h > e")}
    for step, sent in (("draft", {"graph": graph}), ("publish", {})):
        path = f"/console/api/apps/{flow_id}/workflows/{step}"
        answer = client.post(path, json=sent, headers=owner.headers)
        assert answer.status_code < 300, answer.text
    return chat, broken, ChatApp(id=flow_id, key=make_key(runtime, owner, flow_id), owner=owner)


def test_chat_is_told_as_one_tree_under_its_caller(traced: Traced) -> None:
    request = traced.of_app("POST /v1/chat-messages", traced.chat.id)
    run = traced.of_app("run chat", traced.chat.id)
    model = traced.one("chat m-1", under=run)

    assert (request.trace_id, request.parent_id, request.kind) == (TRACE_ID, CALLER_ID, SERVER)
    assert (run.trace_id, run.parent_id) == (TRACE_ID, request.span_id)
    assert (model.trace_id, model.kind) == (TRACE_ID, CLIENT)
    expected = {
        "http.request.method": "POST",
        "http.route": "/v1/chat-messages",
        "http.response.status_code": 200,
        "slipway.request_id": "asked-by-a-test",
        "slipway.tenant_id": traced.owner.tenant_id,
        "slipway.app_id": traced.chat.id,
    }
    assert request.facts == expected
    assert run.facts["slipway.tenant_id"] == traced.owner.tenant_id
    assert (run.facts["slipway.app_mode"], run.facts["slipway.status"]) == ("chat", "finished")
    assert run.facts["slipway.task_id"]
    told = {name: model.facts[name] for name in model.facts if name.startswith("gen_ai.")}
    assert told == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": PROVIDER,
        "gen_ai.request.model": "m-1",
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 3,
    }
    assert 0 < model.facts["slipway.first_token_s"] <= model.took_s
    assert request.took_s >= model.took_s  # a stream is told until its client has all of it


def test_workflow_is_told_by_its_nodes_and_what_they_call(traced: Traced) -> None:
    assert traced.flow_answer["data"]["status"] == "succeeded", traced.flow_answer
    run = next(
        span for span in traced.spans if span.facts.get("slipway.task_id") == traced.flow_answer["task_id"]
    )
    nodes = {span.facts["slipway.node_id"]: span for span in traced.spans if span.parent_id == run.span_id}

    assert {node_id: span.name for node_id, span in nodes.items()} == {
        "s": "node start",
        "k": "node knowledge-retrieval",
        "l": "node llm",
        "t": "node tool",
        "h": "node http-request",
        "e": "node end",
    }
    assert all(span.facts["slipway.status"] == "succeeded" for span in nodes.values())
    assert run.facts["slipway.workflow_run_id"] == traced.flow_answer["workflow_run_id"]
    assert traced.one("chat m-1", under=nodes["l"]).facts["gen_ai.usage.output_tokens"] == 3
    assert (
        traced.one("execute_tool current_time", under=nodes["t"]).facts["gen_ai.tool.name"] == "current_time"
    )
    found = traced.one("retrieval", under=nodes["k"])
    assert (found.facts["slipway.found"], found.trace_id) == (1, run.trace_id)
    assert EMBEDDINGS in {span.name for span in traced.spans if span.parent_id == found.span_id}


def test_those_who_are_called_are_told_the_trace(traced: Traced) -> None:
    models = {
        span.span_id: span.trace_id for span in traced.spans if span.name in ("chat m-1", "node http-request")
    }
    sent = [
        seen.headers["traceparent"].split("-")
        for seen in traced.upstream.seen
        if "traceparent" in seen.headers
    ]

    told = {span_id: trace_id for _, trace_id, span_id, flags in sent if int(flags, 16) & 1}
    assert models.items() <= told.items()
    assert ["a" * 32, "00"] in [
        [trace_id, flags] for _, trace_id, _, flags in sent
    ]  # its caller wants no trace
    assert not any(span.trace_id == "a" * 32 for span in traced.spans)


def test_job_goes_on_with_the_trace_that_asked_for_it(traced: Traced) -> None:
    job = traced.one("job index_document")
    request = next(span for span in traced.spans if span.span_id == job.parent_id)

    assert (job.kind, request.kind, job.trace_id) == (CONSUMER, SERVER, request.trace_id)
    assert job.facts["slipway.tenant_id"] == traced.owner.tenant_id
    assert job.facts["slipway.queue"] == "indexing"
    assert traced.one(EMBEDDINGS, under=job).facts["slipway.texts"] == 1


def test_failures_are_told_by_their_kind(traced: Traced) -> None:
    run = traced.of_app("run chat", traced.broken.id)
    model = traced.one(f"chat {BROKEN}", under=run)
    refused = traced.one("GET /v1/info")

    assert (run.is_error, run.facts["error.type"]) == (True, "completion_request_error")
    assert (model.is_error, model.facts["error.type"]) == (True, "CompletionFailed")

    assert (refused.facts["http.response.status_code"], refused.is_error) == (401, False)


def test_no_span_holds_what_people_wrote_or_a_secret(traced: Traced) -> None:
    assert traced.collector.seen[0].headers["x-api-key"] == COLLECTOR_KEY
    assert traced.collector.seen[0].target == "/v1/traces"
    assert traced.collector.resource["service.name"] == "slipway-of-a-test"
    for planted in (*PLANTED, traced.chat.key, traced.owner.token):
        assert planted.encode() not in traced.collector.raw, planted


def test_collector_that_is_away_costs_its_spans_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with ScriptedServer(Reply()) as gone:
        url = gone.url
    house = make_traced(tmp_path, url)
    runtime: Runtime = house.extensions["runtime"]
    client = house.test_client()
    for _ in range(40):
        assert client.get("/health").status_code == 200
    wait_until(lambda: runtime.metrics.totals["dropped_spans"] >= 32)
    runtime.tracer.stop(5.0)
    told = client.get("/metrics").text
    stop_house(house)

    assert "slipway_dropped_spans_total 40" in told
    assert capsys.readouterr().err.count("spans are dropped: the collector does not take them") == 1
