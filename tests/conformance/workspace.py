"""A workspace on a running program with one app of each kind, made through the console."""

from dataclasses import dataclass
from typing import Any

from tests import flows
from tests.conformance.client import Client
from tests.live.conftest import Served, set_up
from tests.servers import Reply, ScriptedServer, Seen
from tests.uploads import MP3

PROVIDER = "openai_api_compatible"
MODELS = {"llm": "my-chat", "text-embedding": "my-embed", "speech2text": "my-ears", "tts": "my-voice"}
CONSOLE = "/console/api"
ON = {"enabled": True}
FEATURES = {
    "suggested_questions_after_answer": ON,
    "speech_to_text": ON,
    "text_to_speech": ON,
    "retriever_resource": ON,
}
CHATFLOW = {
    "nodes": [flows.drawn("s", "start"), flows.drawn("a", "answer", answer="Hello")],
    "edges": flows.edges("s > a"),
}
FLOW = {
    "nodes": [flows.drawn("s", "start"), flows.drawn("e", "end", outputs=[])],
    "edges": flows.edges("s > e"),
}
ASKING = {
    "nodes": [
        flows.drawn("s", "start"),
        flows.drawn("h", "human-input", form_content="Go on?", user_actions=[{"id": "yes", "title": "Yes"}]),
        flows.drawn("e", "end", outputs=[]),
    ],
    "edges": flows.edges("s > h [yes] > e"),
}
MOOD = {"name": "mood", "value_type": "string", "value": "calm"}


def answer_as_a_model(seen: Seen) -> Reply:
    """Say what a server with models of every type says."""
    if seen.method == "GET":
        return Reply.of_json({"object": "list", "data": []})
    if seen.target.endswith("/audio/transcriptions"):
        return Reply.of_json({"text": "Hello."})
    if seen.target.endswith("/audio/speech"):
        return Reply(body=MP3)
    if seen.target.endswith("/embeddings"):
        rows = [{"index": place, "embedding": [1.0, 0.5]} for place, _ in enumerate(seen.json["input"])]
        return Reply.of_json({"data": rows, "usage": {"prompt_tokens": 1}})
    return Reply.of_events(
        {"choices": [{"index": 0, "delta": {"content": '["Why?", "How?", "When?"]'}, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}},
    )


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """A program and the keys that open it, by what they open."""

    served: Served
    keys: dict[str, str]

    def client(self, mount: str, key: str) -> Client:
        """Return a client of a mount."""
        return Client(port=self.served.port, mount=mount, key=self.keys[key])


def make_workspace(served: Served, models: ScriptedServer) -> Workspace:
    """Make an owner, models and apps."""
    models.then(answer_as_a_model)
    set_up(served, f"{models.url}/v1")
    path = f"{CONSOLE}/workspaces/current"
    for kind, model in MODELS.items():
        named = {"model": model, "model_type": kind}
        _post(served, f"{path}/model-providers/{PROVIDER}/models", named)
        chosen = {**named, "provider": PROVIDER}
        _post(served, f"{path}/default-model", {"model_settings": [chosen]})
    keys = {mode: _make_app(served, mode) for mode in ("chat", "completion")}
    keys["advanced-chat"] = _make_flow(served, "advanced-chat", CHATFLOW, conversation_variables=[MOOD])
    keys["workflow"] = _make_flow(served, "workflow", FLOW)
    keys["asking"] = _make_flow(served, "workflow", ASKING)
    keys["dataset"] = _post(served, f"{CONSOLE}/datasets/api-keys", {})["token"]
    return Workspace(served=served, keys=keys)


def _make_app(served: Served, mode: str) -> str:
    app = _post(served, f"{CONSOLE}/apps", {"name": f"A {mode} app", "mode": mode})
    model = {"provider": PROVIDER, "name": MODELS["llm"], "completion_params": {}}
    config = {"model": model, **FEATURES} | ({"pre_prompt": "Say {{query}}"} if mode == "completion" else {})
    _post(served, f"{CONSOLE}/apps/{app['id']}/model-config", config)
    return _make_key(served, app["id"])


def _make_flow(served: Served, mode: str, graph: object, **draft: object) -> str:
    count = len(served.call("GET", f"{CONSOLE}/apps")[1]["data"])
    app = _post(served, f"{CONSOLE}/apps", {"name": f"Flow {count}", "mode": mode})
    _post(served, f"{CONSOLE}/apps/{app['id']}/workflows/draft", {"graph": graph, **draft})
    _post(served, f"{CONSOLE}/apps/{app['id']}/workflows/publish", {})
    return _make_key(served, app["id"])


def _make_key(served: Served, app_id: str) -> str:
    return str(_post(served, f"{CONSOLE}/apps/{app_id}/api-keys", {})["token"])


def _post(served: Served, path: str, body: object) -> Any:
    status, answer = served.call("POST", path, body)
    assert status < 300, (path, status, answer)
    return answer
