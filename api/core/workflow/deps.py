"""What the nodes of a run may use, and what they know of it; the services behind it are not their concern."""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from api.core.events import FormAsked
from api.core.http import HTTPClient
from api.core.model_runtime.runtime import ModelRuntime
from api.core.model_runtime.types import PastTurn, Usage
from api.core.ports import Cancel, CodeSandbox, JSONObject, JSONValue
from api.core.workflow.variables import ValueType
from api.core.workflow.work import NodeFailed, NodeResult, Told


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowLimits:
    """How far one run may go.

    ``max_code_items`` bounds each list and ``max_code_depth`` the nesting of what
    code gives, ``max_text_chars`` each text of templates and code,
    ``http_upload_bytes`` the files of one request together.
    """

    max_steps: int = 500
    max_threads: int = 10
    max_variable_bytes: int = 10 * 1024 * 1024
    max_text_chars: int = 400_000
    max_loop_rounds: int = 100
    code_timeout_s: float = 10.0
    max_code_items: int = 100_000
    max_code_depth: int = 20
    http_connect_s: float = 10.0
    http_read_s: float = 600.0
    http_write_s: float = 600.0
    http_text_bytes: int = 1024 * 1024
    http_file_bytes: int = 10 * 1024 * 1024
    http_upload_bytes: int = 100 * 1024 * 1024
    tool_timeout_s: float = 120.0
    max_call_depth: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowFacts:
    """Who runs what; ``user`` is the caller's name for its user.

    ``depth`` counts the workflows that called each other as tools down to this one.
    """

    tenant_id: str
    app_id: str
    workflow_id: str
    run_id: str
    user: str
    invoke_from: str
    is_chat: bool
    conversation_id: str | None = None
    depth: int = 0


class Files(Protocol):
    """The files of a run, behind their values."""

    def read(self, file: JSONObject, cancel: Cancel) -> bytes:
        """Return a file's bytes. Raises NodeFailed where it is gone, foreign or too large."""
        ...

    def save(self, name: str, mime_type: str, content: bytes) -> JSONObject:
        """Keep bytes a node received, and return the file's value."""
        ...

    def text(self, file: JSONObject, cancel: Cancel) -> str:
        """Return a document's text. Raises NodeFailed with a sentence for its owner."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a knowledge-retrieval node asks for: its settings as drawn, checked by its Config."""

    query: str
    dataset_ids: tuple[str, ...]
    settings: JSONObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Passages as ``result`` shows them, and what finding them used of models."""

    result: list[JSONObject] = field(default_factory=list)
    usage: Usage | None = None


class Knowledge(Protocol):
    """The datasets of the workspace."""

    def find(self, wanted: Wanted, cancel: Cancel) -> Found:
        """Return the passages that answer a query, best first. Raises AppError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A call of a tool with its filled parameters.

    An own provider is known by its id, or in another workspace by its name.
    """

    provider_type: str
    provider_id: str
    tool_name: str
    parameters: JSONObject
    configurations: JSONObject
    credential_id: str | None = None
    provider_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolAnswer:
    """What a tool gave: text, JSON objects and files, variables of its own, and what it used of models."""

    text: str = ""
    json: list[JSONValue] = field(default_factory=list)
    files: list[JSONValue] = field(default_factory=list)
    variables: JSONObject = field(default_factory=dict)
    info: JSONObject = field(default_factory=dict)
    usage: Usage | None = None


class Tools(Protocol):
    """The tools of the workspace."""

    def call(self, call: ToolCall, facts: FlowFacts, cancel: Cancel) -> ToolAnswer:
        """Return what a tool answers. Raises NodeFailed where there is no such tool, or it failed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentTask:
    """What an agent node asks a strategy of a provider for; its steps are told of ``node_id``'s execution.

    ``memory`` says how much of the conversation the model sees, None for nothing.
    """

    provider: str
    strategy: str
    parameters: JSONObject
    memory: JSONObject | None
    node_id: str
    execution_id: str


class Agents(Protocol):
    """Strategies that let a model use tools."""

    def run(self, task: AgentTask, facts: FlowFacts, cancel: Cancel) -> Generator[Told, None, NodeResult]:
        """Yield what the agent says and does; return its outputs. Raises NodeFailed."""
        ...


class NoAgents:
    """An installation without strategies."""

    def run(self, task: AgentTask, _facts: FlowFacts, _cancel: Cancel) -> Generator[Told, None, NodeResult]:
        """Say that the strategy is not there."""
        raise NodeFailed(
            f"No agent strategies are installed here, so {task.strategy!r} cannot run.",
            error_type="AgentStrategyNotFound",
        )


class Forms(Protocol):
    """Forms that people answer while a run waits."""

    def ask(self, asked: FormAsked, facts: FlowFacts) -> FormAsked:
        """Keep a form to be answered, and return it with its id and token."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowDeps:
    """What nodes may use: ``history`` is the conversation, ``assign`` keeps one of its variables at once.

    ``conversation_types`` are the types its variables are declared with, by name.
    """

    models: ModelRuntime
    sandbox: CodeSandbox
    http: HTTPClient
    files: Files
    knowledge: Knowledge
    tools: Tools
    forms: Forms
    agents: Agents = field(default_factory=NoAgents)
    history: Sequence[PastTurn] = ()
    assign: Callable[[str, JSONValue], None] = lambda _name, _value: None
    conversation_types: Mapping[str, ValueType] = field(default_factory=dict)
    limits: FlowLimits = FlowLimits()
