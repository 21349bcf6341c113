"""Every kind of use of a model over HTTP, against a double: the ledger comes to what that reported."""

import io
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from api.runtime import Runtime
from tests.controllers.app_calls import add_speech
from tests.controllers.console.provider_calls import PROVIDERS
from tests.controllers.service_api.test_chat import open_stream
from tests.controllers.service_api.test_workflows import FlowApp
from tests.controllers.test_usage import load
from tests.factories import ChatApp, Owner, make_chat_app, make_dataset_key
from tests.flows import drawn, edges
from tests.knowledge import CONSOLE, add_document, finish_jobs, make_dataset, put_to_sleep
from tests.model_double import Double, says, to_told
from tests.servers import Reply, ScriptedServer
from tests.sse import parse_events
from tests.uploads import MP3
from tests.waiting import wait_until

PROVIDER = "openai_api_compatible"
RERANKED = {
    "reranking_enable": True,
    "reranking_model": {"reranking_provider_name": PROVIDER, "reranking_model_name": "my-rerank"},
    "top_k": 2,
}
EMBEDDED = {"embedding_model_provider": PROVIDER, "embedding_model": "my-embedding"}
DOUBLE = says(
    ("six words", "A title"),
    ("JSON array", '["Why?"]'),
    ("conditions", "{}"),
    ("number of the one dataset", "1"),
    ("question and answer", "Q1: What is counted?\nA1: Ships."),
)


class Bench:
    """A workspace whose models are those of a double; the test is the worker."""

    def __init__(self, client: FlaskClient, runtime: Runtime, owner: Owner, server: ScriptedServer) -> None:
        self.client, self.runtime, self.owner = client, runtime, owner
        add_speech(client, owner, server, "speech2text", "tts", "llm", "text-embedding", "rerank")
        self.double = Double(DOUBLE)
        server.then(self.double)
        form = {"openai_api_key": "sk-of-the-double", "openai_api_base": f"{server.url}/v1"}
        self.send("POST", f"{PROVIDERS}/openai/credentials", 201, json={"credentials": form})

    def send(self, method: str, path: str, status: int = 200, who: Any = None, **options: Any) -> Any:
        answer = self.client.open(path, method=method, headers=who or self.owner.headers, **options)
        assert answer.status_code == status, answer.text
        return answer

    def work(self) -> None:
        finish_jobs(self.runtime, self.owner)

    def app(self, model: str = "my-llm", **config: Any) -> ChatApp:
        choice = {"provider": PROVIDER, "name": model, "mode": "chat", "completion_params": {}}
        return make_chat_app(self.runtime, self.owner, model=choice, **config)

    def ask(self, app: ChatApp, status: int = 200, **more: Any) -> Any:
        sent = {"query": "What is counted?", "user": "ann", "auto_generate_name": False, **more}
        return self.send("POST", "/api/chat-messages", status, app.headers, json=sent).get_json()

    def document(self, dataset_id: str, **options: Any) -> Any:
        made = add_document(self.client, self.owner, dataset_id, indexing_technique="high_quality", **options)
        self.work()
        return made

    def dataset(self, **values: Any) -> str:
        """Make a dataset with a document."""
        dataset_id = make_dataset(self.runtime, self.owner)
        settings = {"indexing_technique": "high_quality", **EMBEDDED, **values}
        self.send("PATCH", f"{CONSOLE}/{dataset_id}", json=settings)
        self.document(dataset_id)
        return dataset_id


@pytest.fixture
def runtime(house: Flask) -> Iterator[Runtime]:
    """The runtime, its jobs asleep."""
    awake = put_to_sleep(house)
    yield house.extensions["runtime"]
    house.extensions["runtime"] = awake


@pytest.fixture
def bench(client: FlaskClient, runtime: Runtime, owner: Owner) -> Iterator[Bench]:
    with ScriptedServer(Reply()) as server:
        yield Bench(client, runtime, owner, server)


