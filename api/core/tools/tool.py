"""What a tool is: data that describes it, and a call that yields messages.

Boundary: whoever offers tools (the files under ``builtin/``, an OpenAPI document,
a server of tools) makes :class:`Tool` values; whoever uses them (a workflow's
node, a test call, an agent) calls them through ``calling.call_tool`` alone. What
must stay true: a tool waits only for what obeys ``context.cancel``.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from api.core.http import HTTPClient, Timeouts
from api.core.model_runtime.types import CredentialField, Usage
from api.core.ports import Cancel, CodeSandbox, JSONObject, JSONValue, Offload

ParameterType = Literal[
    "string", "number", "boolean", "select", "secret-input", "file", "files", "array", "object"
]
Form = Literal["llm", "form"]


class ToolFailed(Exception):
    """A tool could not do its work; ``message`` is a sentence for whoever called it.

    ``error_type`` is what a failure branch of a workflow may tell failures apart by.
    """

    def __init__(self, message: str, *, error_type: str = "ToolInvokeError") -> None:
        super().__init__(message)
        self.message = message
        self.error_type = error_type


@dataclass(frozen=True, slots=True)
class Words:
    """A text for people, in English and in Chinese."""

    en: str
    zh: str = ""

    def to_json(self) -> dict[str, JSONValue]:
        """Return both, as clients know them; English stands in where there is no Chinese."""
        return {"en_US": self.en, "zh_Hans": self.zh or self.en}


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolParameter:
    """One argument of a tool.

    ``form`` says who fills it in: a model (``llm``), or whoever sets the tool up
    (``form``). ``llm_description`` is for models, ``human_description`` for
    people. ``minimum`` and ``maximum`` bound numbers; ``options`` are the values of a select.
    ``schema`` is the JSON Schema a model is told, where the type says too little.
    """

    name: str
    label: Words
    human_description: Words
    type: ParameterType = "string"
    form: Form = "llm"
    llm_description: str = ""
    is_required: bool = False
    default: JSONValue = None
    minimum: float | None = None
    maximum: float | None = None
    options: tuple[tuple[str, Words], ...] = ()
    schema: JSONObject | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSchema:
    """What is told of a tool. ``timeout_s`` is its own longest time; None: that of the caller."""

    name: str
    label: Words
    description: Words
    llm_description: str
    parameters: tuple[ToolParameter, ...] = ()
    output_schema: JSONObject = field(default_factory=dict)
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class TextMessage:
    """A piece of the tool's text."""

    text: str


@dataclass(frozen=True, slots=True)
class JSONMessage:
    """One value of the tool's ``json``."""

    value: JSONValue


@dataclass(frozen=True, slots=True)
class FileMessage:
    """A file the tool made or received."""

    name: str
    mime_type: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class VariableMessage:
    """A variable of the tool's own, named in its output schema."""

    name: str
    value: JSONValue


@dataclass(frozen=True, slots=True)
class KeptFileMessage:
    """A file that is kept already, as variables hold it."""

    value: JSONObject


@dataclass(frozen=True, slots=True)
class UsageMessage:
    """What the tool used of models, to be counted as its caller's."""

    usage: Usage


ToolMessage = TextMessage | JSONMessage | FileMessage | KeptFileMessage | VariableMessage | UsageMessage


class ToolFiles(Protocol):
    """The files a call may be given, behind their values."""

    def read(self, file: JSONObject, cancel: Cancel) -> bytes:
        """Return a file's bytes. Raises ToolFailed where it is gone, foreign or too large."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowAnswer:
    """What a workflow gave that was run for a tool; ``files`` are as variables hold them."""

    outputs: JSONObject
    files: tuple[JSONObject, ...] = ()
    usage: Usage | None = None


class Flows(Protocol):
    """The workflows of the workspace, as the caller of a tool may run them."""

    def run(self, app_id: str, workflow_id: str, inputs: JSONObject, cancel: Cancel) -> FlowAnswer:
        """Run a published version to its end. Raises ToolFailed where it cannot be run, or failed."""
        ...


class NoFlows:
    """A caller that runs no workflows."""

    def run(self, app_id: str, workflow_id: str, inputs: JSONObject, cancel: Cancel) -> FlowAnswer:
        """Raise ToolFailed: none is run here."""
        del app_id, workflow_id, inputs, cancel
        raise ToolFailed("Workflows cannot be called as tools here.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolContext:
    """Who calls, and what a tool may use. ``cancel`` ends the call; its deadline is the tool's time.

    ``credentials`` are the fields of the provider's form in clear. ``max_text_bytes``
    bounds a text that is read from outside, ``max_file_bytes`` a file.
    """

    tenant_id: str
    user: str
    http: HTTPClient
    sandbox: CodeSandbox
    offload: Offload
    files: ToolFiles
    cancel: Cancel
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    max_text_bytes: int = 1024 * 1024
    max_file_bytes: int = 10 * 1024 * 1024
    flows: Flows = field(default_factory=NoFlows)

    @property
    def timeouts(self) -> Timeouts:
        """The waits of an outbound call: as long as the tool has time, however little comes meanwhile."""
        left_s = self.cancel.remaining_s()
        return Timeouts(connect_s=self.http.timeouts.connect_s, first_byte_s=left_s, idle_s=left_s)


Invoke = Callable[[JSONObject, ToolContext], Iterable[ToolMessage]]


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that can be called.

    ``invoke`` gets arguments that fit the schema, and yields messages. Raises
    ToolFailed, or what the ports raise: ``calling.call_tool`` makes one of the other.
    """

    schema: ToolSchema
    invoke: Invoke


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolProviderSchema:
    """What is told of tools that belong together. ``labels`` are the words they are sorted by.

    Those of a plugin name it, and where on this server their picture is.
    """

    id: str
    label: Words
    description: Words
    icon_svg: str
    labels: tuple[str, ...] = ()
    credential_fields: tuple[CredentialField, ...] = ()
    author: str = "Slipway"
    plugin_id: str = ""
    plugin_identifier: str = ""
    icon_path: str = ""
