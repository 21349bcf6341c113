"""Which node may run next, and which never will. Pure: it is told what happened and says what follows.

A node may run when every edge into it is settled and at least one was taken; it
is skipped when all were. So a join waits for exactly the branches that come.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from api.core.workflow.graph import FAIL, SOURCE, Edge, Graph


@dataclass(frozen=True, slots=True)
class Step:
    """What follows from one node's end: nodes that may run now, edges taken, nodes that never will run."""

    ready: list[str] = field(default_factory=list)
    taken: list[Edge] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


class Schedule:
    """The state of one scope of a graph, from ``root`` on. Edges out of unreachable nodes do not count."""

    def __init__(self, graph: Graph, root: str) -> None:
        self.root = root
        self.reachable = graph.reachable(root)
        self._graph = graph
        self._has_taken: set[str] = set()
        self._open = {
            node_id: sum(edge.source in self.reachable for edge in graph.entering(node_id))
            for node_id in self.reachable
        }

    def after(self, node_id: str, handle: str = SOURCE) -> Step:
        """Settle the edges out of a node that has ended by ``handle``; call it once for each node."""
        step = Step()
        for edge in self._graph.leaving(node_id):
            if _leads(edge, handle):
                step.taken.append(edge)
                self._has_taken.add(edge.target)
        self._settle(self._graph.leaving(node_id), step)
        return step

    def _settle(self, edges: Iterable[Edge], step: Step) -> None:
        waiting = list(edges)
        while waiting:
            target = waiting.pop(0).target
            self._open[target] -= 1
            if self._open[target]:
                continue
            if target in self._has_taken:
                step.ready.append(target)
            else:
                step.skipped.append(target)
                waiting.extend(self._graph.leaving(target))


def _leads(edge: Edge, handle: str) -> bool:
    """Tell whether a node that ended by ``handle`` goes on along an edge; only failures use theirs."""
    return edge.handle != FAIL if handle == SOURCE else edge.handle == handle
