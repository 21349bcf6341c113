"""Agent nodes: what a strategy is given, and that what it tells goes on."""

from collections.abc import Generator
from dataclasses import dataclass, field

from api.core.events import AgentLogged
from api.core.ports import Cancel
from api.core.workflow.deps import AgentTask, FlowFacts
from api.core.workflow.node import NODES
from api.core.workflow.work import NodeResult, NodeText, Told
from tests.flows import FACTS, drawn, make_deps, run_flow

NODE = drawn(
    "g",
    "agent",
    agent_strategy_provider_name="langgenius/agent/agent",
    agent_strategy_name="ReAct",
    agent_parameters={
        "query": {"type": "constant", "value": "{{#s.q#}}"},
        "model": {"type": "constant", "value": {"provider": "p", "model": "m"}},
        "tools": {"type": "constant", "value": [{"settings": {"city": {"value": "{{#s.q#}}"}}}]},
        "maximum_iterations": {"type": "variable", "value": ["s", "n"]},
    },
    memory={"window": {"enabled": True, "size": 5}},
)
NODES_DRAWN = [drawn("s", "start"), NODE, drawn("a", "answer", answer="{{#g.text#}}")]
WAYS = ["s > g > a"]


@dataclass
class ScriptedAgents:
    """Says a few words, and remembers its tasks."""

    tasks: list[AgentTask] = field(default_factory=list)

    def run(self, task: AgentTask, facts: FlowFacts, cancel: Cancel) -> Generator[Told, None, NodeResult]:
        assert facts is FACTS
        assert not cancel.is_set()
        self.tasks.append(task)
        yield AgentLogged(
            node_id=task.node_id,
            execution_id=task.execution_id,
            id="1",
            label="think",
            status="start",
            told={"output": ["key-12345678"]},
            error="with key-12345678",
        )
        yield NodeText("It is ")
        yield NodeText("cold.")
        return NodeResult(outputs={"text": "It is cold."}, metadata={"agent_log": ["key-12345678"]})


def test_strategy_gets_filled_parameters_and_tells_as_it_goes() -> None:
    agents = ScriptedAgents()
    ran = run_flow(
        NODES_DRAWN, WAYS, {"q": "Oslo", "n": 3}, deps=make_deps(agents=agents), secrets=["key-12345678"]
    )

    (task,) = agents.tasks
    assert (task.provider, task.strategy) == ("langgenius/agent/agent", "ReAct")
    assert task.parameters == {
        "query": "Oslo",
        "model": {"provider": "p", "model": "m"},
        "tools": [{"settings": {"city": {"value": "Oslo"}}}],
        "maximum_iterations": 3,
    }
    assert task.memory == {"window": {"enabled": True, "size": 5}}
    told = ran.of("g")[0]
    assert told.inputs == task.parameters
    (logged,) = [event for event in ran.events if isinstance(event, AgentLogged)]
    assert logged.execution_id == told.execution_id
    assert "key-" not in str((logged, told.metadata))
    assert told.metadata["agent_log"]
    assert ran.text == "It is cold."
    assert ran.outputs == {"answer": "It is cold."}


def test_installation_without_strategies_says_so() -> None:
    ran = run_flow(NODES_DRAWN, WAYS, {"q": "Oslo"}, deps=make_deps())
    assert ran.finished.error == "No agent strategies are installed here, so 'ReAct' cannot run."


def test_variables_read_are_known() -> None:
    data = NODE["data"]
    assert isinstance(data, dict)
    assert [*NODES["agent", "1"].configured(data).references()] == [("s", "q"), ("s", "q"), ("s", "n")]
