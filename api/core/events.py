"""Everything a run can tell, as frozen values, and the log that carries it.

Engines yield events, the recorder watches them, one serialiser writes them
(controllers/http/sse.py). An event is numbered by its place in the run's log,
from 1; each is exactly one frame on the wire. The last event of a log is
terminal and nothing follows it; an answer that is read aloud ends with the end
of its sound.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any, Literal, Protocol, get_args

import orjson

from api.core.model_runtime.types import Price, Usage
from api.core.ports import JSONObject


@dataclass(frozen=True, slots=True, kw_only=True)
class RunHeader:
    """Who runs what: written once when a run's log is opened, never sent as a frame.

    ``principal_id`` is the end user or account that started the run; only it
    (or the console) may stop the run or read its log. ``created_at`` is in Unix
    seconds. ``total_s`` is how long the run may last. ``created_by`` shows who
    started a workflow. The first event of the log is numbered one above
    ``told_events``: those a run told before it was paused.
    """

    task_id: str
    tenant_id: str
    app_id: str
    mode: str
    principal_id: str
    created_at: int
    total_s: float
    conversation_id: str | None = None
    message_id: str | None = None
    workflow_run_id: str | None = None
    workflow_id: str | None = None
    created_by: JSONObject | None = None
    told_events: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TextChunk:
    """A delta of the answer. ``selector`` names the variable it comes from, in workflows."""

    text: str
    selector: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TextReplaced:
    """The whole answer so far is replaced, for example by moderation."""

    text: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrieverResource:
    """A citation: a passage the answer was given to use. ``score`` 0..1, ``position`` from 1.

    ``doc_metadata`` is what another service tells of a passage it keeps, whose
    ``document_id`` and ``segment_id`` are empty unless it names them.
    """

    position: int
    dataset_id: str
    dataset_name: str
    document_id: str
    document_name: str
    data_source_type: str
    segment_id: str
    retriever_from: str
    score: float
    content: str
    segment_position: int | None = None
    word_count: int | None = None
    hit_count: int | None = None
    index_node_hash: str | None = None
    summary: str | None = None
    doc_metadata: JSONObject | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageEnd:
    """The answer is complete. Terminal, unless its sound follows. ``usage`` is None for a canned answer.

    ``annotation_reply`` names the annotation that was the answer, and its author.
    """

    usage: Usage | None
    retriever_resources: tuple[RetrieverResource, ...] = ()
    outcome: Literal["finished", "stopped", "truncated"] = "finished"
    files: tuple[JSONObject, ...] = ()
    annotation_reply: JSONObject | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """A workflow begins, or goes on after a pause. ``created_at`` is in Unix seconds."""

    inputs: JSONObject
    created_at: int
    reason: Literal["initial", "resumption"] = "initial"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStarted:
    """A node begins its work, the ``index``-th of its run, from 1.

    An iteration or a loop says how many rounds it has before it: ``length``.
    """

    execution_id: str
    node_id: str
    node_type: str
    title: str
    index: int
    created_at: int
    predecessor: str | None = None
    iteration_id: str | None = None
    loop_id: str | None = None
    inputs: JSONObject | None = None
    length: int | None = None
    metadata: JSONObject | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFinished:
    """A node has ended: with status ``exception`` where its failure was provided for.

    With status ``retry`` it begins once more, for the ``retry_index``-th time.
    ``edge`` is the branch it left by; ``steps`` counts the nodes that ran in an
    iteration or a loop. Secrets are masked in all it shows.
    """

    execution_id: str
    node_id: str
    node_type: str
    title: str
    index: int
    created_at: int
    finished_at: int
    elapsed_s: float
    status: Literal["succeeded", "failed", "exception", "stopped", "paused", "retry"]
    inputs: JSONObject
    process_data: JSONObject
    outputs: JSONObject
    metadata: JSONObject
    error: str | None = None
    edge: str = "source"
    predecessor: str | None = None
    iteration_id: str | None = None
    loop_id: str | None = None
    retry_index: int | None = None
    steps: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundStarted:
    """Round ``index`` of an iteration begins, from 0; or ``index`` rounds of a loop are done.

    ``previous`` holds a loop's variables after its last round.
    """

    node_id: str
    node_type: str
    title: str
    index: int
    created_at: int
    previous: JSONObject | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentLogged:
    """One step of an agent inside a node."""

    node_id: str
    execution_id: str
    id: str
    label: str
    status: Literal["start", "success", "error"]
    parent_id: str | None = None
    error: str | None = None
    told: JSONObject | None = None
    metadata: JSONObject | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentThought:
    """A round of an agent app, by its ``position`` from 1: told when it begins, then as it comes to more.

    ``tool`` are the names of the tools it calls, joined by ``;``, ``tool_input``
    what they are given, as JSON text. ``files`` are those its tools made;
    ``calls`` and ``tokens`` are for whoever looks at the run afterwards.
    """

    id: str
    position: int
    created_at: int
    thought: str = ""
    observation: str = ""
    tool: str = ""
    tool_labels: JSONObject | None = None
    tool_input: str = ""
    files: tuple[JSONObject, ...] = ()
    calls: tuple[JSONObject, ...] = ()
    tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FileMade:
    """A file that belongs to the answer: its id, its kind (``image``), and where it can be fetched."""

    id: str
    kind: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FormAsked:
    """A run waits for a person to answer a form. ``expires_at`` is in Unix seconds.

    Whoever has the ``token`` may answer.
    """

    node_id: str
    title: str
    content: str
    fields: tuple[JSONObject, ...]
    actions: tuple[JSONObject, ...]
    defaults: JSONObject
    expires_at: int
    form_id: str = ""
    token: str = ""
    deliveries: tuple[JSONObject, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FormClosed:
    """A form was answered by ``action_id``, or its time ran out: then there is no action."""

    node_id: str
    title: str
    action_id: str | None
    action_text: str = ""
    content: str = ""
    expires_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPaused:
    """A workflow waits for people. Terminal: what comes after has a log of its own.

    All it says counts from the beginning of the run, whatever pauses were before;
    ``usage`` and ``retriever_resources`` are for what comes after.
    """

    node_ids: tuple[str, ...]
    outputs: JSONObject
    created_at: int
    elapsed_s: float
    total_tokens: int
    total_steps: int
    usage: Usage | None = None
    retriever_resources: tuple[RetrieverResource, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished:
    """A workflow has ended. Terminal where neither answer nor sound follows.

    ``exceptions`` counts the nodes whose failures were provided for. Secrets
    are masked.
    """

    status: Literal["succeeded", "failed", "stopped", "partial-succeeded"]
    outputs: JSONObject
    created_at: int
    finished_at: int
    elapsed_s: float
    total_tokens: int
    total_steps: int
    exceptions: int = 0
    error: str | None = None
    files: tuple[JSONObject, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechChunk:
    """The next piece of the answer read aloud: ``audio`` is MP3 in base64, cut anywhere."""

    audio: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechEnd:
    """No more is read aloud. Terminal, but before a pause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorOccurred:
    """The run failed. Terminal. ``code`` and ``status`` are those of the AppError behind it."""

    status: int
    code: str
    message: str


