"""Agent apps, through the public API and the console."""

import threading
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select

from api.core.model_runtime.types import ChatChunk, Role, ToolCall
from api.core.ports import JSONObject
from api.core.tools.provider import TOOL_PROVIDERS, provide
from api.core.tools.tool import (
    FileMessage,
    TextMessage,
    Tool,
    ToolContext,
    ToolFailed,
    ToolMessage,
    ToolParameter,
    ToolProviderSchema,
    ToolSchema,
    Words,
)
from api.errors import CompletionFailed
from api.models.conversation import AgentThought
from api.runtime import Runtime
from tests.conftest import ONCE
from tests.factories import ChatApp, Owner, make_chat_app, make_dataset_key, make_key
from tests.fakes import Piece, Script, wait_for_stop
from tests.sse import read_events
from tests.statements import count_statements
from tests.waiting import wait_until

CALLING = frozenset({"tool-call"})
ADD = {"provider_type": "builtin", "provider_id": "maths", "tool_name": "eval_expression", "enabled": True}
NOW = {
    "provider_type": "builtin",
    "provider_id": "langgenius/time/time",
    "tool_name": "current_time",
    "tool_parameters": {"format": "%Y", "timezone": "UTC"},
    "enabled": True,
}
WAITING = threading.Event()
ROLLED = threading.Event()


def _wait(arguments: JSONObject, context: ToolContext) -> Iterator[ToolMessage]:
    WAITING.set()
    wait_for_stop(context.cancel)
    yield TextMessage("never told")


def _roll(arguments: JSONObject, context: ToolContext) -> Iterator[ToolMessage]:
    yield TextMessage("42")
    ROLLED.set()  # once the message is taken


def _paint(arguments: JSONObject, context: ToolContext) -> Iterator[ToolMessage]:
    yield TextMessage(f"Painted {arguments['what']} in {arguments['style']}.")
    yield FileMessage("cat.png", "image/png", b"\x89PNG\r\n\x1a\n")


def _fail(arguments: JSONObject, context: ToolContext) -> list[ToolMessage]:
    raise ToolFailed("The brush broke.")


@pytest.fixture(scope="module", autouse=True)
def studio() -> Iterator[None]:
    """Tools that paint, fail, roll and wait, known as built-in ones while this module runs."""
    made = provide(
        ToolProviderSchema(id="studio", label=Words("Studio"), description=Words("-"), icon_svg="<svg/>")
    )

    def parameter(name: str) -> ToolParameter:
        return ToolParameter(name=name, label=Words(name), human_description=Words(name), is_required=True)

    for name, invoke, parameters in (
        ("wait", _wait, ()),
        ("roll", _roll, ()),
        ("paint", _paint, (parameter("what"), parameter("style"))),
        ("fail", _fail, ()),
    ):
        schema = ToolSchema(
            name=name,
            label=Words(name.title()),
            description=Words("-"),
            llm_description="-",
            parameters=parameters,
        )
        made.tools[name] = Tool(schema, invoke)
    yield
    del TOOL_PROVIDERS["studio"]


def studio_tool(name: str, **parameters: object) -> dict[str, object]:
    return {
        "provider_type": "builtin",
        "provider_id": "studio",
        "tool_name": name,
        "tool_parameters": parameters,
    }


def calls(*asked: tuple[str, object]) -> ChatChunk:
    return ChatChunk(
        tool_calls=tuple(
            ToolCall(
                id=f"c{place}",
                name=name,
                arguments=given if isinstance(given, str) else orjson.dumps(given).decode(),
            )
            for place, (name, given) in enumerate(asked)
        )
    )


def make_agent(
    runtime: Runtime, owner: Owner, *turns: list[Piece], tools: Any = (ADD, NOW), **config: Any
) -> tuple[ChatApp, Script]:
    script = Script(turns=list(turns), features=config.pop("features", CALLING))
    mode = {"enabled": True, "tools": list(tools), **config.pop("agent_mode", {})}
    return make_chat_app(
        runtime, owner, mode="agent-chat", model=script.choice, agent_mode=mode, **config
    ), script


def ask(client: FlaskClient, app: ChatApp, mount: str = "/v1", **more: Any) -> Any:
    sent = {"query": "What is 2+3?", "user": "ann", "auto_generate_name": False, **more}
    return client.post(f"{mount}/chat-messages", json=sent, headers=app.headers)


