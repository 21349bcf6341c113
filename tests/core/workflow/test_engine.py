"""Runs as their readers see them: order, branches, failures, ends."""

import threading
import time
from collections.abc import Callable
from typing import Any, cast

import orjson
import pytest

from api.core.events import FormAsked, NodeFinished, NodeStarted, RunPaused, TextReplaced, encode
from api.core.ports import Cancel, JSONObject, JSONValue
from api.core.workflow.deps import FlowLimits
from api.core.workflow.engine import STOPPED, DoneNode, FlowRun, run_graph
from api.core.workflow.graph import read_graph
from api.core.workflow.node import NODES, NodeConfig, NodeContext, NodeKind
from api.core.workflow.variables import VariablePool, VariableRefused
from api.core.workflow.work import NodeFailed, NodePaused, NodeResult, NodeText, Work
from tests.flows import FACTS, Ran, drawn, edges, end, make_deps, run_flow, template
from tests.waiting import assert_quick, set_when

START = drawn("s", "start")
BROKEN = "{{ missing.part }}"


Script = Callable[..., None]


class Scripted:
    """A node whose turns are scripted: pieces of text to tell, or an error to raise."""

    Config = NodeConfig

    def __init__(self, *turns: object) -> None:
        self.turns = list(turns)

    def run(self, _config: NodeConfig, ctx: NodeContext, /) -> Work:
        turn = self.turns.pop(0) if len(self.turns) > 1 else self.turns[0]
        pieces = turn if isinstance(turn, list) else [turn]
        said = ""
        for piece in pieces:
            match piece:
                case Exception():
                    raise piece
                case threading.Event():
                    ctx.cancel.on_cancel(piece.set)
                    piece.wait(30)
                case str():
                    said += piece
                    yield NodeText(piece)
        return NodeResult(outputs={"text": said})


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    """Make a node type ``scripted`` known for one test."""

    def scripted(*turns: object) -> None:
        kind = NodeKind(type="scripted", version="1", node=Scripted(*turns), waits=True, defaults=None)
        monkeypatch.setitem(NODES, ("scripted", "1"), kind)

    return scripted


def test_chain_tells_each_node_in_order_and_ends_with_the_outputs() -> None:
    ran = run_flow(
        [START, template("t", "hi {{ x }}", x="s.x"), end(o="t.output")], ["s > t > e"], {"x": "you"}
    )

    told = [type(event).__name__ for event in ran.events]
    pair = ["NodeStarted", "NodeFinished"]
    assert told == ["RunStarted", *pair, *pair, "TextChunk", *pair, "RunFinished"]
    assert ran.outputs == {"o": "hi you"}
    assert ran.text == "hi you"
    assert [event.index for event in ran.events if isinstance(event, NodeStarted)] == [1, 2, 3]


def test_join_waits_for_the_branches_that_come_and_no_others() -> None:
    case = {"case_id": "adult", "conditions": [_condition("s.age", "≥", "18")]}
    nodes = [
        START,
        drawn("c", "if-else", cases=[case]),
        template("yes", "allowed"),
        template("no", "refused"),
        drawn(
            "pick",
            "variable-aggregator",
            output_type="string",
            variables=[["yes", "output"], ["no", "output"]],
        ),
        end(o="pick.output"),
    ]
    ways = ["s > c [adult] > yes > pick > e", "c [false] > no > pick"]

    assert run_flow(nodes, ways, {"age": 20}).outputs == {"o": "allowed"}
    assert run_flow(nodes, ways, {"age": 3}).outputs == {"o": "refused"}
    assert run_flow(nodes, ways, {"age": 3}).finished.total_steps == 5


def test_branches_run_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    both = threading.Barrier(2, timeout=30)

    class Meeting:
        Config = NodeConfig

        def run(self, _config: NodeConfig, _ctx: NodeContext, /) -> NodeResult:
            both.wait()
            return NodeResult(outputs={"text": "met"})

    kind = NodeKind(type="scripted", version="1", node=Meeting(), waits=True, defaults=None)
    monkeypatch.setitem(NODES, ("scripted", "1"), kind)
    nodes = [START, drawn("a", "scripted"), drawn("b", "scripted"), end(a="a.text", b="b.text")]

    assert run_flow(nodes, ["s > a > e", "s > b > e"]).outputs == {"a": "met", "b": "met"}


def test_failure_ends_the_run_with_the_nodes_words() -> None:
    ran = run_flow([START, template("t", BROKEN), end()], ["s > t > e"])

    assert ran.finished.status == "failed"
    assert "missing" in str(ran.finished.error)
    assert ran.of("t")[0].status == "failed"
    assert ran.of("e") == []


