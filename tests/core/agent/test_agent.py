"""The loop of agents: rounds, budgets, tokens and stops, with a model that says what it is told to."""

from dataclasses import replace

import pytest

from api.core.agent.agent import CUT, MAX_CALLS, MAX_KEPT_CHARS, Agent, choose_strategy, run_agent
from api.core.agent.function_calling import FunctionCalling
from api.core.agent.react import ReAct
from api.core.agent.rounds import Done, Round, Said, Told
from api.core.agent.tool import AgentTool, CallTool, Observation, to_spec
from api.core.agent.wanted import WantedTool, read_wanted
from api.core.events import RetrieverResource
from api.core.http import Cancelled
from api.core.model_runtime.choice import ModelChoice
from api.core.model_runtime.types import ChatChunk, Message, Role, TokenCount, ToolCall
from api.core.ports import Cancel, JSONObject
from api.core.tools.tool import ParameterType, ToolParameter, ToolSchema, Words
from api.errors import Unavailable
from tests.fakes import SCRIPTS, Piece, Script
from tests.flows import make_models

FOUND = RetrieverResource(
    position=1,
    dataset_id="d",
    dataset_name="D",
    document_id="o",
    document_name="O",
    data_source_type="upload_file",
    segment_id="s",
    retriever_from="api",
    score=0.5,
    content="text",
)
SCHEMA = ToolSchema(name="t", label=Words("T"), description=Words("Does."), llm_description="")


def calling(*names: str) -> ChatChunk:
    return ChatChunk(tool_calls=tuple(ToolCall(id="", name=name, arguments="") for name in names))


def make_agent(
    *turns: list[Piece], max_rounds: int = 5, cancel: Cancel | None = None, **tools: CallTool
) -> Agent:
    script = Script(turns=list(turns), features=frozenset({"tool-call"}))
    choice = ModelChoice(provider="scripted", name=script.model)
    offered = {name: AgentTool(spec=to_spec(name, SCHEMA, ()), call=call) for name, call in tools.items()}
    agent = Agent(
        tenant_id="t",
        user="u",
        choice=choice,
        messages=(Message.of(Role.USER, "q"),),
        tools=offered,
        strategy=FunctionCalling(tuple(tool.spec for tool in offered.values())),
        max_rounds=max_rounds,
        models=make_models(),
        cancel=cancel or Cancel(),
    )
    return replace(agent, strategy=choose_strategy("function_call", choice, agent.model, offered))


def work(agent: Agent) -> tuple[list[Told], Done]:
    working, told = run_agent(agent), list[Told]()
    while True:
        try:
            told.append(next(working))
        except StopIteration as end:
            return told, end.value


def ok(arguments: JSONObject, cancel: Cancel) -> Observation:
    return Observation(text="ok")


def test_work_counts_every_token_and_cites_each_passage_once() -> None:
    spent = TokenCount(prompt_tokens=100, completion_tokens=10)

    def find(arguments: JSONObject, cancel: Cancel) -> Observation:
        return Observation(text="found", cited=(FOUND, replace(FOUND, segment_id="z")), spent=spent)

    told, done = work(make_agent([calling("find", "find")], [calling("find")], ["It ", "is."], find=find))

    assert (done.usage.prompt_tokens, done.usage.completion_tokens) == (3 * 7 + 300, 3 * 5 + 30)
    assert done.usage.total_price == done.usage.prompt_price + done.usage.completion_price
    assert f"{done.usage.prompt_price:f}".rstrip("0") == "0.000321"
    assert [(one.position, one.segment_id) for one in done.cited] == [(1, "s"), (2, "z")]
    assert [type(one) for one in told if isinstance(one, Said)] == [Said, Said]
    stages = [one.stage for one in told if isinstance(one, Round)]
    assert stages == ["begun", "decided", "over", "begun", "decided", "over", "begun", "decided"]
    assert [each.number for each in done.rounds] == [1, 2, 3]


def test_tokens_of_calls_are_counted_where_the_provider_counts_none() -> None:
    agent = make_agent([calling("one")], [calling("one")], [""], one=ok)
    SCRIPTS[agent.choice.name].tokens = None
    _, done = work(agent)
    assert done.usage.completion_tokens >= 2


def test_blank_lines_before_calls_are_not_said() -> None:
    told, done = work(make_agent(["\n\n", calling("one")], ["\n", " It", " is.\n"], one=ok))
    assert "".join(one.text for one in told if isinstance(one, Said)) == "It is.\n"
    assert [each.thought for each in done.rounds] == ["", "It is.\n"]


def test_too_many_calls_at_once_are_refused_and_long_answers_are_cut() -> None:
    seen: list[int] = []

    def tell(arguments: JSONObject, cancel: Cancel) -> Observation:
        seen.append(1)
        return Observation(text="x" * (MAX_KEPT_CHARS + 1))

    agent = make_agent([calling(*["tell"] * (MAX_CALLS + 1))], ["done"], tell=tell)
    _, done = work(agent)

    made = done.rounds[0].calls
    assert len(seen) == MAX_CALLS
    assert made[-1].observation is not None
    assert made[-1].observation.is_error
    assert made[0].observation is not None
    assert made[0].observation.text == f"{'x' * MAX_KEPT_CHARS}{CUT}"


