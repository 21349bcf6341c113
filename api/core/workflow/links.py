"""Whether the variables that nodes read are there, and of types that can be used.

A node sees what the nodes before it in the drawing leave, the variables of the
containers it is inside of, what those see, and what the run and the workflow
bring: ``sys``, ``env``, ``conversation``.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from api.core.ports import JSONObject, JSONValue
from api.core.workflow.completeness import Problem
from api.core.workflow.graph import Graph, NodeSpec, is_root
from api.core.workflow.node import Demand, NodeConfig, Types
from api.core.workflow.templates import references
from api.core.workflow.variables import RESERVED, SYSTEM, Selector, ValueType

FAILURE: Types = {"error_message": ValueType.STRING, "error_type": ValueType.STRING}
EVERYTHING = -1


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable that is there; no ``kind`` where its type shows only when the run comes to it."""

    kind: ValueType | None = None


class Links:
    """What the nodes of one graph see of each other.

    ``configs`` are the settings that could be read; ``given`` are the types of
    the variables under reserved names.
    """

    def __init__(self, graph: Graph, configs: Mapping[str, NodeConfig], given: Mapping[str, Types]) -> None:
        self._graph = graph
        self._configs = configs
        self._given = given
        self._of_root = {f"{SYSTEM}.{name}": kind for name, kind in given.get(SYSTEM, {}).items()}
        self._bits = {node_id: 1 << place for place, node_id in enumerate(graph.nodes)}
        self._before = _before(graph, self._bits)

    def problems_of(self, node: NodeSpec) -> Iterator[Problem]:
        """Yield what is wrong with the variables a node reads, each once."""
        config = self._configs.get(node.id)
        if config is None:
            return
        demands = list(config.demands())
        read = dict.fromkeys([*config.references(), *(demand.selector for demand in demands)])
        missing = [selector for selector in read if self._seen(selector, node.id) is None]
        missing += [
            selector
            for selector in dict.fromkeys(config.inner_references())
            if selector not in missing and self._seen(selector, node.id, from_inside=True) is None
        ]
        unfit = [demand for demand in demands if not self._fits(demand, node.id)]
        if missing or unfit:
            fields = _fields(node.data)
            yield from (_missing(node, selector, fields) for selector in missing)
            yield from (self._unfit(node, demand, fields) for demand in unfit)

    def _seen(self, selector: Selector, reader: str, *, from_inside: bool = False) -> Variable | None:
        """Return a variable as a node sees it, or a container from inside; None if it does not."""
        if len(selector) < 2:
            return None
        is_open, types = self._source(selector[0], reader, from_inside=from_inside)
        if not is_open:
            return None
        if types is None:
            return Variable()
        if selector[1] not in types:
            return None
        return Variable(types[selector[1]] if len(selector) == 2 else None)

    def _source(self, source: str, reader: str, *, from_inside: bool) -> tuple[bool, Types | None]:
        """Tell whether a node sees a source at all, and what is known of what that has."""
        if source in RESERVED:
            return True, self._given.get(source)
        if source not in self._bits:
            return False, None
        config, around = self._configs.get(source), self._around(reader)
        if source in around or (from_inside and source == reader):
            return True, config.lends() if config else None
        is_inside = from_inside and self._graph.nodes[source].parent == reader
        if not is_inside and not any(self._precedes(source, place) for place in (reader, *around)):
            return False, None
        return True, self._left_by(source, config) if config else None

    def _left_by(self, source: str, config: NodeConfig) -> Types | None:
        """Return what a node leaves, as far as that is known before it runs."""
        given = config.gives()
        if given is None:
            return None
        if is_root(self._graph.nodes[source].type):
            return {**given, **self._of_root}
        return {**given, **FAILURE} if config.error_strategy else given

    def _around(self, node_id: str) -> tuple[str, ...]:
        """Return the containers a node is inside of, from the inside out."""
        around: dict[str, None] = {}
        node: NodeSpec | None = self._graph.nodes[node_id]
        while node is not None and node.parent is not None and node.parent not in around:
            around[node.parent] = None
            node = self._graph.nodes.get(node.parent)
        return tuple(around)

    def _precedes(self, one: str, other: str) -> bool:
        return bool(self._before.get(other, EVERYTHING) & self._bits[one]) and one != other

    def _fits(self, demand: Demand, reader: str) -> bool:
        """Tell whether a variable can be used; one that is missing is not counted twice."""
        variable = self._seen(demand.selector, reader)
        kind = variable.kind if variable else None
        if kind is None or kind is ValueType.ARRAY_ANY:
            return True
        return kind in demand.kinds or (kind is ValueType.SECRET and ValueType.STRING in demand.kinds)

    def _unfit(self, node: NodeSpec, demand: Demand, fields: Mapping[Selector, str]) -> Problem:
        variable = self._seen(demand.selector, node.id)
        kind = variable.kind if variable else None
        wanted = ", ".join(sorted(demand.kinds))
        return Problem(
            node_id=node.id,
            field=fields.get(demand.selector, "data"),
            type="invalid_type",
            message=f"Node {node.title or node.id!r} cannot use {'.'.join(demand.selector)}: "
            f"it is of type {kind}, not of {wanted}.",
        )


def _before(graph: Graph, bits: Mapping[str, int]) -> dict[str, int]:
    """Return for each node those before it, as bits; nodes on cycles and behind them are left out."""
    before: dict[str, int] = {}
    for node_id in graph.in_order:
        mask = 0
        for edge in graph.entering(node_id):
            mask |= before[edge.source] | bits[edge.source]
        before[node_id] = mask
    return before


def _missing(node: NodeSpec, selector: Selector, fields: Mapping[Selector, str]) -> Problem:
    return Problem(
        node_id=node.id,
        field=fields.get(selector, "data"),
        type="invalid_value" if len(selector) > 1 else "required",
        message=f"Node {node.title or node.id!r} reads a variable that is not there: "
        f"{'.'.join(selector) or 'none is chosen'}.",
    )


def _fields(data: JSONObject) -> dict[Selector, str]:
    """Return where in a node's data each variable is named, as a path; the first place of each."""
    found: dict[Selector, str] = {}
    waiting: list[tuple[str, JSONValue]] = [("", data)]
    while waiting:
        path, value = waiting.pop()
        match value:
            case str():
                for selector in references(value):
                    found.setdefault(selector, path)
            case list():
                if all(isinstance(item, str) for item in value):
                    found.setdefault(tuple(str(item) for item in value), path)
                waiting += [(f"{path}.{place}", item) for place, item in reversed(list(enumerate(value)))]
            case dict():
                prefix = f"{path}." if path else ""
                waiting += [(f"{prefix}{key}", item) for key, item in reversed(value.items())]
    return found
