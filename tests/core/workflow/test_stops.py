"""Nodes that wait behind a port hand on the run's cancel: a stop ends the wait, and the run as stopped."""

import threading
import time
from collections.abc import Generator

import pytest

from api.core.ports import Cancel, JSONObject
from api.core.workflow.deps import AgentTask, FlowDeps, FlowFacts, Found, ToolAnswer, ToolCall, Wanted
from api.core.workflow.work import NodeFailed, NodeResult, NodeText, Told
from tests.fakes import wait_for_stop
from tests.flows import drawn, end, make_deps, run_flow
from tests.waiting import assert_quick

ENDED_S = 0.5


class WaitingTools:
    """A tool that waits until it is told to stop."""

    def call(self, call: ToolCall, facts: FlowFacts, cancel: Cancel) -> ToolAnswer:
        del call, facts
        wait_for_stop(cancel)
        raise NodeFailed("the connection was closed")


class WaitingAgents:
    """An agent that says a word and waits."""

    def run(self, task: AgentTask, facts: FlowFacts, cancel: Cancel) -> Generator[Told, None, NodeResult]:
        del task, facts
        yield NodeText("Let me see")
        wait_for_stop(cancel)
        raise NodeFailed("the connection was closed")


class WaitingKnowledge:
    """Datasets that do not answer."""

    def find(self, wanted: Wanted, cancel: Cancel) -> Found:
        del wanted
        wait_for_stop(cancel)
        raise NodeFailed("the connection was closed")


TOOL = drawn("n", "tool", provider_id="time", provider_type="builtin", tool_name="now")
AGENT = drawn("n", "agent", agent_strategy_provider_name="p", agent_strategy_name="x", agent_parameters={})
KNOWLEDGE = drawn(
    "n",
    "knowledge-retrieval",
    query_variable_selector=["s", "q"],
    dataset_ids=["d"],
    retrieval_mode="multiple",
    multiple_retrieval_config={"top_k": 1, "reranking_enable": False},
)


@pytest.mark.parametrize(
    ("node", "deps"),
    [
        (TOOL, make_deps(tools=WaitingTools())),
        (AGENT, make_deps(agents=WaitingAgents())),
        (KNOWLEDGE, make_deps(knowledge=WaitingKnowledge())),
    ],
)
def test_stop_ends_the_wait(node: JSONObject, deps: FlowDeps) -> None:
    cancel = Cancel()
    threading.Timer(0.05, cancel.set).start()
    began = time.monotonic()

    ran = run_flow([drawn("s", "start"), node, end()], ["s > n > e"], {"q": "x"}, deps=deps, cancel=cancel)

    assert_quick(time.monotonic() - began, 2 * ENDED_S)
    assert ran.finished.status == "stopped"
    assert [event.status for event in ran.of("n")] == ["stopped"]