@pytest.mark.parametrize(
    ("strategy", "handle", "output"),
    [("fail-branch", "fail-branch", "error_message"), ("default-value", "source", "output")],
)
def test_provided_for_failure_goes_on_and_counts(strategy: str, handle: str, output: str) -> None:
    broken = template("t", BROKEN)
    data = broken["data"]
    assert isinstance(data, dict)
    data |= {
        "error_strategy": strategy,
        "default_value": [{"key": "output", "type": "number", "value": "-1"}],
    }

    ran = run_flow([START, broken, end(o=f"t.{output}")], ["s > t [" + handle + "] > e"])

    assert ran.finished.status == "partial-succeeded"
    assert ran.finished.exceptions == 1
    assert ran.of("t")[0].status == "exception"
    assert ran.of("t")[0].metadata["error_strategy"] == strategy
    assert ran.outputs["o"] == (-1 if strategy == "default-value" else ran.of("t")[0].error)


def test_failed_try_is_told_and_its_text_taken_back(script: Script) -> None:
    script(["half ", NodeFailed("down")], ["whole"])
    retry = {"retry_enabled": True, "max_retries": 2, "retry_interval": 0}
    nodes = [
        START,
        drawn("n", "scripted", retry_config=retry),
        drawn("a", "answer", answer="Say: {{#n.text#}}."),
    ]

    ran = run_flow(nodes, ["s > n > a"])

    assert [event.status for event in ran.of("n")] == ["retry", "succeeded"]
    assert any(isinstance(event, TextReplaced) and event.text == "Say: " for event in ran.events)
    assert ran.text == "Say: whole."
    assert ran.outputs == {"answer": "Say: whole."}


def test_text_of_a_model_goes_out_before_its_node_ends(script: Script) -> None:
    script(["a", "b"])
    nodes = [START, drawn("n", "scripted"), drawn("a", "answer", answer="<{{#n.text#}}>")]

    ran = run_flow(nodes, ["s > n > a"])

    kinds = [event.text if hasattr(event, "text") else type(event).__name__ for event in ran.events]
    assert kinds[:7] == ["RunStarted", "<", "NodeStarted", "NodeFinished", "NodeStarted", "a", "b"]
    assert ran.text == "<ab>"


def test_text_written_twice_is_shown_twice(script: Script) -> None:
    script(["a", "b"])
    nodes = [
        START,
        drawn("n", "scripted"),
        drawn("a", "answer", answer="{{#n.text#}}, {{#n.text#}}; "),
        drawn("b", "answer", answer="{{#n.text#}}"),
    ]

    ran = run_flow(nodes, ["s > n > a > b"])

    assert ran.text == ran.outputs["answer"] == "ab, ab; ab"


@pytest.mark.parametrize("value", ["[" * 100_000, "9" * 30, '"\\ud800"', "NaN"])
def test_default_that_is_odd_json_is_no_fault_of_the_server(script: Script, value: str) -> None:
    script(NodeFailed("down"))
    default = [{"key": "text", "type": "number", "value": value}]
    nodes = [
        START,
        drawn("n", "scripted", error_strategy="default-value", default_value=default),
        end(o="n.text"),
    ]

    ran = run_flow(nodes, ["s > n > e"])

    assert orjson.loads(encode(ran.finished))["outputs"] == {"o": 1e30 if value.isdigit() else value}


def test_default_that_is_too_large_is_the_nodes_failure(script: Script) -> None:
    script(NodeFailed("down"))
    default = [{"key": "text", "value": "x" * 11_000_000}]
    nodes = [START, drawn("n", "scripted", error_strategy="default-value", default_value=default), end()]

    ran = run_flow(nodes, ["s > n > e"])

    assert "the limit is" in str(ran.finished.error)


def test_loop_that_begins_with_no_value_fails_in_words() -> None:
    deep = {"label": "x", "var_type": "array[string]", "value_type": "constant", "value": "[" * 100_000}
    inside: dict[str, Any] = {"loop_count": 1, "start_node_id": "b", "loop_variables": [deep]}
    nodes = [START, drawn("l", "loop", **inside), drawn("b", "loop-start", parent="l"), end()]

    ran = run_flow(nodes, ["s > l > e"])

    assert ran.finished.error == "Loop variable 'x' does not begin with a value."


