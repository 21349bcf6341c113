"""A run is told to stop while a node of it waits: the call behind it is closed, the run ends as stopped."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import Any, BinaryIO

import pytest
from flask import Flask
from flask.testing import FlaskClient

from api.core.ports import Cancel, JSONObject, JSONValue
from api.core.rag.extraction import ExtractionFailed
from api.core.text.tokens import count_tokens
from api.core.workflow import jinja
from api.runtime import Runtime
from tests.conftest import ONCE, make_house, make_settings, stop_house
from tests.factories import Owner, make_app, make_key
from tests.fakes import wait_for_stop
from tests.flows import drawn, edges, template
from tests.knowledge import add_document, make_dataset, wait_until_indexed
from tests.online import reachable
from tests.servers import Reply, ScriptedServer, Seen, Step
from tests.vendors import OpenAIWire
from tests.waiting import assert_quick

CLOSED_S, ENDED_S = 0.3, 0.5
"""What is promised of a stop: until the call behind is closed, and until the last event is told."""
ROOM_S = 0.7
"""What a busy machine may take longer."""
PROVIDER = "openai_api_compatible"
CREDENTIALS = f"/console/api/workspaces/current/model-providers/{PROVIDER}/models/credentials"
SILENT, HALF, EMBEDDING = "silent", "half", "embedding"
MODEL: JSONObject = {"provider": PROVIDER, "name": SILENT, "mode": "chat", "completion_params": {}}
PROMPT: list[JSONValue] = [{"role": "user", "text": "Hi"}]
ENDLESS = {
    "python3": "def main():\n    while True: pass",
    "javascript": "function main() { while (true) {} }",
}
LONG = "{% for a in range(9999) %}{% for b in range(9999) %}{% set c = a * b %}{% endfor %}{% endfor %}"


@dataclass(kw_only=True)
class Upstream:
    """A server that never comes to its end; for embeddings only from when ``is_slow``."""

    is_slow: bool = False
    server: ScriptedServer = field(init=False)

    def __post_init__(self) -> None:
        self.server = ScriptedServer(self._answer)

    def _answer(self, seen: Seen) -> Reply:
        if seen.method == "GET" and seen.target.endswith("/models"):
            return Reply.of_json({"object": "list", "data": []})
        asked = seen.json if seen.body else {}
        if asked.get("model") == EMBEDDING and not self.is_slow:
            return OpenAIWire().vectors(*([1.0, 0.0] for _ in asked["input"]))
        if asked.get("model") == HALF:
            return Reply.of_events(*OpenAIWire().text("Half", end=False), Step.HANG)
        return Reply(raw=[Step.HANG])


@dataclass(kw_only=True)
class Place:
    """A workspace with models and addresses at ``upstream``."""

    client: FlaskClient
    runtime: Runtime
    owner: Owner
    upstream: Upstream

    def publish(self, *inner: JSONObject, ways: str, form: Sequence[JSONObject] = ()) -> str:
        """Publish a workflow of a start, these nodes and an end; return its key."""
        app_id = make_app(self.runtime, self.owner, mode="workflow")
        start = drawn("s", "start", variables=list(form))
        graph = {"nodes": [start, *inner, drawn("e", "end")], "edges": edges(*ways.split(";"))}
        path = f"/console/api/apps/{app_id}/workflows"
        for step, body in (("draft", {"graph": graph}), ("publish", {})):
            answer = self.client.post(f"{path}/{step}", json=body, headers=self.owner.headers)
            assert answer.status_code < 300, answer.text
        return make_key(self.runtime, self.owner, app_id)

    def model(self, name: str, kind: str = "llm") -> None:
        """Make a model of the server known."""
        form = {"endpoint_url": f"{self.upstream.server.url}/v1", "api_key": "k"}
        body = {"model": name, "model_type": kind, "credentials": form}
        added = self.client.post(CREDENTIALS, json=body, headers=self.owner.headers)
        assert added.status_code == 201, added.text

    def llm(self, node_id: str = "n", *, name: str = SILENT, parent: str | None = None) -> JSONObject:
        """Return a node that asks a model."""
        return drawn(node_id, "llm", parent=parent, model={**MODEL, "name": name}, prompt_template=PROMPT)

    def request(self, node_id: str = "n", *, parent: str | None = None) -> JSONObject:
        """Return a node that calls an address."""
        return drawn(node_id, "http-request", parent=parent, method="get", url=self.upstream.server.url)

    def iteration(self, *, threads: int) -> tuple[JSONObject, ...]:
        """Return an iteration over a list, each round of which calls an address."""
        numbers = drawn(
            "l",
            "code",
            code_language="python3",
            code="def main(): return {'x': [1, 2, 3]}",
            variables=[],
            outputs={"x": {"type": "array[number]"}},
        )
        inside = drawn(
            "n",
            "iteration",
            iterator_selector=["l", "x"],
            output_selector=["r", "body"],
            start_node_id="b",
            is_parallel=threads > 1,
            parallel_nums=threads,
        )
        begin = drawn("b", "iteration-start", parent="n")
        return numbers, inside, begin, self.request("r", parent="n")

    def loop(self) -> tuple[JSONObject, ...]:
        """Return a loop, each round of which calls an address."""
        whole = drawn(
            "n", "loop", start_node_id="b", loop_count=3, break_conditions=[], logical_operator="and"
        )
        return whole, drawn("b", "loop-start", parent="n"), self.request("r", parent="n")

    def knowledge(self) -> JSONObject:
        """Return a node that searches a dataset whose embedding model has become slow."""
        self.model(EMBEDDING, "text-embedding")
        dataset_id = make_dataset(
            self.runtime, self.owner, embedding_provider=PROVIDER, embedding_model=EMBEDDING
        )
        document = add_document(self.client, self.owner, dataset_id, indexing_technique="high_quality")
        wait_until_indexed(self.runtime, document["id"])
        self.upstream.is_slow = True
        return drawn(
            "n",
            "knowledge-retrieval",
            query_variable_selector=["sys", "user_id"],
            dataset_ids=[dataset_id],
            retrieval_mode="multiple",
            multiple_retrieval_config={"top_k": 2, "reranking_enable": False},
        )


class ReadsForEver:
    """Implements Extractor by a document that has no end."""

    def extract(self, content: BinaryIO, extension: str, *, cancel: Cancel) -> str:
        del content, extension
        wait_for_stop(cancel)
        raise ExtractionFailed("Reading the document was stopped.")


@dataclass(frozen=True, kw_only=True)
class Stopped:
    """What came of a stop: seconds until the call was closed and the last event told, and that event."""

    closed_s: float
    ended_s: float
    event: Any
    run: Any

    def check(self) -> None:
        """Assert that all was as it is promised."""
        assert self.event["event"] == "workflow_finished"
        assert self.event["data"]["status"] == "stopped"
        assert (self.run["status"], self.run["outputs"]) == ("stopped", {})
        assert_quick(self.closed_s, CLOSED_S + ROOM_S)
        assert_quick(self.ended_s, ENDED_S + ROOM_S)


def run_and_stop(
    place: Place, key: str, *, calls: int, inputs: JSONObject | None = None, by: FlaskClient | None = None
) -> Stopped:
    """Run a workflow, stop it when node ``n`` waits with so many calls, and see how it ends."""
    headers = {"Authorization": f"Bearer {key}"}
    before = len(place.upstream.server.seen)
    body = {"user": "ada", "inputs": inputs or {}, "response_mode": "streaming"}
    frames = _events(place.client.post("/v1/workflows/run", json=body, headers=headers).response)
    waits = next(e for e in frames if e["event"].endswith("_started") and e["data"].get("node_id") == "n")
    _wait_until(lambda: len(place.upstream.server.seen) >= before + calls)
    if not calls:
        time.sleep(0.2)  # the code is on its way: nothing tells when it has begun

    asked = time.monotonic()
    path = f"/v1/workflows/tasks/{waits['task_id']}/stop"
    stopped = (by or place.client).post(path, json={"user": "ada"}, headers=headers)
    assert stopped.status_code == 200, stopped.text
    assert not calls or place.upstream.server.wait_for_hangup(30.0)
    closed_s = time.monotonic() - asked
    last = list(frames)[-1]
    ended_s = time.monotonic() - asked
    run = place.client.get(f"/v1/workflows/run/{waits['workflow_run_id']}", headers=headers).get_json()
    return Stopped(closed_s=closed_s, ended_s=ended_s, event=last, run=run)


def _events(chunks: Any) -> Iterator[Any]:
    """Yield the events of a stream as they come."""
    for chunk in chunks:
        for line in (chunk if isinstance(chunk, str) else chunk.decode()).splitlines():
            if line.startswith("data: "):
                yield json.loads(line.removeprefix("data: "))


def _wait_until(is_so: Callable[[], bool], timeout_s: float = 30.0) -> None:
    end = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < end, "the node did not come to wait"
        time.sleep(0.005)


@pytest.fixture
def place(house: Flask, runtime: Runtime, owner: Owner) -> Iterator[Place]:
    """A workspace beside a server that never comes to its end."""
    count_tokens("")  # its table takes a second to load, as the program does when it starts
    upstream = Upstream()
    with ExitStack() as opened:
        opened.enter_context(upstream.server)
        opened.enter_context(reachable(house, upstream.server))
        made = Place(client=house.test_client(), runtime=runtime, owner=owner, upstream=upstream)
        for name in (SILENT, HALF):
            made.model(name)
        yield made


@ONCE
@pytest.mark.parametrize("name", [SILENT, HALF])
def test_model_before_its_first_word_and_in_the_middle(place: Place, name: str) -> None:
    key = place.publish(place.llm(name=name), ways="s > n > e")
    run_and_stop(place, key, calls=1).check()


@ONCE
@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (
            "question-classifier",
            {"query_variable_selector": ["sys", "user_id"], "classes": [{"id": "1", "name": "a"}]},
        ),
        (
            "parameter-extractor",
            {
                "query": ["sys", "user_id"],
                "parameters": [{"name": "p", "type": "string", "description": "p", "required": True}],
                "reasoning_mode": "prompt",
            },
        ),
    ],
)
def test_model_that_is_asked_for_an_object(place: Place, kind: str, settings: Any) -> None:
    key = place.publish(
        drawn("n", kind, model=MODEL, **settings), ways="s > n > e" if kind[0] == "p" else "s > n [1] > e"
    )
    run_and_stop(place, key, calls=1).check()


@ONCE
def test_address_that_does_not_answer(place: Place) -> None:
    key = place.publish(place.request(), ways="s > n > e")
    run_and_stop(place, key, calls=1).check()


@ONCE
@pytest.mark.parametrize("language", ENDLESS)
def test_code_without_an_end(place: Place, language: str) -> None:
    node = drawn(
        "n",
        "code",
        code_language=language,
        code=ENDLESS[language],
        variables=[],
        outputs={"x": {"type": "string"}},
    )
    run_and_stop(place, place.publish(node, ways="s > n > e"), calls=0).check()


@ONCE
def test_template_that_takes_long(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jinja, "RENDER_S", 10.0)  # its own second would end it before a stop had to
    run_and_stop(place, place.publish(template("n", LONG), ways="s > n > e"), calls=0).check()


@ONCE
@pytest.mark.parametrize("threads", [1, 3])
def test_iteration(place: Place, threads: int) -> None:
    key = place.publish(*place.iteration(threads=threads), ways="s > l > n > e;b > r")
    run_and_stop(place, key, calls=threads).check()


@ONCE
def test_loop(place: Place) -> None:
    key = place.publish(*place.loop(), ways="s > n > e;b > r")
    run_and_stop(place, key, calls=1).check()


@ONCE
def test_knowledge_whose_embedding_is_slow(place: Place) -> None:
    key = place.publish(place.knowledge(), ways="s > n > e")
    run_and_stop(place, key, calls=1).check()


@ONCE
def test_document_that_takes_long_to_read(place: Place, house: Flask) -> None:
    house.extensions["runtime"] = replace(house.extensions["runtime"], extractor=ReadsForEver())
    node = drawn("n", "document-extractor", variable_selector=["s", "file"])
    file: JSONObject = {
        "variable": "file",
        "label": "File",
        "type": "file",
        "allowed_file_types": ["document"],
    }
    key = place.publish(node, ways="s > n > e", form=[file])
    sent = {"file": (BytesIO(b"%PDF-1.4"), "a.pdf"), "user": "ada"}
    made = place.client.post("/v1/files/upload", data=sent, headers={"Authorization": f"Bearer {key}"})
    ref: JSONObject = {"transfer_method": "local_file", "upload_file_id": made.get_json()["id"]}

    run_and_stop(place, key, calls=0, inputs={"file": {"type": "document", **ref}}).check()


@ONCE
def test_nodes_side_by_side(place: Place) -> None:
    key = place.publish(
        place.request("n"), place.request("m"), place.llm("o"), ways="s > n > e;s > m > e;s > o > e"
    )
    run_and_stop(place, key, calls=3).check()


@ONCE
def test_pause_before_another_try(place: Place) -> None:
    gone = drawn(
        "n",
        "http-request",
        method="get",
        url="http://127.0.0.1:1/",
        retry_config={"retry_enabled": True, "max_retries": 3, "retry_interval": 60_000},
    )
    run_and_stop(place, place.publish(gone, ways="s > n > e"), calls=0).check()


@pytest.mark.parametrize("house", ["scaled"], indirect=True)
def test_stop_comes_from_another_process(
    place: Place, postgres_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    settings = make_settings(tmp_path_factory.mktemp("other"), database_url=postgres_url, redis_url=redis_url)
    other = make_house(settings)
    key = place.publish(place.llm(name=HALF), ways="s > n > e")

    run_and_stop(place, key, calls=1, by=other.test_client()).check()

    stop_house(other)