@pytest.mark.parametrize("failure", [None, Unavailable("The server goes down.")])
def test_end_from_outside_keeps_what_is_there(failure: Unavailable | None) -> None:
    cancel, told = Cancel(), list[Told]()

    def end(arguments: JSONObject, inner: Cancel) -> Observation:
        cancel.set(failure)
        raise Cancelled

    working = run_agent(make_agent([calling("end")], ["never"], cancel=cancel, end=end))
    if failure is None:
        told.extend(working)
    else:
        with pytest.raises(Unavailable):
            told.extend(working)

    (last,) = [one for one in told if isinstance(one, Round) and one.stage == "over"]
    assert last.calls[0].observation is None
    assert len([one for one in told if isinstance(one, Round)]) == 3


@pytest.mark.parametrize(
    ("wanted", "features", "strategy"),
    [
        ("function_call", {"tool-call"}, FunctionCalling),
        ("function_call", {"vision"}, ReAct),
        ("router", {"multi-tool-call"}, FunctionCalling),
        ("react", {"tool-call"}, ReAct),
        ("ReAct", {"tool-call"}, ReAct),
    ],
)
def test_strategy_is_the_one_that_is_wanted_as_far_as_the_model_can(
    wanted: str, features: set[str], strategy: type
) -> None:
    agent = make_agent([""], one=ok)
    model = replace(agent.model, features=frozenset(features))
    quoting = ModelChoice(provider="builtin", name="extractive-qa")

    assert isinstance(choose_strategy(wanted, agent.choice, model, agent.tools), strategy)
    assert isinstance(choose_strategy(wanted, agent.choice, model, {}), FunctionCalling)
    assert isinstance(choose_strategy(wanted, quoting, model, agent.tools), FunctionCalling)


def test_tool_is_described_without_what_is_not_for_the_model() -> None:
    def parameter(name: str, kind: ParameterType = "string", **more: object) -> ToolParameter:
        made = ToolParameter(name=name, label=Words(name), human_description=Words(name), type=kind)
        return replace(made, **more)  # type: ignore[arg-type]  # fields of the parameter

    parameters = (
        parameter("q", is_required=True),
        parameter("n", "number", minimum=1, maximum=3),
        parameter("kind", "select", options=(("a", Words("A")), ("b", Words("B")))),
        parameter("tags", "array"),
        parameter("zone", form="form"),
        parameter("set", is_required=True),
        parameter("file", "file"),
    )
    spec = to_spec("t", replace(SCHEMA, parameters=parameters), {"set"})

    assert spec.description == "Does."
    assert spec.parameters == {
        "type": "object",
        "properties": {
            "q": {"type": "string", "description": "q"},
            "n": {"type": "number", "description": "n", "minimum": 1, "maximum": 3},
            "kind": {"type": "string", "description": "kind", "enum": ["a", "b"]},
            "tags": {"type": "array", "description": "tags", "items": {}},
        },
        "required": ["q"],
    }


@pytest.mark.parametrize(
    ("entry", "wanted"),
    [
        (
            {
                "provider_type": "api",
                "provider_id": "id",
                "provider_name": "w",
                "tool_name": "x",
                "credential_id": "c",
            },
            WantedTool(kind="api", provider="id", provider_name="w", name="x", credential_id="c"),
        ),
        (
            {"tool_name": "x", "provider": "p", "tool_parameters": {"a": 1, "b": "", "c": None, "d": False}},
            WantedTool(kind="builtin", provider="p", name="x", fixed={"a": 1, "d": False}),
        ),
        (
            {
                "type": "builtin",
                "provider_name": "p/p/p",
                "tool_name": "x",
                "extra": {"description": "Use it."},
                "parameters": {
                    "mine": {"auto": 0, "value": {"type": "constant", "value": "v"}},
                    "its": {"auto": 1, "value": None},
                },
                "settings": {"set": {"value": 3}, "map": {"type": "x", "value": 1}},
            },
            WantedTool(
                kind="builtin",
                provider="p/p/p",
                provider_name="p/p/p",
                name="x",
                description="Use it.",
                fixed={"mine": "v", "set": 3, "map": {"type": "x", "value": 1}},
            ),
        ),
        (
            {"web_reader": {"enabled": True}},
            WantedTool(kind="builtin", provider="webscraper", name="webscraper"),
        ),
        ({"web_reader": {"enabled": False}}, None),
        ({"enabled": False, "tool_name": "x"}, None),
        ({"dataset": {"enabled": True, "id": "d"}}, None),
        ({"tool_name": 5}, None),
    ],
)
def test_entries_of_every_age_are_read(entry: JSONObject, wanted: WantedTool | None) -> None:
    assert read_wanted(entry) == wanted