def _index(bench: Bench) -> None:
    """Index documents, have questions and summaries written, and build a dataset anew."""
    summaries = {"enable": True, "model_provider_name": PROVIDER, "model_name": "my-llm"}
    summarised = bench.dataset(summary_index_setting=summaries)
    form = {"provider": PROVIDER, "model": "my-llm", "model_type": "llm"}
    models = "/console/api/workspaces/current/default-model"
    bench.send("POST", models, json={"model_settings": [form]})
    asked = make_dataset(bench.runtime, bench.owner)
    bench.send("PATCH", f"{CONSOLE}/{asked}", json={"indexing_technique": "high_quality", **EMBEDDED})
    bench.document(asked, doc_form="qa_model")
    bench.send("PATCH", f"{CONSOLE}/{summarised}", json={**EMBEDDED, "embedding_model": "my-embedding-2"})
    bench.work()
    assert {name for name, _ in bench.double.told} == {"my-llm", "my-embedding", "my-embedding-2"}


def _search(bench: Bench) -> None:
    """Test retrieval in the console and with a key."""
    dataset_id = bench.dataset()
    model = {"search_method": "hybrid_search", **RERANKED}
    body = {"query": "Who counts ships?", "retrieval_model": model}
    key = {"Authorization": f"Bearer {make_dataset_key(bench.runtime, bench.owner)}"}
    tested, called = f"{CONSOLE}/{dataset_id}/hit-testing", f"/v1/datasets/{dataset_id}/retrieve"
    for path, who in ((tested, None), (called, key)):
        bench.send("POST", path, who=who, json=body)
    rows = load(bench.client, bench.owner, dataset_id=dataset_id, limit="100")
    assert {(row["app_id"], row["dataset_id"]) for row in rows} == {(None, dataset_id)}
    callers = {(row["key_id"] is None, row["end_user_id"]) for row in rows if row["model"] == "my-rerank"}
    assert callers == {(True, bench.owner.account_id), (False, None)}


def _chat(bench: Bench) -> None:
    """Chat under moderation, and have a title and suggestions made."""
    looked = {
        "inputs_config": {"enabled": True, "preset_response": "No."},
        "outputs_config": {"enabled": False},
    }
    avoidance = {"enabled": True, "type": "openai_moderation", "config": looked}
    app = bench.app(sensitive_word_avoidance=avoidance, suggested_questions_after_answer={"enabled": True})
    told = bench.ask(app, auto_generate_name=True)
    bench.work()
    path = f"/api/messages/{told['message_id']}/suggested"
    bench.send("GET", path, who=app.headers, query_string={"user": "ann"})
    used = {row["model"]: row["calls"] for row in load(bench.client, bench.owner, app_id=app.id)}
    assert used == {"my-llm": used["my-llm"], "omni-moderation-latest": 1}


def _chat_with_knowledge(bench: Bench) -> None:
    """Have a model choose the dataset, make a filter and rank what is found."""
    ids = [bench.dataset(), bench.dataset()]
    for dataset_id in ids:
        bench.send("POST", f"{CONSOLE}/{dataset_id}/metadata", 201, json={"type": "string", "name": "author"})
    named = {"datasets": [{"dataset": {"enabled": True, "id": dataset_id}} for dataset_id in ids]}
    for way in ("single", "multiple"):
        configs = {
            "retrieval_model": way,
            "datasets": named,
            "metadata_filtering_mode": "automatic",
            **RERANKED,
        }
        bench.ask(bench.app(dataset_configs=configs))


