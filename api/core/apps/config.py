"""The configuration of chat, completion and agent apps: the console's ModelConfig, validated.

Read once when it is saved and once per process when it is run. Keys we do not
know are kept as they came, so that a newer console loses nothing.
Wire: docs/wire/apps.md#model-config.
"""

import re
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from api.core.model_runtime.choice import ModelChoice
from api.core.ports import JSONObject
from api.errors import InvalidRequest

FormKind = Literal[
    "text-input",
    "paragraph",
    "select",
    "number",
    "checkbox",
    "file",
    "file-list",
    "external_data_tool",
    "json_object",
]
VARIABLE = re.compile(r"(?![0-9])[A-Za-z0-9_\u4e00-\u9fff\U0001F300-\U0001FAFF\u2600-\u27BF\uFE0F]{1,100}")
EXTERNAL_DATA = "external_data_tool"
AVOIDANCE_TYPES = ("keywords", "openai_moderation", "api")
Item = TypeVar("Item")
Several = Annotated[tuple[Item, ...], Field(strict=False)]
"""A JSON array. Only the array itself may become a tuple; its items are as strict as all else."""


class Open(BaseModel):
    """A part of the configuration: types are strict (no ``"3"`` for 3), unknown keys are kept."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True, protected_namespaces=())


class Switch(Open):
    """A feature that is on or off."""

    enabled: bool = False


class Part(Open):
    """A part of the configuration in which null is the default."""

    @model_validator(mode="before")
    @classmethod
    def _null_means_default(cls, raw: object) -> object:
        return (
            {key: value for key, value in raw.items() if value is not None} if isinstance(raw, dict) else raw
        )


class AvoidanceSide(Part):
    """Whether texts of one side are checked, and what is said in place of one that may not be."""

    enabled: bool = False
    preset_response: str = ""


class AvoidanceConfig(Part):
    """What is checked, and for what; ``keywords`` are one a line, the extension is asked instead of them."""

    inputs_config: AvoidanceSide = AvoidanceSide()
    outputs_config: AvoidanceSide = AvoidanceSide()
    keywords: str = Field("", max_length=10_000)
    api_based_extension_id: str = ""


class WordAvoidance(Part):
    """Texts checked for what must not be said; only what is switched on must make sense."""

    enabled: bool = False
    type: str = ""
    config: AvoidanceConfig = AvoidanceConfig()

    @model_validator(mode="after")
    def _makes_sense(self) -> "WordAvoidance":
        if not self.enabled:
            return self
        if self.type not in AVOIDANCE_TYPES:
            raise ValueError(f"type must be one of: {', '.join(AVOIDANCE_TYPES)}")
        sides = [side for side in (self.config.inputs_config, self.config.outputs_config) if side.enabled]
        if not sides:
            raise ValueError("inputs_config or outputs_config must be enabled")
        if self.type == "keywords" and not self.config.keywords.strip():
            raise ValueError("keywords are required")
        if self.type == "api" and not self.config.api_based_extension_id:
            raise ValueError("config.api_based_extension_id is required")
        if self.type != "api" and not all(side.preset_response for side in sides):
            raise ValueError("preset_response is required of what is enabled")
        return self


class PromptMessage(Open):
    """One message of an advanced prompt."""

    role: Literal["system", "user", "assistant"]
    text: str = ""


class ChatPrompt(Open):
    """An advanced prompt for chat models."""

    prompt: Several[PromptMessage] = ()


class CompletionText(Open):
    """The text of an advanced completion prompt."""

    text: str = ""


class HistoryRoles(Open):
    """How speakers are named where history is written into one text."""

    user_prefix: str = "Human"
    assistant_prefix: str = "Assistant"


class CompletionPrompt(Open):
    """An advanced prompt in one text."""

    prompt: CompletionText = CompletionText()
    conversation_histories_role: HistoryRoles = HistoryRoles()


class ExtensionChoice(Part):
    """The API-based extension that is asked."""

    api_based_extension_id: str = ""


class ExternalDataTool(Part):
    """A variable that a service fills in; only what is switched on must make sense."""

    enabled: bool = False
    type: str = ""
    variable: str = ""
    config: ExtensionChoice = ExtensionChoice()

    @model_validator(mode="after")
    def _makes_sense(self) -> "ExternalDataTool":
        if not self.enabled:
            return self
        if self.type != "api":
            raise ValueError("type must be api")
        if not VARIABLE.fullmatch(self.variable):
            raise ValueError(f"{self.variable!r} is not a valid variable name")
        if not self.config.api_based_extension_id:
            raise ValueError("config.api_based_extension_id is required")
        return self


class FormItem(Open):
    """One variable the end user fills in; or a service, where it is one of external data."""

    kind: FormKind
    variable: str
    label: str
    required: bool = False
    default: Any = None
    max_length: int | None = Field(None, ge=0)
    options: Several[str] = ()
    hide: bool = False
    external_data: ExternalDataTool | None = Field(None, exclude=True)
    """The tool that fills the variable in, None where its end user does."""

    @field_validator("variable")
    @classmethod
    def _is_a_name(cls, name: str) -> str:
        if not VARIABLE.fullmatch(name):
            raise ValueError(f"{name!r} is not a valid variable name")
        return name

    @field_validator("options", mode="before")
    @classmethod
    def _null_is_none(cls, options: object) -> object:
        return () if options is None else options

    @model_validator(mode="after")
    def _default_is_an_option(self) -> "FormItem":
        if self.kind == "select" and self.default not in (None, "") and self.default not in self.options:
            raise ValueError(f"default value {self.default!r} of {self.variable!r} is not among its options")
        return self


class ImageUpload(Open):
    """Whether end users may send images, how many, and how."""

    enabled: bool = False
    number_limits: int = Field(3, ge=1, le=100)
    detail: Literal["high", "low"] = "high"
    transfer_methods: Several[str] = ("remote_url", "local_file")


class FileUpload(Open):
    """Which files end users may attach."""

    enabled: bool = False
    image: ImageUpload = ImageUpload()
    allowed_file_types: Several[str] | None = None
    allowed_file_extensions: Several[str] | None = None
    allowed_file_upload_methods: Several[str] | None = None
    number_limits: int | None = Field(None, ge=1, le=100)

    @property
    def is_on(self) -> bool:
        """Tell whether any file may be attached."""
        return self.enabled or self.image.enabled


class DatasetChoice(Open):
    """A dataset an app may search."""

    id: str
    enabled: bool = True


class DatasetItem(Open):
    """A dataset as the console lists it."""

    dataset: DatasetChoice


class DatasetItems(Open):
    """The datasets of an app."""

    datasets: Several[DatasetItem] = ()

    @field_validator("datasets", mode="before")
    @classmethod
    def _null_is_none(cls, datasets: object) -> object:
        return () if datasets is None else datasets


class AgentTool(Part):
    """A tool of an agent; what else it says of it is read when it is used (core/agent/wanted.py).

    Older configurations name their datasets here.
    """

    enabled: bool = True
    dataset: DatasetChoice | None = None


class AgentMode(Part):
    """How an agent works, and with what. ``max_iteration`` is how often it may call tools."""

    enabled: bool = False
    strategy: str = "function_call"
    max_iteration: int = Field(10, ge=1, le=99)
    tools: Several[AgentTool] = ()


class DatasetConfigs(Open):
    """Which datasets an app searches, and how; the other keys are those of a retrieval model.

    ``multiple`` ranks what all the datasets hold together, ``single`` answers
    from the one dataset that holds the best.
    """

    retrieval_model: Literal["single", "multiple"] = "multiple"
    datasets: DatasetItems = DatasetItems()
    metadata_filtering_mode: Literal["disabled", "automatic", "manual"] | None = None
    metadata_model_config: dict[str, Any] | None = None

    def settings(self) -> JSONObject:
        """Return what the configuration says of how to search."""
        return dict(self.model_extra or {})


class ModelConfig(Open):
    """The whole configuration."""

    model: ModelChoice
    pre_prompt: str = ""
    prompt_type: Literal["simple", "advanced"] = "simple"
    chat_prompt_config: ChatPrompt = ChatPrompt()
    completion_prompt_config: CompletionPrompt = CompletionPrompt()
    user_input_form: Several[FormItem] = ()
    opening_statement: str = ""
    suggested_questions: Several[str] = ()
    suggested_questions_after_answer: Switch = Switch()
    more_like_this: Switch = Switch()
    speech_to_text: Switch = Switch()
    text_to_speech: Switch = Switch()
    retriever_resource: Switch = Switch()
    sensitive_word_avoidance: WordAvoidance = WordAvoidance()
    annotation_reply: Switch = Switch()
    external_data_tools: Several[ExternalDataTool] = ()
    file_upload: FileUpload = FileUpload()
    dataset_configs: DatasetConfigs = DatasetConfigs()
    dataset_query_variable: str = ""
    agent_mode: AgentMode = AgentMode()

    @property
    def is_agent(self) -> bool:
        """Tell whether a chat is an agent; the routers of old only chose among datasets."""
        return self.agent_mode.enabled and not self.agent_mode.strategy.lower().endswith("router")

    @property
    def dataset_ids(self) -> tuple[str, ...]:
        """The datasets that are on, each once, in their order, wherever the configuration names them."""
        named = [item.dataset for item in self.dataset_configs.datasets.datasets]
        named += [tool.dataset for tool in self.agent_mode.tools if tool.dataset is not None]
        return tuple(dict.fromkeys(choice.id.lower() for choice in named if choice.enabled))

    @property
    def data_tools(self) -> tuple[ExternalDataTool, ...]:
        """The external data tools that are on, wherever they are named; the first of each variable."""
        drawn = (item.external_data for item in self.user_input_form)
        named = [tool for tool in (*self.external_data_tools, *drawn) if tool is not None and tool.enabled]
        return tuple({tool.variable: tool for tool in reversed(named)}.values())

    @property
    def extension_ids(self) -> frozenset[str]:
        """The API-based extensions that are asked while the app runs."""
        asked = {tool.config.api_based_extension_id for tool in self.data_tools}
        avoidance = self.sensitive_word_avoidance
        if avoidance.enabled and avoidance.type == "api":
            asked.add(avoidance.config.api_based_extension_id)
        return frozenset(asked)

    @model_validator(mode="before")
    @classmethod
    def _null_means_default(cls, raw: object) -> object:
        """Drop nulls, which the console sends for what is not set, and open the one-key form items."""
        if not isinstance(raw, dict):
            return raw
        kept = {key: value for key, value in raw.items() if value is not None}
        form = kept.get("user_input_form")
        if isinstance(form, (list, tuple)):
            kept["user_input_form"] = [_open_form_item(item) for item in form]
        return kept

    @field_validator("user_input_form")
    @classmethod
    def _names_are_unique(cls, form: tuple[FormItem, ...]) -> tuple[FormItem, ...]:
        for names in ([item.variable for item in form], [item.label for item in form]):
            twice = {name for name in names if names.count(name) > 1}
            if twice:
                raise ValueError(f"{min(twice)!r} is used twice in user_input_form")
        return form


def _open_form_item(item: object) -> object:
    """Turn ``{"text-input": {...}}`` into ``{"kind": "text-input", ...}``."""
    if isinstance(item, dict) and len(item) == 1:
        kind, inner = next(iter(item.items()))
        if isinstance(inner, dict):
            return {**inner, "kind": kind, "external_data": inner if kind == EXTERNAL_DATA else None}
    return item


def load_model_config(raw: JSONObject) -> ModelConfig:
    """Return a checked configuration; raises InvalidRequest naming the first key at fault."""
    try:
        return ModelConfig.model_validate(raw)
    except ValidationError as exc:
        fault = exc.errors()[0]
        field = ".".join(str(part) for part in fault["loc"]) or "model_config"
        missing = fault["type"] == "missing"
        raise InvalidRequest(
            f"{field}: {fault['msg'].removeprefix('Value error, ')}",
            field=field,
            fault="required" if missing else "invalid_value",
        ) from None
