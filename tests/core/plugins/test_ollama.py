"""The plugin for Ollama, against a double that speaks Ollama's own wire."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from api.core.egress import EgressPolicy
from api.core.http import HTTPClient, Timeouts
from api.core.model_runtime.provider import (
    ChatModel,
    EmbeddingModel,
    Provider,
    ProviderContext,
    RerankModel,
    RetryableFailure,
)
from api.core.model_runtime.runtime import Answer, fold
from api.core.model_runtime.types import (
    ChatRequest,
    EmbedKind,
    ImagePart,
    Message,
    ModelType,
    Role,
    TextPart,
    TokenCount,
    ToolCall,
    ToolSpec,
)
from api.core.plugins.models import to_provider
from api.core.plugins.package import pack, read_package
from api.core.ports import Cancel
from api.errors import CompletionFailed, InvalidRequest, ModelUnavailable
from tests.plugins import OWN, make_runner, to_code
from tests.servers import Reply, ScriptedServer, Step
from tests.vendors import InlineOffload

END = {
    "message": {"content": ""},
    "done": True,
    "done_reason": "stop",
    "prompt_eval_count": 7,
    "eval_count": 3,
}
MODEL = {"context_size": "8192", "vision_support": "support", "function_calling_type": "tool_call"}
PATIENCE = Timeouts(connect_s=20, first_byte_s=20, idle_s=20)
TOOL = ToolSpec(name="weather", description="Tells it.", parameters={"type": "object", "properties": {}})


def lines(*frames: object) -> Reply:
    """Return a stream of lines of JSON, as Ollama streams."""
    steps = [frame if isinstance(frame, Step) else json.dumps(frame).encode() + b"\n" for frame in frames]
    return Reply(headers={"Content-Type": "application/x-ndjson"}, steps=steps)


def says(text: str = "", **more: Any) -> dict[str, Any]:
    return {"model": "m", "message": {"role": "assistant", "content": text, **more}, "done": False}


class Desk:
    """The provider and the double it calls."""

    def __init__(self, kind: type[Provider], server: ScriptedServer, http: HTTPClient) -> None:
        self.kind = kind
        self.server = server
        self.http = http

    def provider(self, **credentials: str) -> Provider:
        known = {"base_url": self.server.url, **MODEL, **credentials}
        return self.kind(ProviderContext(credentials=known, http=self.http, offload=InlineOffload()))

    def ask(self, *messages: Message, cancel: Cancel | None = None, **request: Any) -> Answer:
        provider = self.provider()
        assert isinstance(provider, ChatModel)
        asked = messages or (Message.of(Role.USER, "hi"),)
        return fold(provider.chat(ChatRequest(model="m", messages=asked, **request), cancel or Cancel(20)))

    @property
    def sent(self) -> Any:
        return self.server.seen[-1].json


@pytest.fixture(scope="module")
def make_desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Any]]:
    runner = make_runner(tmp_path_factory.mktemp("ollama"))
    package = read_package(pack(Path(OWN / "ollama")))
    http = HTTPClient(EgressPolicy(), PATIENCE)
    kind = to_provider(package.manifest, package.manifest.models[0], to_code(package), runner, http)

    @contextmanager
    def made() -> Iterator[Desk]:
        http = HTTPClient(EgressPolicy(allow_private=True), PATIENCE)
        with ScriptedServer(Reply()) as server, closing(http):
            yield Desk(kind, server, http)

    yield made
    runner.stop()


@pytest.fixture
def desk(make_desk: Callable[..., Any]) -> Iterator[Desk]:
    with make_desk() as made:
        yield made


def test_answer_comes_line_by_line_with_its_thoughts_and_tokens(desk: Desk) -> None:
    desk.server.then(lines(says(thinking="Hm."), says("Hel"), says("lo"), END))
    parameters = {"temperature": 0.5, "max_tokens": 9, "top_k": 3, "think": True, "unknown": 1}
    answer = desk.ask(parameters=parameters, stop=("END",))
    assert (answer.text, answer.reasoning, answer.finish_reason) == ("Hello", "Hm.", "stop")
    assert answer.tokens == TokenCount(prompt_tokens=7, completion_tokens=3)
    assert desk.server.seen[-1].target == "/api/chat"
    options = {"temperature": 0.5, "num_predict": 9, "top_k": 3, "num_ctx": 8192, "stop": ["END"]}
    assert (desk.sent["options"], desk.sent["think"], desk.sent["stream"]) == (options, True, True)
    assert "keep_alive" not in desk.sent


def test_tools_are_called_and_their_results_told_by_name(desk: Desk) -> None:
    call = {"function": {"name": "weather", "arguments": {"city": "Bern"}}}
    desk.server.then(lines(says(tool_calls=[call]), END))
    answer = desk.ask(tools=(TOOL,))
    assert answer.tool_calls == (ToolCall(id="call_1", name="weather", arguments='{"city": "Bern"}'),)
    assert answer.finish_reason == "tool_calls"
    assert desk.sent["tools"][0]["function"]["name"] == "weather"

    desk.server.then(lines(says("Sunny."), END))
    desk.ask(
        Message.of(Role.USER, "Weather?"),
        Message(role=Role.ASSISTANT, parts=(), tool_calls=answer.tool_calls),
        Message(role=Role.TOOL, parts=(TextPart("sunny"),), tool_call_id="call_1"),
    )
    _, asked, result = desk.sent["messages"]
    assert asked["tool_calls"] == [
        {"id": "call_1", "function": {"name": "weather", "arguments": {"city": "Bern"}}}
    ]
    assert (result["role"], result["content"], result["tool_name"]) == ("tool", "sunny", "weather")


def test_images_and_formats_are_sent_as_ollama_takes_them(desk: Desk) -> None:
    desk.server.then(lines(says("A cat."), END))
    image = ImagePart(mime_type="image/png", data=b"\x89PNG")
    schema = json.dumps({"name": "x", "schema": {"type": "object"}})
    desk.ask(
        Message(role=Role.USER, parts=(TextPart("What?"), image)),
        parameters={"response_format": "json_schema", "json_schema": schema},
    )
    assert desk.sent["messages"] == [{"role": "user", "content": "What?", "images": ["iVBORw=="]}]
    assert desk.sent["format"] == {"type": "object"}
    linked = ImagePart(mime_type="image/png", url="https://a.com/x.png")
    with pytest.raises(CompletionFailed, match="not as addresses"):
        desk.ask(Message(role=Role.USER, parts=(linked,)))


def test_texts_are_embedded_to_unit_length(desk: Desk) -> None:
    desk.server.then(Reply.of_json({"embeddings": [[3.0, 4.0], [0.0, 2.0]], "prompt_eval_count": 5}))
    provider = desk.provider(keep_alive="300")
    assert isinstance(provider, EmbeddingModel)
    found = provider.embed("nomic-embed-text", ["a", "b"], EmbedKind.PASSAGE, Cancel(20))
    assert [list(vector) for vector in found.vectors] == [
        [pytest.approx(0.6), pytest.approx(0.8)],
        [0.0, 1.0],
    ]
    assert found.tokens.prompt_tokens == 5
    assert (desk.sent["input"], desk.sent["keep_alive"]) == (["a", "b"], 300)
    described = provider.model_schema("nomic-embed-text")
    assert described is not None
    assert described.type is ModelType.TEXT_EMBEDDING
    assert not isinstance(provider, RerankModel)


def test_credentials_are_proven_by_the_list_of_models(desk: Desk) -> None:
    desk.server.then(Reply.of_json({"models": []}))
    desk.provider(base_url=f"{desk.server.url}/v1/", api_key="proxy-key-01").check_credentials()
    assert desk.server.seen[-1].target == "/api/tags"
    assert desk.server.seen[-1].headers["authorization"] == "Bearer proxy-key-01"
    for reply, fault in (
        (Reply.of_json({"object": "list"}), "no Ollama"),
        (Reply(status=401, body=b'{"error": "who are you"}'), "who are you"),
    ):
        desk.server.then(reply)
        with pytest.raises(InvalidRequest, match=fault):
            desk.provider().check_credentials()


@pytest.mark.parametrize(
    ("reply", "fault", "words"),
    [
        (Reply.of_json({"error": "model 'm' not found"}, 404), ModelUnavailable, "not found"),
        (Reply.of_json({"error": "busy"}, 503), RetryableFailure, "busy"),
        (lines(says("half"), {"error": "out of memory"}), CompletionFailed, "out of memory"),
        (lines(says("half")), CompletionFailed, "ended before"),
        (lines(says("half"), 7), CompletionFailed, "malformed"),
        (lines(says("half"), Step.DROP), CompletionFailed, "broke off"),
    ],
)
def test_faults_are_told_for_what_they_are(
    desk: Desk, reply: Reply, fault: type[Exception], words: str
) -> None:
    desk.server.then(reply)
    with pytest.raises(fault, match=words):
        desk.ask()


def test_stop_hangs_up_on_ollama(desk: Desk) -> None:
    desk.server.then(Reply.of_json({"models": []}))
    desk.provider().check_credentials()
    desk.server.then(lines(says("half"), Step.HANG))
    cancel = Cancel(30)
    said: list[str] = []
    provider = desk.provider()
    assert isinstance(provider, ChatModel)
    for chunk in provider.chat(ChatRequest(model="m", messages=(Message.of(Role.USER, "hi"),)), cancel):
        said.append(chunk.text)
        if chunk.text:
            cancel.set()
    assert "".join(said) == "half"
    assert desk.server.wait_for_hangup(30)