Event = (
    TextChunk
    | TextReplaced
    | RunStarted
    | NodeStarted
    | NodeFinished
    | RoundStarted
    | AgentLogged
    | AgentThought
    | FileMade
    | FormAsked
    | FormClosed
    | RunPaused
    | RunFinished
    | MessageEnd
    | SpeechChunk
    | SpeechEnd
    | ErrorOccurred
)

EVENT_TYPES: dict[str, type[Event]] = {cls.__name__: cls for cls in get_args(Event)}


FIELDS = {name: tuple(field.name for field in fields(cls)) for name, cls in EVENT_TYPES.items()}


@dataclass(frozen=True, slots=True)
class EventBatch:
    """Events in order, and whether the log ends with them."""

    events: Sequence[Event]
    is_last: bool


class EventLog(Protocol):
    """The numbered events of one run. One writer, any number of readers, any process."""

    @property
    def header(self) -> RunHeader:
        """Who runs what."""
        ...

    def append(self, event: Event) -> None:
        """Add one event. Cheap: no I/O on the caller's time."""
        ...

    def close(self) -> None:
        """Say that the last appended event was the last of all; flushes what is buffered."""
        ...

    def read(self, after: int, timeout_s: float) -> EventBatch:
        """Return the events numbered above ``after``, waiting up to ``timeout_s`` for the first.

        An empty batch means the time is up. A log whose writer died ends with
        an ErrorOccurred of code ``worker_lost``.
        """
        ...


class Channel(Protocol):
    """Event logs and stop signals, across the processes that serve together.

    A log stays readable for 10 minutes after it was closed.
    """

    def open(self, header: RunHeader) -> EventLog:
        """Start the log of a new run, to be written by this process."""
        ...

    def find(self, task_id: str) -> EventLog | None:
        """Return the log of a run of any process, or None when unknown or expired."""
        ...

    def signal(self, task_id: str) -> None:
        """Tell whichever process runs the task to stop it; nothing happens for an unknown one."""
        ...

    def on_signal(self, task_id: str, action: Callable[[], None]) -> Callable[[], None]:
        """Call ``action`` once when the task is signalled; return how to stop listening."""
        ...

    def stop(self) -> None:
        """End what this process runs to carry events; called once, when it shuts down."""
        ...


def encode(event: Event) -> bytes:
    """Return an event as JSON bytes that :func:`decode` turns back into an equal event."""
    kind = type(event).__name__
    return orjson.dumps({"type": kind, **{name: getattr(event, name) for name in FIELDS[kind]}}, default=str)


def decode(data: bytes) -> Event:
    """Return the event of :func:`encode`; raises KeyError for an unknown type."""
    return from_json(orjson.loads(data))


def to_json(event: Event) -> JSONObject:
    """Return an event as a JSON object that :func:`from_json` turns back into an equal event."""
    value: JSONObject = orjson.loads(encode(event))
    return value


def from_json(raw: JSONObject) -> Event:
    """Return the event of :func:`to_json`; raises KeyError for an unknown type.

    What an earlier release did not tell of it has its default.
    """
    kind = str(raw["type"])
    values = {name: _revive(name, raw[name]) for name in FIELDS[kind] if name in raw}
    return EVENT_TYPES[kind](**values)  # type: ignore[arg-type]  # the round-trip test checks every type


def _revive(name: str, value: Any) -> object:
    """Rebuild the nested values that JSON flattened."""
    match name, value:
        case "usage", dict():
            return Usage(**{**value, "price": _revive_price(value["price"])})
        case "retriever_resources", list():
            return tuple(RetrieverResource(**item) for item in value)
        case "selector" | "node_ids" | "fields" | "actions" | "deliveries" | "files" | "calls", list():
            return tuple(value)
    return value


def _revive_price(value: dict[str, str]) -> Price:
    money = {name: Decimal(value[name]) for name in ("input", "output", "unit")}
    return Price(**money, currency=value["currency"])
