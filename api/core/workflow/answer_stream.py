"""The text a run shows, in the order of its Answer and End nodes, as early as it can be known. Pure.

A response node is a template: texts and variables in order. It may begin to
speak before its turn to run has come: as soon as nothing can keep it from being
reached, however long the nodes before it still take. So what a model says goes
out as it comes. One response node speaks at a time; the others wait their turn.
Wire: docs/wire/workflows.md#streaming.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from api.core.events import TextChunk, TextReplaced
from api.core.workflow.graph import CONTAINERS, FAIL, RESPONSES, Edge, Graph, NodeSpec
from api.core.workflow.schedule import Step
from api.core.workflow.templates import Reference, Segment, segments, to_markdown
from api.core.workflow.variables import Selector, VariablePool

BRANCHES = frozenset({"if-else", "question-classifier", "human-input"})
NEW_LINE = "\n"


@dataclass(slots=True)
class Speech:
    """One response node: what it says, and the edges any of which lets it speak."""

    node_id: str
    parts: tuple[Segment, ...]
    gates: frozenset[Edge]
    at: int = 0


@dataclass(slots=True)
class _Source:
    """What has come of a streamed variable: the pieces not yet shown, and how many were."""

    waiting: list[str] = field(default_factory=list)
    shown: int = 0


class AnswerStream:
    """Turns what happens in one scope into the text to show.

    Told of the pieces of a node's text, of edges taken and nodes skipped, and of
    nodes that ended, it says each time which text can go out now.
    """

    def __init__(self, graph: Graph, root: str, reachable: set[str], variables: VariablePool) -> None:
        self._variables = variables
        self._reachable = reachable
        self._settled: set[str] = set()
        self._sources: defaultdict[Selector, _Source] = defaultdict(_Source)
        self._sent: list[str] = []
        self._turn: list[Speech] = []
        self._mute: list[Speech] = []
        for node in graph.nodes.values():
            if node.id not in reachable or node.type not in RESPONSES:
                continue
            gates = _gates(graph, node, root)
            speech = Speech(node.id, response_parts(node), gates or frozenset())
            (self._turn if gates is None else self._mute).append(speech)
        speeches = self._turn + self._mute
        self._wanted = {
            part.selector for speech in speeches for part in speech.parts if isinstance(part, Reference)
        }

    @property
    def text(self) -> str:
        """All that was shown."""
        return "".join(self._sent)

    def begin(self) -> Iterator[TextChunk]:
        """Yield what can be said before anything has run."""
        yield from self._speak()

    def feed(self, selector: Selector, text: str) -> Iterator[TextChunk]:
        """Take a piece of a node's text; yield what can go out."""
        if selector in self._wanted:
            self._sources[selector].waiting.append(text)
            yield from self._speak()

    def retract(self, node_id: str) -> Iterator[TextReplaced]:
        """Forget the text of a node that begins anew; what was shown of it is taken back."""
        for selector in [key for key in self._sources if key[0] == node_id]:
            source = self._sources.pop(selector)
            if source.shown:
                del self._sent[len(self._sent) - source.shown :]
                yield TextReplaced(text=self.text)

    def advance(self, node_id: str, step: Step) -> Iterator[TextChunk]:
        """Take what followed from a node's end; its outputs are in the pool."""
        self._settled.add(node_id)
        self._settled.update(step.skipped)
        taken = set(step.taken)
        for speech in [speech for speech in self._mute if not taken.isdisjoint(speech.gates)]:
            self._mute.remove(speech)
            self._turn.append(speech)
        skipped = set(step.skipped)
        if skipped:
            self._mute = [speech for speech in self._mute if speech.node_id not in skipped]
            self._turn = [speech for speech in self._turn if speech.node_id not in skipped]
        yield from self._speak()

    def _speak(self) -> Iterator[TextChunk]:
        while self._turn:
            speech = self._turn[0]
            while speech.at < len(speech.parts):
                part = speech.parts[speech.at]
                if isinstance(part, str):
                    yield self._say(part, (speech.node_id, "answer"))
                else:
                    yield from self._say_variable(part.selector)
                    if not self._is_over(part.selector):
                        return
                    self._sources.pop(part.selector, None)  # written once more it is all there
                speech.at += 1
            if speech.node_id not in self._settled:
                return
            self._turn.pop(0)

    def _say_variable(self, selector: Selector) -> Iterator[TextChunk]:
        source = self._sources.get(selector)
        if source is None:
            text = to_markdown(self._variables.get(selector)) if self._is_over(selector) else ""
            if text:
                yield self._say(self._variables.mask(text), selector)
            return
        pieces, source.waiting = source.waiting, []
        for piece in pieces:
            source.shown += 1
            yield self._say(piece, selector)

    def _is_over(self, selector: Selector) -> bool:
        """Tell whether nothing more can come of a variable."""
        node_id = selector[0]
        return node_id in self._settled or node_id not in self._reachable

    def _say(self, text: str, selector: Selector) -> TextChunk:
        self._sent.append(text)
        return TextChunk(text=text, selector=selector)


def response_parts(node: NodeSpec) -> tuple[Segment, ...]:
    """Return what a response node says: an Answer its template, an End its variables, one a line."""
    if node.type == "answer":
        return segments(str(node.data.get("answer") or ""))
    outputs = node.data.get("outputs")
    parts: list[Segment] = []
    for item in outputs if isinstance(outputs, list) else []:
        selector = item.get("value_selector") if isinstance(item, dict) else None
        if isinstance(selector, list) and len(selector) > 1:
            parts += [NEW_LINE] if parts else []
            parts.append(Reference(tuple(str(name) for name in selector)))
    return tuple(parts)


def _gates(graph: Graph, response: NodeSpec, root: str) -> frozenset[Edge] | None:
    """Return the last doubtful edge of each way to ``response``; None where a way has none."""
    written = {part.selector[:2] for part in response_parts(response) if isinstance(part, Reference)}
    gates: set[Edge] = set()
    seen, waiting = {response.id}, [response.id]
    while waiting:
        node_id = waiting.pop()
        if node_id == root:
            return None
        for edge in graph.entering(node_id):
            if _may_hold_up(graph, graph.nodes[edge.source], written):
                gates.add(edge)
            elif edge.source not in seen:
                seen.add(edge.source)
                waiting.append(edge.source)
    return frozenset(gates)


def _may_hold_up(graph: Graph, node: NodeSpec, written: set[Selector]) -> bool:
    """Tell whether a response that shows the variables ``written`` must wait for the node's end."""
    if node.type in BRANCHES or node.type in CONTAINERS or node.type in RESPONSES:
        return True
    if any(edge.handle == FAIL for edge in graph.leaving(node.id)):
        return True
    return node.type == "assigner" and not written.isdisjoint(_changed(node))


def _changed(assigner: NodeSpec) -> Iterator[Selector]:
    """Yield the variables an assigner changes, in the form of today or that of old."""
    items = assigner.data.get("items")
    for item in [assigner.data, *(items if isinstance(items, list) else [])]:
        drawn = item if isinstance(item, dict) else {}
        selector = drawn.get("variable_selector") or drawn.get("assigned_variable_selector")
        if isinstance(selector, list):
            yield tuple(str(name) for name in selector[:2])