def stream(client: FlaskClient, app: ChatApp, mount: str = "/v1", **more: Any) -> list[dict[str, Any]]:
    return read_events(ask(client, app, mount, response_mode="streaming", **more))


def said(events: list[dict[str, Any]]) -> str:
    return "".join(event["answer"] for event in events if event["event"] == "agent_message")


def history(client: FlaskClient, app: ChatApp, conversation_id: str) -> list[dict[str, Any]]:
    query = {"conversation_id": conversation_id, "user": "ann"}
    found = client.get("/v1/messages", query_string=query, headers=app.headers).get_json()
    return list(found["data"])


SUM: list[Piece] = ["Let me ", "see.", calls(("eval_expression", {"expression": "2+3"}))]


def test_rounds_are_told_stored_and_counted(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    app, script = make_agent(runtime, owner, SUM, ["It is ", "5."])

    events = stream(client, app)
    with count_statements(runtime.engine) as statements:
        (message,) = history(client, app, events[0]["conversation_id"])
    detail = client.get(
        f"/console/api/apps/{app.id}/messages/{message['id']}", headers=owner.headers
    ).get_json()
    logs = client.get(
        f"/console/api/apps/{app.id}/agent/logs",
        query_string={"message_id": message["id"], "conversation_id": message["conversation_id"]},
        headers=owner.headers,
    ).get_json()

    kinds = [event["event"] for event in events]
    thought, spoken = "agent_thought", "agent_message"
    assert kinds == [
        thought,
        spoken,
        spoken,
        thought,
        thought,
        thought,
        spoken,
        spoken,
        thought,
        "message_end",
    ]
    begun, decided, over, *last = [event for event in events if event["event"] == thought]
    assert begun["id"] == decided["id"] == over["id"] != last[0]["id"] == last[1]["id"]
    assert (begun["thought"], begun["tool"], begun["observation"], begun["message_files"]) == ("", "", "", [])
    assert (decided["thought"], decided["tool"], decided["observation"]) == (
        "Let me see.",
        "eval_expression",
        "",
    )
    assert orjson.loads(decided["tool_input"]) == {"eval_expression": {"expression": "2+3"}}
    assert decided["tool_labels"]["eval_expression"]["en_US"] == "Calculator"
    assert (over["observation"], over["position"], last[1]["position"], last[1]["tool"]) == ("5", 1, 2, "")
    assert said(events) == message["answer"] == "Let me see.\n\nIt is 5."
    assert events[-1]["metadata"]["usage"]["total_tokens"] == message["total_tokens"] == 24
    assert [one["observation"] for one in message["agent_thoughts"]] == ["5", ""]
    assert message["agent_thoughts"][0]["tool_input"] == decided["tool_input"]
    assert message["agent_thoughts"][0]["message_id"] == message["id"]
    assert detail["agent_thoughts"] == message["agent_thoughts"]
    (rounds,) = [text for text in statements if "FROM agent_thoughts" in text]
    assert "calls" not in rounds  # they hold again all that the tools gave
    assert (logs["meta"]["iterations"], logs["meta"]["total_tokens"], logs["meta"]["status"]) == (
        2,
        24,
        "success",
    )
    (call,) = logs["iterations"][0]["tool_calls"]
    assert (call["tool_name"], call["status"], call["tool_output"]) == ("eval_expression", "success", "5")
    assert client.get(call["tool_icon"]).mimetype == "image/svg+xml"
    assert (logs["meta"]["executor"], logs["meta"]["agent_mode"]) == ("ann", "function_call")
    asked = script.requests[1].messages
    assert [m.role for m in asked] == [Role.USER, Role.ASSISTANT, Role.TOOL]
    assert (asked[1].tool_calls[0].id, asked[2].tool_call_id, asked[2].text) == ("c0", "c0", "5")


@ONCE
def test_chat_whose_configuration_is_an_agents_is_an_agent_from_then_on(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    script = Script(turns=[SUM, ["It is ", "5."]] * 2, features=CALLING)
    agent = {"enabled": True, "strategy": "function_call", "tools": [ADD]}
    config = {"model": script.choice, "agent_mode": agent}
    router = {**config, "agent_mode": {**agent, "strategy": "router"}}
    saved = make_chat_app(runtime, owner)
    path = f"/console/api/apps/{saved.id}"

    def mode_of(app_id: str) -> set[str]:
        one = client.get(f"/console/api/apps/{app_id}", headers=owner.headers).get_json()
        listed = client.get("/console/api/apps", headers=owner.headers).get_json()["data"]
        return {one["mode"], *(app["mode"] for app in listed if app["id"] == app_id)}

    for sent, mode in ((router, "chat"), (config, "agent-chat"), (router, "agent-chat")):
        answer = client.post(f"{path}/model-config", json=sent, headers=owner.headers)
        assert (answer.status_code, mode_of(saved.id)) == (200, {mode})
    file = {"version": "0.1.0", "kind": "app", "app": {"name": "Old", "mode": "chat"}, "model_config": config}
    brought = {"mode": "yaml-content", "yaml_content": orjson.dumps(file).decode()}
    made = client.post("/console/api/apps/imports", json=brought, headers=owner.headers).get_json()
    assert (made["app_mode"], mode_of(made["app_id"])) == ("agent-chat", {"agent-chat"})
    agents = client.get("/console/api/apps", query_string={"mode": "agent-chat"}, headers=owner.headers)
    assert agents.get_json()["total"] == 2
    for app_id in (saved.id, made["app_id"]):
        app = ChatApp(id=app_id, key=make_key(runtime, owner, app_id), owner=owner)
        events = stream(client, app)
        (over,) = [event for event in events if event["event"] == "agent_thought" and event["observation"]]
        assert (over["observation"], said(events)) == ("5", "Let me see.\n\nIt is 5.")


def test_calls_side_by_side_may_fail_and_the_run_goes_on(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    tools = (ADD, studio_tool("paint", style="oil"), studio_tool("fail"), studio_tool("gone"))
    asked = calls(
        ("eval_expression", {"expression": "1+1"}),
        ("paint", {"what": "a cat", "style": "chalk"}),
        ("fail", {}),
        ("eval_expression", {"expression": "2+2"}),
        ("invented", {}),
        ("paint", '{"what": '),
        ("paint", "[1]"),
        ("paint", f'{{"what": {"[" * 300}{"]" * 300}}}'),
    )
    app, script = make_agent(runtime, owner, [asked], ["Done."], tools=tools)

    events = stream(client, app, "/api")
    answer = ask(client, app, "/api", conversation_id=events[0]["conversation_id"]).get_json()
    first = history(client, app, events[0]["conversation_id"])[0]

    offered = {tool.name: tool.parameters for tool in script.requests[0].tools}
    assert offered.keys() == {"eval_expression", "paint", "fail"}
    assert offered["paint"]["required"] == ["what"]
    observations = [m.text for m in script.requests[1].messages if m.role is Role.TOOL]
    assert (observations[0], observations[3]) == ("2", "4")
    assert observations[1].startswith("Painted a cat in oil.")
    assert observations[2] == "The brush broke."
    assert observations[4] == "There is no tool 'invented'; there are: eval_expression, paint, fail."
    assert "no JSON object" in observations[5] == observations[6] == observations[7]
    kinds = [event["event"] for event in events]
    thoughts = [event for event in events if event["event"] == "agent_thought"]
    made = events[kinds.index("message_file")]
    assert kinds[:4] == ["agent_thought", "agent_thought", "message_file", "agent_thought"]
    assert (made["type"], made["belongs_to"]) == ("image", "assistant")
    with client.get(made["url"]) as file:
        assert file.data.startswith(b"\x89PNG")
    assert thoughts[2]["message_files"] == [made["id"]] == first["agent_thoughts"][0]["files"]
    assert [(file["id"], file["belongs_to"]) for file in first["message_files"]] == [
        (made["id"], "assistant")
    ]
    assert thoughts[1]["tool"].split(";")[:3] == ["eval_expression", "paint", "fail"]
    given = thoughts[1]["tool_input"]
    assert given == orjson.loads(thoughts[1]["tool_input_raw"])
    assert given["eval_expression"] == [{"expression": "1+1"}, {"expression": "2+2"}]
    assert (answer["answer"], answer["mode"]) == ("Done.", "agent-chat")
    assert [one["position"] for one in answer["agent_thoughts"]] == [1]
    # Earlier turns are their questions and answers.
    assert [m.text for m in script.requests[2].messages] == ["What is 2+3?", "Done.", "What is 2+3?"]


def test_blocking_answer_holds_the_rounds_in_both_dialects(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    for mount, given in (
        ("/v1", '{"eval_expression":{"expression":"2+3"}}'),
        ("/api", {"eval_expression": {"expression": "2+3"}}),
    ):
        app, _ = make_agent(runtime, owner, SUM, ["It is 5."])
        key = {"Idempotency-Key": "once"}
        sent = {"query": "What is 2+3?", "user": "ann"}
        first, again = (
            client.post(f"{mount}/chat-messages", json=sent, headers={**app.headers, **key}).get_json()
            for _ in range(2)
        )
        assert first["answer"] == "Let me see.\n\nIt is 5."
        assert [one["tool_input"] for one in first["agent_thoughts"]] == [given, ""]
        assert [one["observation"] for one in first["agent_thoughts"]] == ["5", ""]
        assert again["agent_thoughts"] == first["agent_thoughts"]


@pytest.mark.parametrize("features", [CALLING, frozenset[str]()])
def test_used_up_rounds_end_with_a_question_without_tools(
    client: FlaskClient, runtime: Runtime, owner: Owner, features: frozenset[str]
) -> None:
    asks: list[Piece] = SUM if features else ["Thought: add\nAction: eval_expression\nAction Input: 2+3"]
    mode = {"max_iteration": 2, "strategy": "function_call"}
    app, script = make_agent(
        runtime,
        owner,
        asks,
        asks,
        ["Final Answer: 5" if not features else "5"],
        agent_mode=mode,
        features=features,
    )

    events = stream(client, app)

    assert len(script.requests) == 3
    assert [bool(request.tools) for request in script.requests] == (
        [True, True, False] if features else [False] * 3
    )
    assert said(events).endswith("5")
    assert "Action" not in said(events)
    assert events[-1]["metadata"]["usage"]["total_tokens"] >= 24
    over = [event for event in events if event["event"] == "agent_thought" and event["observation"]]
    assert [event["observation"] for event in over] == ["5", "5"]


def test_stop_inside_a_tool_ends_the_run_and_keeps_the_thought(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    WAITING.clear()
    ROLLED.clear()
    both = calls(("roll", {}), ("wait", {}))
    tools = (studio_tool("roll"), studio_tool("wait"))
    app, script = make_agent(runtime, owner, ["Wait.", both], ["never"], tools=tools)
    told = ask(client, app, response_mode="streaming")
    first = next(iter(told.response))
    while b"task_id" not in first:
        first = next(iter(told.response))
    task = orjson.loads(first.split(b"data: ")[1].split(b"\n")[0])
    assert WAITING.wait(30)
    assert ROLLED.wait(30)

    client.post(f"/v1/chat-messages/{task['task_id']}/stop", json={"user": "ann"}, headers=app.headers)
    rest = read_rest(told)

    assert rest[-1]["event"] == "message_end"
    assert len(script.requests) == 1
    (message,) = history(client, app, task["conversation_id"])
    (thought,) = message["agent_thoughts"]
    assert (message["answer"], thought["thought"], thought["tool"]) == (
        "Wait.",
        "Wait.",
        "roll;wait",
    )
    assert orjson.loads(thought["observation"]) == {"roll": "42"}


def read_rest(told: Any) -> list[dict[str, Any]]:
    """Return the events of a stream that are left."""
    return [
        orjson.loads(line.removeprefix("data: "))
        for line in b"".join(told.response).decode().splitlines()
        if line.startswith("data: ")
    ]


def test_model_that_fails_later_leaves_the_rounds_before(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    def fail() -> None:
        raise CompletionFailed("The provider is gone.")

    app, _ = make_agent(runtime, owner, SUM, ["But", fail])

    events = stream(client, app)
    (message,) = history(client, app, events[0]["conversation_id"])

    assert (events[-1]["event"], events[-1]["code"]) == ("error", "completion_request_error")
    assert (message["status"], message["answer"]) == ("error", "Let me see.\n\nBut")
    assert [one["observation"] for one in message["agent_thoughts"]] == ["5", ""]


def test_what_must_not_be_said_is_not_thought_either(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    preset = {"enabled": True, "preset_response": "No."}
    config = {"keywords": "bomb", "outputs_config": preset}
    avoidance = {"enabled": True, "type": "keywords", "config": config}
    cases: list[tuple[list[Piece], frozenset[str]]] = [
        (["A bomb", calls(("eval_expression", {"expression": "1"}))], CALLING),
        (["Thought: a bomb\nFinal Answer: 5"], frozenset()),
    ]
    for turn, features in cases:
        app, _ = make_agent(runtime, owner, turn, features=features, sensitive_word_avoidance=avoidance)

        events = stream(client, app)
        (message,) = history(client, app, events[0]["conversation_id"])

        assert [event["event"] for event in events][-1] == "message_end"
        assert not [event for event in events if "bomb" in event.get("thought", "")]
        assert message["answer"] == "No."
        assert [one["thought"] for one in message["agent_thoughts"]] == [""]


def test_datasets_are_tools_and_what_they_give_is_cited(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    key = {"Authorization": f"Bearer {make_dataset_key(runtime, owner)}"}
    made = client.post("/v1/datasets", json={"name": "Peaks", "indexing_technique": "economy"}, headers=key)
    dataset_id = made.get_json()["id"]
    body = {"name": "a.txt", "text": "Everest is 8849 m high.", "indexing_technique": "economy"}
    rule = {"process_rule": {"mode": "automatic"}}
    client.post(f"/v1/datasets/{dataset_id}/document/create-by-text", json=body | rule, headers=key)

    def is_indexed() -> bool:
        listed = client.get(f"/v1/datasets/{dataset_id}/documents", headers=key).get_json()
        return bool(listed["data"][0]["indexing_status"] == "completed")

    wait_until(is_indexed)
    name = f"dataset_{dataset_id.replace('-', '_')}"
    look: list[Piece] = [calls((name, {"query": "How high is Everest?"}))]
    app, script = make_agent(
        runtime,
        owner,
        look,
        look,
        ["8849 m."],
        tools=({"dataset": {"enabled": True, "id": dataset_id}},),
        retriever_resource={"enabled": True},
    )

    answer = ask(client, app).get_json()

    (tool,) = script.requests[0].tools
    assert (tool.name, "Peaks" in tool.description) == (name, True)
    assert "8849" in script.requests[1].messages[-1].text
    cited = answer["metadata"]["retriever_resources"]
    assert [(one["position"], one["dataset_name"], one["content"]) for one in cited] == [
        (1, "Peaks", "Everest is 8849 m high.")
    ]


def test_tools_have_icons_that_are_open(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    tools = (
        ADD,
        NOW,
        {**ADD, "provider_id": "gone", "tool_name": "x"},
        {**ADD, "provider_type": "api", "tool_name": "y"},
    )
    app, _ = make_agent(runtime, owner, ["Hi."], tools=tools)

    icons = client.get("/v1/meta", headers=app.headers).get_json()["tool_icons"]

    assert icons.keys() == {"eval_expression", "current_time"}
    assert client.get(icons["current_time"]).mimetype == "image/svg+xml"


def test_tools_of_old_configurations_are_known(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    tools = (
        {"current_datetime": {"enabled": True}},
        {"google_search": {"enabled": True}},
        {**ADD, "enabled": False},
    )
    app, script = make_agent(runtime, owner, [calls(("current_time", {}))], ["Now."], tools=tools)

    answer = ask(client, app).get_json()

    assert [tool.name for tool in script.requests[0].tools] == ["current_time"]
    assert (answer["answer"], len(answer["agent_thoughts"][0]["observation"])) == ("Now.", 19)


def test_deleted_conversation_takes_its_thoughts(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    app, _ = make_agent(runtime, owner, SUM, ["5"])
    talk = ask(client, app).get_json()["conversation_id"]

    client.delete(f"/v1/conversations/{talk}", json={"user": "ann"}, headers=app.headers)

    def count() -> int:
        with runtime.reading() as session:
            query = select(func.count()).where(AgentThought.conversation_id == talk)
            return session.scalars(query).one()

    wait_until(lambda: count() == 0)
