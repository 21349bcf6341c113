"""A workflow's graph as the engine sees it: nodes, edges, and who is inside whom.

Reading is forgiving, as real files are: notes on the canvas, edges to nowhere
and keys the engine does not know are passed over. Whether a graph is right is
for ``validation.py`` to say.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property

from api.core.ports import JSONObject, JSONValue
from api.errors import InvalidRequest

NOTE = "custom-note"
ALIASES = {"variable-assigner": "variable-aggregator"}
CONTAINERS = frozenset({"iteration", "loop"})
CONTAINER_STARTS = frozenset({"iteration-start", "loop-start"})
RESPONSES = frozenset({"answer", "end"})
SOURCE, SUCCESS, FAIL = "source", "success-branch", "fail-branch"


@dataclass(frozen=True, slots=True)
class Edge:
    """A way from one node to another; ``handle`` names the branch of the source it leaves by."""

    source: str
    target: str
    handle: str = SOURCE


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSpec:
    """A node as it is drawn; ``parent`` is the iteration or loop it is inside of."""

    id: str
    type: str
    title: str
    data: JSONObject
    parent: str | None = None


class Graph:
    """Nodes by id, in the order of the drawing, and the edges between nodes of one and the same scope.

    A scope is what one container holds, or, under None, what none does.
    """

    def __init__(self, nodes: Iterable[NodeSpec], edges: Iterable[Edge]) -> None:
        self.nodes: Mapping[str, NodeSpec] = {node.id: node for node in nodes}
        self.edges = tuple(dict.fromkeys(edge for edge in edges if self._joins(edge)))
        self._leaving: defaultdict[str, list[Edge]] = defaultdict(list)
        self._entering: defaultdict[str, list[Edge]] = defaultdict(list)
        for edge in self.edges:
            self._leaving[edge.source].append(edge)
            self._entering[edge.target].append(edge)

    def leaving(self, node_id: str) -> list[Edge]:
        """Return the edges out of a node."""
        return self._leaving.get(node_id, [])

    def entering(self, node_id: str) -> list[Edge]:
        """Return the edges into a node."""
        return self._entering.get(node_id, [])

    def inside(self, parent: str | None) -> list[NodeSpec]:
        """Return the nodes of a scope."""
        return [node for node in self.nodes.values() if node.parent == parent]

    def of_type(self, *types: str) -> list[NodeSpec]:
        """Return the nodes of some types, in any scope."""
        return [node for node in self.nodes.values() if node.type in types]

    def reachable(self, root: str) -> set[str]:
        """Return the ids of the nodes that can be reached from ``root``, itself included."""
        seen, waiting = {root}, [root]
        while waiting:
            for edge in self.leaving(waiting.pop()):
                if edge.target not in seen:
                    seen.add(edge.target)
                    waiting.append(edge.target)
        return seen

    def before(self, node_id: str) -> set[str]:
        """Return the ids of the nodes from which a node can be reached, itself included."""
        seen, waiting = {node_id}, [node_id]
        while waiting:
            for edge in self.entering(waiting.pop()):
                if edge.source not in seen:
                    seen.add(edge.source)
                    waiting.append(edge.source)
        return seen

    def part(self, node_ids: AbstractSet[str]) -> "Graph":
        """Return a graph of some of its nodes, with all that is inside them and the edges between."""
        return Graph((node for node in self.nodes.values() if self._is_in(node, node_ids)), self.edges)

    def _is_in(self, node: NodeSpec, node_ids: AbstractSet[str]) -> bool:
        """Tell whether a node is one of some, or inside of one; it may be drawn inside of itself."""
        seen: set[str] = set()
        while node.id not in node_ids:
            seen.add(node.id)
            if node.parent is None or node.parent in seen or node.parent not in self.nodes:
                return False
            node = self.nodes[node.parent]
        return True

    @cached_property
    def roots(self) -> tuple[NodeSpec, ...]:
        """The nodes a run may begin with: the start node and the triggers."""
        return tuple(node for node in self.inside(None) if is_root(node.type))

    @cached_property
    def on_cycles(self) -> frozenset[str]:
        """The ids of nodes that could be reached from themselves, and of those between two such."""
        behind = set(self.nodes) - set(self.in_order)
        before = {node_id: sum(edge.target in behind for edge in self.leaving(node_id)) for node_id in behind}
        free = [node_id for node_id, count in before.items() if not count]
        while free:
            node_id = free.pop()
            behind.discard(node_id)
            for edge in self.entering(node_id):
                if edge.source in behind:
                    before[edge.source] -= 1
                    if not before[edge.source]:
                        free.append(edge.source)
        return frozenset(behind)

    @cached_property
    def in_order(self) -> tuple[str, ...]:
        """The ids of the nodes, each after all before it; without those on cycles and behind them."""
        waiting = {node_id: len(self.entering(node_id)) for node_id in self.nodes}
        found = [node_id for node_id, count in waiting.items() if not count]
        for node_id in found:
            for edge in self.leaving(node_id):
                waiting[edge.target] -= 1
                if not waiting[edge.target]:
                    found.append(edge.target)
        return tuple(found)

    def _joins(self, edge: Edge) -> bool:
        source, target = self.nodes.get(edge.source), self.nodes.get(edge.target)
        return source is not None and target is not None and source.parent == target.parent


def is_root(node_type: str) -> bool:
    """Tell whether a run may begin with nodes of the type."""
    return node_type == "start" or node_type.startswith("trigger-")


def read_graph(raw: JSONObject) -> Graph:
    """Return the graph of its JSON. Raises InvalidRequest where that is not the shape of one at all."""
    return Graph(_nodes(raw), _edges(raw))


def _nodes(raw: JSONObject) -> Iterator[NodeSpec]:
    for item, data in _drawn(raw):
        parent = data.get("iteration_id") or data.get("loop_id") or item.get("parentId")
        kind = str(data["type"])
        yield NodeSpec(
            id=str(item["id"]),
            type=ALIASES.get(kind, kind),
            title=str(data.get("title") or ""),
            data=data,
            parent=str(parent) if parent else None,
        )


def _drawn(raw: JSONObject) -> Iterator[tuple[JSONObject, JSONObject]]:
    """Yield the nodes that are more than notes, each with its data."""
    for place, item in enumerate(_list(raw, "nodes")):
        data = item.get("data") if isinstance(item, dict) else None
        if not isinstance(item, dict) or not isinstance(data, dict) or not isinstance(item.get("id"), str):
            raise InvalidRequest("a node has an id and data", field=f"graph.nodes[{place}]")
        if item.get("type") == NOTE or "type" not in data:
            continue
        yield item, data


def _edges(raw: JSONObject) -> Iterator[Edge]:
    for place, item in enumerate(_list(raw, "edges")):
        ends = (item.get("source"), item.get("target")) if isinstance(item, dict) else (None, None)
        if not isinstance(item, dict) or not all(isinstance(end, str) and end for end in ends):
            raise InvalidRequest("an edge has a source and a target", field=f"graph.edges[{place}]")
        yield Edge(str(ends[0]), str(ends[1]), str(item.get("sourceHandle") or SOURCE))


def _list(raw: JSONObject, name: str) -> list[JSONValue]:
    value = raw.get(name)
    if not isinstance(value, list):
        raise InvalidRequest(f"a graph has a list of {name}", field=f"graph.{name}", fault="invalid_type")
    return value
