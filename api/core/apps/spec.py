"""What a run is made of: the app as it is configured, the turn that was asked, what it may use."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from api.core.agent.tool import AgentTool
from api.core.apps.config import ModelConfig
from api.core.events import Event, RetrieverResource
from api.core.model_runtime.runtime import ModelRuntime
from api.core.model_runtime.types import NO_TOKENS, ImagePart, ModelRef, PastTurn, TokenCount
from api.core.ports import Cancel, JSONObject
from api.errors import AppUnavailable


class AppMode(StrEnum):
    """The five kinds of apps."""

    CHAT = "chat"
    AGENT_CHAT = "agent-chat"
    ADVANCED_CHAT = "advanced-chat"
    WORKFLOW = "workflow"
    COMPLETION = "completion"


CHAT_MODES = frozenset({AppMode.CHAT, AppMode.AGENT_CHAT, AppMode.ADVANCED_CHAT})
FLOW_MODES = frozenset({AppMode.ADVANCED_CHAT, AppMode.WORKFLOW})
CONFIGURED_MODES = frozenset({AppMode.CHAT, AppMode.AGENT_CHAT, AppMode.COMPLETION})


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotationChoice:
    """How an app answers by its annotations: where their questions are, and how near one must be, 0..1."""

    setting_id: str
    collection_id: str
    score_threshold: float
    embedding: ModelRef

    def to_json(self) -> JSONObject:
        """Return it as clients are told of it."""
        return {
            "id": self.setting_id,
            "enabled": True,
            "score_threshold": self.score_threshold,
            "embedding_model": {
                "embedding_provider_name": self.embedding.provider,
                "embedding_model_name": self.embedding.model,
            },
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class AppSpec:
    """An app, detached from its row. ``config`` is None where the mode has none or none was saved.

    ``workflow_id`` is the published version its API runs, in modes that have
    workflows. ``providers_version`` is that of the workspace at the moment of reading:
    decrypted credentials held under it are the stored ones. ``annotations`` is None while they
    answer nothing.
    """

    id: str
    tenant_id: str
    name: str
    mode: AppMode
    api_rpm: int
    api_rph: int
    max_active_requests: int
    plan: str
    providers_version: int
    config_id: str | None
    config: ModelConfig | None
    workflow_id: str | None = None
    annotations: AnnotationChoice | None = None

    def configured(self) -> ModelConfig:
        """Return the configuration; raises AppUnavailable when there is none."""
        if self.config is None:
            raise AppUnavailable("App unavailable, please check your app configurations.")
        return self.config


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A file attached to a conversation, as text.

    ``is_cut`` where only its beginning is here, ``is_earlier`` where it came
    with an earlier message.
    """

    name: str
    text: str
    is_cut: bool = False
    is_earlier: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One request to an app, checked: ``inputs`` hold a value for every variable of its form.

    ``documents`` are those of the message, then those of earlier ones, latest
    first. ``context`` is what was found in the app's datasets, as text for the
    prompt.
    """

    query: str
    inputs: JSONObject
    images: tuple[ImagePart, ...] = ()
    documents: tuple[Document, ...] = ()
    history: tuple[PastTurn, ...] = ()
    user: str = ""
    context: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieved:
    """Passages, best first, and the tokens of the app's model that were spent on finding them."""

    resources: tuple[RetrieverResource, ...] = ()
    spent: TokenCount = NO_TOKENS


Retrieve = Callable[[str], Retrieved]
"""Finds the passages of the app's datasets that answer a query; none where it has no datasets."""


FindTools = Callable[[], Mapping[str, AgentTool]]
"""Finds the tools of an agent by the names its model calls them by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deps:
    """What a run may use besides its spec and its turn."""

    models: ModelRuntime
    cancel: Cancel
    retrieve: Retrieve
    find_tools: FindTools = dict


Run = Callable[[AppSpec, Turn, Deps], Iterator[Event]]
