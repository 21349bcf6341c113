"""A run of a workflow: as it is asked for, and as it begins."""

from dataclasses import dataclass
from decimal import Decimal

from api.core.apps.flow import FlowSpec
from api.core.apps.spec import AppMode, AppSpec
from api.core.events import FormAsked, FormClosed, RunHeader, RunPaused
from api.core.model_runtime.types import PastTurn
from api.core.ports import JSONObject
from api.core.workflow.engine import DoneNode
from api.core.workflow.graph import NodeSpec
from api.principal import ActorKind, Principal
from api.runtime import Runtime
from api.services.asks import Ask

DEBUGGER, DEBUGGING, APP_RUN = "debugger", "debugging", "app-run"
TRIGGERED_FROM = (DEBUGGING, APP_RUN, "webhook", "schedule")


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowCall:
    """A run that is asked for: of which workflow, by whom, with what.

    ``trigger_id`` is the node of the trigger that asks, None where the run begins
    at the start. ``run_id`` is the id the run is to have, where that is known.
    ``depth`` counts the workflows that called each other as tools down to this
    one; ``home_app_id`` is then the app whose run called first: all files are its.
    """

    runtime: Runtime
    app: AppSpec
    flow: FlowSpec
    principal: Principal
    ask: Ask
    trigger_id: str | None = None
    run_id: str | None = None
    depth: int = 0
    home_app_id: str | None = None

    @property
    def root(self) -> NodeSpec:
        """Where the run begins. Raises AppUnavailable where the workflow has no such node."""
        return self.flow.root(self.trigger_id)

    @property
    def is_chat(self) -> bool:
        """Tell whether the run answers a message of a conversation."""
        return self.app.mode is AppMode.ADVANCED_CHAT

    @property
    def user(self) -> str:
        """What the caller calls its user."""
        return self.principal.user or self.principal.id

    @property
    def is_test(self) -> bool:
        """Tell whether the run is a test: an account's in the console, or a call of a draft's webhook."""
        return self.ask.invoke_from == DEBUGGER

    @property
    def leaves_variables(self) -> bool:
        """Tell whether the variables of the run are kept: those of a test, for the account that makes it."""
        return self.is_test and not self.depth and self.principal.kind is ActorKind.ACCOUNT

    @property
    def triggered_from(self) -> str:
        """Whether the run is a test of the console's, a trigger's, or the app's own."""
        if self.is_test:
            return DEBUGGING
        return self.root.type.removeprefix("trigger-") if self.trigger_id else APP_RUN


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """What a run that goes on after a pause has behind it.

    ``order`` is the number of its last node in the order of the ends, ``answer``
    what its message said so far.
    """

    paused: RunPaused
    told_chars: int
    order: int
    price: Decimal
    currency: str
    closed: tuple[FormClosed, ...]
    waiting: tuple[FormAsked, ...]
    answer: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A run that has its rows: what the engine begins with. ``alone`` is the one node there is of it."""

    header: RunHeader
    pool: dict[str, JSONObject]
    shown: JSONObject
    history: tuple[PastTurn, ...] = ()
    is_new: bool = True
    done: tuple[DoneNode, ...] = ()
    behind: Behind | None = None
    alone: NodeSpec | None = None