def test_bug_in_a_node_is_that_nodes_failure(script: Script) -> None:
    script(ZeroDivisionError("secret detail"))

    ran = run_flow([START, drawn("n", "scripted"), end()], ["s > n > e"])

    assert ran.finished.status == "failed"
    assert "secret detail" not in str(ran.finished.error)


def test_stop_ends_a_waiting_node_at_once(script: Script) -> None:
    begun: list[str] = []

    class Noting(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            begun.append("")
            return super().wait(timeout)

    script([Noting()])
    cancel = Cancel()
    at = set_when(cancel, lambda: len(begun) == 2)

    ran = run_flow(
        [START, drawn("n", "scripted"), drawn("m", "scripted"), end()],
        ["s > n > e", "s > m > e"],
        cancel=cancel,
    )

    assert_quick(time.monotonic() - at[0], 2)
    assert (ran.finished.status, ran.finished.error) == ("stopped", STOPPED)
    assert {ran.of("n")[0].status, ran.of("m")[0].status} == {"stopped"}


def test_failure_ends_what_runs_beside_it(script: Script) -> None:
    script([threading.Event()])

    ran = run_flow([START, drawn("n", "scripted"), template("t", BROKEN), end()], ["s > n > e", "s > t > e"])

    assert ran.finished.status == "failed"
    assert ran.of("n")[0].status == "stopped"


def told_nodes(ran: Ran) -> tuple[list[str], list[str]]:
    """Return which nodes began and which ended, in order of their names."""
    began = [event.node_id for event in ran.events if isinstance(event, NodeStarted)]
    ended = [event.node_id for event in ran.events if isinstance(event, NodeFinished)]
    return sorted(began), sorted(ended)


@pytest.mark.parametrize("attempt", range(5))
def test_failure_leaves_no_node_beside_it_without_its_beginning_or_end(script: Script, attempt: int) -> None:
    script(*([threading.Event()] for _ in range(6)))
    beside = [f"n{number}" for number in range(6)]

    ran = run_flow(
        [START, template("t", BROKEN), *(drawn(name, "scripted") for name in beside), end()],
        [f"s > {name} > e" for name in ("t", *beside)],
    )

    began, ended = told_nodes(ran)
    assert ran.finished.status == "failed"
    assert began == ended, attempt


def test_failed_round_tells_the_ends_of_the_others(script: Script) -> None:
    script([threading.Event()], [threading.Event()], NodeFailed("down"))
    inside: dict[str, Any] = {
        "iterator_selector": ["s", "x"],
        "output_selector": ["n", "text"],
        "start_node_id": "b",
    }
    nodes = [
        START,
        drawn("i", "iteration", is_parallel=True, parallel_nums=3, **inside),
        drawn("b", "iteration-start", parent="i"),
        drawn("n", "scripted", parent="i"),
        end(),
    ]

    ran = run_flow(nodes, ["s > i > e", "b > n"], {"x": [1, 2, 3]})

    assert ran.finished.status == "failed"
    assert told_nodes(ran) == (["i", "n", "n", "n", "s"], ["i", "n", "n", "n", "s"])


def test_listener_that_leaves_ends_the_run(script: Script) -> None:

    told = threading.Event()
    script([told])
    graph = read_graph(
        {"nodes": [START, drawn("n", "scripted"), drawn("m", "scripted")], "edges": edges("s > n", "s > m")}
    )
    work = run_graph(
        FlowRun(graph=graph, root="s", variables=VariablePool({"s": {}}), inputs={}, facts=FACTS),
        make_deps(),
        Cancel(),
    )
    for event in work:
        if isinstance(event, NodeStarted) and event.node_id != "s":
            break
    work.close()

    assert told.wait(30)


def test_steps_are_limited() -> None:
    limits = FlowLimits(max_steps=2)

    ran = run_flow([START, template("t", "x"), end()], ["s > t > e"], deps=make_deps(limits=limits))

    assert ran.finished.error == "Maximum execution steps exceeded: 3 > 2"


def test_variables_are_limited() -> None:

    pool = VariablePool(max_bytes=10)
    with pytest.raises(Exception, match="limit is 10"):
        pool.put("n", {"x": "y" * 11})


@pytest.mark.parametrize("value", [2**70, [-(2**64)], "half \ud83d", {"a": ["\ud83d"]}])
def test_variables_are_what_json_can_hold(value: JSONValue) -> None:
    pool = VariablePool({"n": {"x": 1}})

    with pytest.raises(VariableRefused, match=r"Variable n\.x cannot be written as JSON"):
        pool.put("n", {"x": value})
    with pytest.raises(VariableRefused, match=r"Variable n\.x cannot be written as JSON"):
        pool.assign(("n", "x"), value)
    assert pool.get(("n", "x")) == 1


def test_run_goes_on_from_nodes_that_were_done(script: Script) -> None:
    script(["never"])
    nodes = [START, drawn("n", "scripted"), template("t", "{{ x }}!", x="n.text"), end(o="t.output")]
    done = (
        DoneNode(node_id="s", outputs={}, edge="source"),
        DoneNode(node_id="n", outputs={"text": "kept"}, edge="source"),
    )

    ran = run_flow(nodes, ["s > n > t > e"], done=done)

    assert ran.outputs == {"o": "kept!"}
    assert ran.of("n") == []


def test_paused_run_says_what_it_waits_for_and_tells_the_rest_once(script: Script) -> None:
    form = FormAsked(
        node_id="n", title="n", content="?", fields=(), actions=(), defaults={}, expires_at=1, form_id="f"
    )
    script(NodePaused(form))
    nodes = [
        START,
        template("t", "before"),
        drawn("b", "answer", answer="{{#t.output#}} "),
        drawn("n", "scripted"),
        drawn("a", "answer", answer="after {{#n.text#}}"),
    ]
    ways = ["s > t > b > n > a"]

    first = run_flow(nodes, ways)
    finished = [
        event for event in first.events if isinstance(event, NodeFinished) and event.status == "succeeded"
    ]
    done = tuple(
        DoneNode(node_id=event.node_id, outputs=event.outputs, edge=event.edge) for event in finished
    )
    answered = (*done, DoneNode(node_id="n", outputs={"text": "yes"}, edge="source"))
    second = run_flow(nodes, ways, done=answered, told_chars=len(first.text))

    assert isinstance(first.events[-1], RunPaused)
    assert first.events[-1].node_ids == ("n",)
    assert (first.text, second.text) == ("before after ", "yes")
    assert second.outputs["answer"] == "before after yes"


@pytest.mark.parametrize("is_parallel", [True, False])
@pytest.mark.parametrize(
    ("mode", "outputs"),
    [("continue-on-error", ["A", None, "C"]), ("remove-abnormal-output", ["A", "C"]), ("terminated", None)],
)
def test_iteration_treats_failed_rounds_as_told(mode: str, outputs: object, *, is_parallel: bool) -> None:
    iteration = drawn(
        "it",
        "iteration",
        start_node_id="up",
        iterator_selector=["s", "list"],
        output_selector=["up", "output"],
        is_parallel=is_parallel,
        parallel_nums=3,
        error_handle_mode=mode,
    )
    inner = template("up", "{{ x.upper() }}", parent="it", x="it.item")

    ran = run_flow([START, iteration, inner, end(o="it.output")], ["s > it > e"], {"list": ["a", 1, "c"]})

    if outputs is None:
        assert ran.finished.status == "failed"
    else:
        assert ran.outputs == {"o": outputs}


def test_iteration_in_a_loop_keeps_its_rounds_apart() -> None:
    loop = drawn(
        "lp",
        "loop",
        start_node_id="it",
        loop_count=3,
        loop_variables=[{"label": "n", "var_type": "number", "value_type": "constant", "value": 1}],
        break_conditions=[_condition("it.output", "contains", "1b")],
    )
    iteration = drawn(
        "it",
        "iteration",
        parent="lp",
        start_node_id="up",
        iterator_selector=["s", "list"],
        output_selector=["up", "output"],
    )
    inner = template("up", "{{ n }}{{ x }}", parent="it", x="it.item", n="lp.n")

    ran = run_flow(
        [START, loop, iteration, inner, end(o="lp.loop_round")], ["s > lp > e"], {"list": ["a", "b"]}
    )

    assert ran.outputs == {"o": 1}


def test_loop_keeps_no_more_of_its_rounds_than_there_is_room_for() -> None:
    large = {"label": "x", "var_type": "string", "value_type": "constant", "value": "x" * 300_000}
    loop = drawn("lp", "loop", start_node_id="t", loop_count=10, loop_variables=[large])

    ran = run_flow([START, loop, template("t", "hi", parent="lp"), end(o="lp.loop_round")], ["s > lp > e"])

    assert ran.outputs == {"o": 10}
    assert list(cast("JSONObject", ran.of("lp")[0].metadata["loop_variable_map"])) == ["0", "1", "2"]


def _condition(where: str, operator: str, value: str) -> JSONObject:
    return {"variable_selector": [*where.split(".")], "comparison_operator": operator, "value": value}
