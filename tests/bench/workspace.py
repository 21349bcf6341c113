"""Sets up what the bench calls, through the program's own HTTP API, from POST /setup to keys."""

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.bench.calls import Answer, Call, do
from tests.bench.flows import publish_flows

EMAIL, PASSWORD = "bench@example.com", "bench password 1"
CALL_TIMEOUT_S = 60.0
LISTED_APPS = 30
REMEMBERED_MESSAGES = 200
USER = "bench-0"

BLOCKING_MODEL = "bench-20t-0ms"
STREAMING_MODEL = "bench-100t-10ms"
SLOW_MODEL = "bench-2t-150ms"
DRIPPING_MODEL = "bench-300t-100ms"
AGENT_MODEL = "bench-agent-5r"
MODELS = (BLOCKING_MODEL, STREAMING_MODEL, SLOW_MODEL, DRIPPING_MODEL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """What the bench calls: keys of models and an agent, the console's token, a long conversation."""

    keys: Mapping[str, str]
    console_token: str
    conversation_id: str
    flow_keys: Mapping[str, str] = field(default_factory=dict)


def set_up(
    call: Call, upstream_url: str, *, model: str = BLOCKING_MODEL, messages: int = REMEMBERED_MESSAGES
) -> Workspace:
    """Make an owner, a provider, 30 apps, a key for each model and a long conversation with one of them."""
    owner = {"email": EMAIL, "name": "Bench", "password": PASSWORD}
    do(call, "POST", "/console/api/setup", None, owner)
    login = do(call, "POST", "/console/api/login", None, {"email": EMAIL, "password": PASSWORD})
    token = login["data"]["access_token"]
    credentials = {"endpoint_url": f"{upstream_url}/v1", "api_key": "bench"}
    path = "/console/api/workspaces/current/model-providers/openai_api_compatible/credentials"
    do(call, "POST", path, token, {"credentials": credentials})
    flow_keys = publish_flows(call, token)  # before the apps that are listed, which are the latest
    agent_key = _make_agent(call, token, credentials)
    apps = [_make_app(call, token, f"App {number}") for number in range(LISTED_APPS)]
    keys = {name: _make_key(call, token, app_id, name) for name, app_id in zip(MODELS, apps, strict=False)}
    keys[AGENT_MODEL] = agent_key
    conversation_id = ""
    for number in range(messages):
        asked = question(number, conversation_id=conversation_id)
        told = do(call, "POST", "/v1/chat-messages", keys[model], asked)
        conversation_id = told["conversation_id"]
    return Workspace(keys=keys, console_token=token, conversation_id=conversation_id, flow_keys=flow_keys)


def question(
    number: int, *, mode: str = "blocking", conversation_id: str = "", wants_title: bool = False
) -> dict[str, object]:
    """Return the body of a chat message; twenty end users take turns where no conversation is named."""
    body: dict[str, object] = {
        "query": f"Question {number}: what is the tallest mountain on each continent?",
        "inputs": {},
        "user": USER if conversation_id or number == 0 else f"bench-{number % 20}",
        "response_mode": mode,
    }
    if conversation_id:
        body["conversation_id"] = conversation_id
    return body if wants_title else {**body, "auto_generate_name": False}


def http_call(port: int) -> Call:
    """Return a Call that goes to a port of loopback."""

    def call(method: str, path: str, headers: Mapping[str, str], body: object) -> tuple[int, Answer]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=CALL_TIMEOUT_S)
        try:
            sent = {"Content-Type": "application/json", **headers}
            connection.request(method, path, json.dumps(body), sent)
            reply = connection.getresponse()
            return reply.status, json.loads(reply.read())
        finally:
            connection.close()

    return call


def _make_app(call: Call, token: str, name: str) -> str:
    return str(do(call, "POST", "/console/api/apps", token, {"name": name, "mode": "chat"})["id"])


def _make_agent(call: Call, token: str, credentials: Mapping[str, str]) -> str:
    """Make an agent with a calculator on a model that calls tools; return its key."""
    provider = "/console/api/workspaces/current/model-providers/openai_api_compatible/models/credentials"
    calling = {**credentials, "function_calling_type": "tool_call"}
    do(call, "POST", provider, token, {"model": AGENT_MODEL, "model_type": "llm", "credentials": calling})
    tool = {"provider_type": "builtin", "provider_id": "maths", "tool_name": "eval_expression"}
    made = do(call, "POST", "/console/api/apps", token, {"name": "Agent", "mode": "agent-chat"})
    return _make_key(call, token, str(made["id"]), AGENT_MODEL, agent_mode={"tools": [tool]})


def _make_key(call: Call, token: str, app_id: str, model: str, **more: object) -> str:
    config = {
        "model": {
            "provider": "openai_api_compatible",
            "name": model,
            "mode": "chat",
            "completion_params": {},
        },
        "pre_prompt": "Answer in short.",
        **more,
    }
    do(call, "POST", f"/console/api/apps/{app_id}/model-config", token, config)
    return str(do(call, "POST", f"/console/api/apps/{app_id}/api-keys", token, {"name": "bench"})["token"])
