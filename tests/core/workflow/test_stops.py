"""Nodes that wait behind a port hand on the run's cancel: a stop ends the wait, and the run as stopped."""

import threading
import time
from collections.abc import Generator

import pytest

from api.core.ports import Cancel, JSONObject
from api.core.workflow.deps import AgentTask, FlowFacts, Found, ToolAnswer, ToolCall, Wanted
from api.core.workflow.work import NodeFailed, NodeResult, NodeText, Told
from tests.fakes import wait_for_stop
from tests.flows import drawn, end, make_deps, run_flow
from tests.waiting import assert_quick, set_when

ENDED_S = 0.5


class Waiting:
    """What waits until it is told to stop, and notes when it has begun to."""

    def __init__(self) -> None:
        self.begun = threading.Event()

    def wait(self, cancel: Cancel) -> None:
        self.begun.set()
        wait_for_stop(cancel)


class WaitingTools(Waiting):
    """A tool that waits."""

    def call(self, call: ToolCall, facts: FlowFacts, cancel: Cancel) -> ToolAnswer:
        del call, facts
        self.wait(cancel)
        raise NodeFailed("the connection was closed")


class WaitingAgents(Waiting):
    """An agent that says a word and waits."""

    def run(self, task: AgentTask, facts: FlowFacts, cancel: Cancel) -> Generator[Told, None, NodeResult]:
        del task, facts
        yield NodeText("Let me see")
        self.wait(cancel)
        raise NodeFailed("the connection was closed")


class WaitingKnowledge(Waiting):
    """Datasets that do not answer."""

    def find(self, wanted: Wanted, cancel: Cancel) -> Found:
        del wanted
        self.wait(cancel)
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
    ("node", "name", "kind"),
    [
        (TOOL, "tools", WaitingTools),
        (AGENT, "agents", WaitingAgents),
        (KNOWLEDGE, "knowledge", WaitingKnowledge),
    ],
)
def test_stop_ends_the_wait(node: JSONObject, name: str, kind: type[Waiting]) -> None:
    cancel, waiting = Cancel(), kind()
    at = set_when(cancel, waiting.begun.is_set)
    nodes = [drawn("s", "start"), node, end()]

    ran = run_flow(nodes, ["s > n > e"], {"q": "x"}, deps=make_deps(**{name: waiting}), cancel=cancel)

    assert_quick(time.monotonic() - at[0], 2 * ENDED_S)
    assert ran.finished.status == "stopped"
    assert [event.status for event in ran.of("n")] == ["stopped"]
