"""Whether a graph is one at all, and whether it can be run.

:func:`check_shape` holds for everything that is stored, a half-built drawing
too. :func:`find_problems` says what keeps a graph from being run; what no way
leads to from the root is not looked at, for unfinished nodes are normal on a
canvas. Both take time in proportion to the graph.
Wire: docs/wire/workflows.md#what-a-graph-must-have.
"""

from collections.abc import Iterator, Mapping
from itertools import chain, islice
from types import MappingProxyType
from typing import Literal

from api.core.ports import JSONObject, JSONValue
from api.core.workflow.completeness import Problem, is_known, read_config
from api.core.workflow.graph import CONTAINER_STARTS, CONTAINERS, NOTE, Graph, NodeSpec, is_root, read_graph
from api.core.workflow.links import Links
from api.core.workflow.node import NodeConfig, Types
from api.core.workflow.nodes.loop import Loop
from api.core.workflow.variables import CHAT_TYPES, CONVERSATION, ENVIRONMENT, SYSTEM, SYSTEM_TYPES
from api.errors import FaultType, InvalidRequest

FlowMode = Literal["workflow", "advanced-chat"]

MAX_NODES = 500
MAX_EDGES = 5_000
MAX_PROBLEMS = 100
OUTLETS = frozenset({"end", "answer", "llm"})
NO_VARIABLES: Types = MappingProxyType({})


def check_graph(
    raw: JSONValue,
    *,
    mode: FlowMode,
    environment: Types = NO_VARIABLES,
    conversation: Types = NO_VARIABLES,
    max_loop_rounds: int,
) -> None:
    """Raise InvalidRequest, with every problem in its details, unless the graph can be run."""
    graph = check_shape(raw)
    problems = find_problems(graph, mode=mode, environment=environment, conversation=conversation)
    problems += _long_loops(graph, max_loop_rounds)
    if problems:
        raise InvalidRequest(
            problems[0].message, details={"errors": [problem.to_json() for problem in problems]}
        )


def _long_loops(raw: JSONObject, max_rounds: int) -> list[Problem]:
    """Return the loops that want more rounds than this installation lets them have."""
    read = {node.id: read_config(node)[0] for node in read_graph(raw).of_type("loop")}
    return [
        Problem(
            node_id=node_id,
            field="loop_count",
            type="out_of_range",
            message=f"A loop has at most {max_rounds} rounds, not {config.loop_count}.",
        )
        for node_id, config in read.items()
        if isinstance(config, Loop.Config) and config.loop_count > max_rounds
    ]


def check_shape(raw: JSONValue) -> JSONObject:
    """Return the graph's JSON. Raises InvalidRequest for what is no graph, or one that is too large."""
    if not isinstance(raw, dict):
        raise InvalidRequest("graph must be an object", field="graph", fault="invalid_type")
    nodes, edges = _items(raw, "nodes", MAX_NODES), _items(raw, "edges", MAX_EDGES)
    kinds: set[str] = set()
    seen: set[str] = set()
    for place, item in enumerate(nodes):
        field = f"graph.nodes[{place}]"
        node_id, kind = _node(item, field)
        if node_id in seen:
            raise _misshapen(field, f"two nodes have the id {node_id!r}", "duplicate", node_id)
        seen.add(node_id)
        kinds.add(kind)
        if "start" in kinds and any(other != "start" and is_root(other) for other in kinds):
            reason = "a start node and a trigger cannot be in one graph"
            raise _misshapen(field, reason, "invalid_value", node_id)
    for place, item in enumerate(edges):
        _check_edge(item, f"graph.edges[{place}]")
    return raw


def find_problems(
    raw: JSONObject,
    *,
    mode: FlowMode,
    environment: Types = NO_VARIABLES,
    conversation: Types = NO_VARIABLES,
) -> list[Problem]:
    """Return what keeps a graph of the right shape from being run, at most ``MAX_PROBLEMS``.

    ``environment`` and ``conversation`` are the types of the workflow's own
    variables by their names.
    """
    graph = read_graph(raw)
    system = {**SYSTEM_TYPES, **(CHAT_TYPES if mode == "advanced-chat" else {})}
    given = {SYSTEM: system, ENVIRONMENT: environment, CONVERSATION: conversation}
    found = chain(
        _roots(graph, mode), _outlets(graph), _loose_edges(raw, graph), _cycles(graph), _nodes(graph, given)
    )
    return list(islice(found, MAX_PROBLEMS))


def _items(raw: JSONObject, name: str, limit: int) -> list[JSONValue]:
    items = raw.get(name)
    if not isinstance(items, list):
        fault: FaultType = "required" if items is None else "invalid_type"
        raise InvalidRequest(f"a graph has a list of {name}", field=f"graph.{name}", fault=fault)
    if len(items) > limit:
        reason = f"a graph has at most {limit:,} {name}; this one has {len(items):,}"
        raise InvalidRequest(reason, field=f"graph.{name}", fault="too_long")
    return items