def _run_workflow(bench: Bench) -> None:
    """Run a workflow that finds and asks."""
    find = drawn(
        "k",
        "knowledge-retrieval",
        query_variable_selector=["s", "name"],
        dataset_ids=[bench.dataset()],
        retrieval_mode="multiple",
        multiple_retrieval_config=RERANKED,
    )
    prompt = [{"role": "user", "text": "{{#context#}}"}]
    context = {"enabled": True, "variable_selector": ["k", "result"]}
    choice = {"provider": PROVIDER, "name": "my-llm", "mode": "chat", "completion_params": {}}
    ask = drawn("m", "llm", model=choice, prompt_template=prompt, context=context)
    name = {"variable": "name", "label": "Name", "type": "text-input", "required": True}
    start, end = drawn("s", "start", variables=[name]), drawn("e", "end", outputs=[])
    graph = {"nodes": [start, find, ask, end], "edges": edges("s > k > m > e")}
    flow = FlowApp(bench.client, bench.runtime, bench.owner, "workflow", graph)
    ran = flow.post("/api/workflows/run", inputs={"name": "ships"}).get_json()
    assert ran["data"]["status"] == "succeeded", ran


def _speak(bench: Bench) -> None:
    """Have something written down, and something read aloud."""
    app = bench.app(speech_to_text={"enabled": True}, text_to_speech={"enabled": True})
    form = {"file": (io.BytesIO(MP3), "a.mp3"), "user": "ann"}
    bench.send("POST", "/api/audio-to-text", who=app.headers, data=form)
    bench.send("POST", "/api/text-to-audio", who=app.headers, json={"text": "Hello.", "user": "ann"})
    rows = load(bench.client, bench.owner, app_id=app.id)
    assert [row["calls"] for row in rows] == [1, 1]
    assert len({(row["key_id"], row["end_user_id"]) for row in rows}) == 1


def _annotate(bench: Bench) -> None:
    """Have questions indexed, and one answered by its annotation."""
    app = bench.app()
    here = f"/console/api/apps/{app.id}"
    bench.send("POST", f"{here}/annotations", json={"question": "What is counted?", "answer": "Ships."})
    names = {"embedding_provider_name": PROVIDER, "embedding_model_name": "my-embedding"}
    bench.send("POST", f"{here}/annotation-reply/enable", json={"score_threshold": 0.9, **names})
    bench.work()
    assert bench.ask(app)["answer"] == "Ships."


def _fail(bench: Bench) -> None:
    """Ask models that report what they took and are of no use then."""
    bench.ask(bench.app("my-llm-broken"), 400)
    dataset_id = make_dataset(bench.runtime, bench.owner)
    bench.send(
        "PATCH",
        f"{CONSOLE}/{dataset_id}",
        json={"indexing_technique": "high_quality", **EMBEDDED, "embedding_model": "my-embedding-broken"},
    )
    made = bench.document(dataset_id)
    shown = bench.send("GET", f"{CONSOLE}/{dataset_id}/documents/{made['id']}").get_json()
    assert shown["indexing_status"] == "error"


def _stop(bench: Bench) -> None:
    """Stop an answer whose model reports as it goes."""
    app = bench.app("my-llm-stopped")
    _, stream = open_stream(bench.client, app, auto_generate_name=False)
    events = (event for chunk in stream for event in parse_events(chunk.decode()))
    event = next(event for event in events if event.get("answer") == ".")
    bench.send("POST", f"/api/chat-messages/{event['task_id']}/stop", who=app.headers, json={"user": "ada"})
    assert list(events)[-1]["event"] == "message_end"


USES = (_index, _search, _chat, _chat_with_knowledge, _run_workflow, _speak, _annotate, _fail, _stop)


@pytest.mark.parametrize("use", USES)
def test_ledger_balances_with_what_models_reported(bench: Bench, use: Callable[[Bench], None]) -> None:
    use(bench)

    told = bench.double.told
    assert sum(count for (_, kind), count in told.items() if kind == "prompt") > 0

    def is_even() -> bool:  # what ends beside its run is written a moment later
        return to_told(load(bench.client, bench.owner, limit="100")) == told

    with suppress(AssertionError):
        wait_until(is_even, 3.0)
    assert to_told(load(bench.client, bench.owner, limit="100")) == told