def _node(item: JSONValue, field: str) -> tuple[str, str]:
    """Return a node's id and type; notes on the canvas have no type."""
    if not isinstance(item, dict):
        raise _misshapen(field, "a node is an object", "invalid_type")
    node_id, data = item.get("id"), item.get("data")
    if not isinstance(node_id, str) or not node_id:
        raise _misshapen(f"{field}.id", "a node has an id", "required")
    if item.get("type") == NOTE:
        return node_id, ""
    if not isinstance(data, dict):
        raise _misshapen(f"{field}.data", f"node {node_id!r} has no data", "required", node_id)
    kind = data.get("type")
    if not isinstance(kind, str) or not is_known(kind):
        fault: FaultType = "required" if kind is None else "invalid_choice"
        reason = f"node {node_id!r} is of no known type: {kind!r}"
        raise _misshapen(f"{field}.data.type", reason, fault, node_id)
    return node_id, kind


def _check_edge(item: JSONValue, field: str) -> None:
    for end in ("source", "target"):
        value = item.get(end) if isinstance(item, dict) else None
        if not isinstance(value, str) or not value:
            raise _misshapen(f"{field}.{end}", f"an edge has a {end}", "required")


def _misshapen(field: str, reason: str, fault: FaultType, node_id: str | None = None) -> InvalidRequest:
    named = {"node_id": node_id} if node_id else {}
    return InvalidRequest(f"{field}: {reason}.", details={"field": field, **named, "type": fault})


def _roots(graph: Graph, mode: FlowMode) -> Iterator[Problem]:
    if not graph.roots:
        yield Problem(
            field="graph.nodes", type="required", message="The graph has no start node and no trigger."
        )
    for node in [node for node in graph.roots if node.type == "start"][1:]:
        message = "The graph has more than one start node."
        yield Problem(node_id=node.id, field="graph.nodes", type="duplicate", message=message)
    for node in graph.roots:
        if mode == "advanced-chat" and node.type != "start":
            message = f"A chatflow begins with a start node, not with the trigger {node.title or node.id!r}."
            yield Problem(node_id=node.id, field="type", type="invalid_choice", message=message)


def _outlets(graph: Graph) -> Iterator[Problem]:
    if not graph.of_type(*OUTLETS):
        yield Problem(
            field="graph.nodes", type="required", message="The graph has no end, answer or LLM node."
        )


def _loose_edges(raw: JSONObject, graph: Graph) -> Iterator[Problem]:
    for place, edge in enumerate(_items(raw, "edges", MAX_EDGES)):
        ends = [edge.get("source"), edge.get("target")] if isinstance(edge, dict) else []
        for end in ends:
            if end not in graph.nodes:
                way = " to ".join(repr(name) for name in ends)
                yield Problem(
                    field=f"graph.edges[{place}]",
                    type="invalid_value",
                    message=f"An edge leads from {way}, but there is no node {end!r}.",
                )


def _cycles(graph: Graph) -> Iterator[Problem]:
    """Yield the cycle outside of iterations and loops; what is inside these may go round."""
    ring = [node for node in graph.inside(None) if node.id in graph.on_cycles]
    if ring:
        names = ", ".join(node.title or node.id for node in ring[:5])
        yield Problem(
            node_id=ring[0].id,
            field="graph.edges",
            type="invalid_value",
            message=f"The graph goes in a circle through {names}.",
        )


def _nodes(graph: Graph, given: Mapping[str, Types]) -> Iterator[Problem]:
    """Yield what is wrong with each node a run can come to."""
    configs: dict[str, NodeConfig] = {}
    unready: dict[str, list[Problem]] = {}
    for node in graph.nodes.values():
        config, unready[node.id] = read_config(node)
        if config is not None:
            configs[node.id] = config
    links = Links(graph, configs, given)
    for node in _reached(graph):
        yield from unready[node.id]
        yield from _begins(graph, node)
        yield from links.problems_of(node)


def _reached(graph: Graph) -> list[NodeSpec]:
    """Return the nodes a run can come to, in the order of the drawing."""
    reached: set[str] = set()
    waiting = [node.id for node in graph.roots]
    while waiting:
        new = graph.reachable(waiting.pop()) - reached
        reached |= new
        for node_id in new:
            node = graph.nodes[node_id]
            if node.type in CONTAINERS:
                first = str(node.data.get("start_node_id"))
                inside = graph.inside(node_id)
                waiting += [item.id for item in inside if item.id == first or item.type in CONTAINER_STARTS]
    return [node for node in graph.nodes.values() if node.id in reached]


def _begins(graph: Graph, node: NodeSpec) -> Iterator[Problem]:
    """Yield the problem of a container that does not begin with a node inside it."""
    if node.type not in CONTAINERS or not node.data.get("start_node_id"):
        return
    first = graph.nodes.get(str(node.data["start_node_id"]))
    if first is None or first.parent != node.id:
        yield Problem(
            node_id=node.id,
            field="start_node_id",
            type="invalid_value",
            message=f"Node {node.title or node.id!r} does not begin with a node inside it.",
        )
