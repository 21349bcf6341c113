"""A run of a workflow that is asked for."""

from dataclasses import dataclass

from api.core.apps.flow import FlowSpec
from api.core.apps.spec import AppMode, AppSpec
from api.principal import Principal
from api.runtime import Runtime
from api.services.asks import Ask

DEBUGGER, DEBUGGING, APP_RUN = "debugger", "debugging", "app-run"


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowCall:
    """A run that is asked for: of which workflow, by whom, with what."""

    runtime: Runtime
    app: AppSpec
    flow: FlowSpec
    principal: Principal
    ask: Ask

    @property
    def is_chat(self) -> bool:
        """Tell whether the run answers a message of a conversation."""
        return self.app.mode is AppMode.ADVANCED_CHAT

    @property
    def user(self) -> str:
        """What the caller calls its user."""
        return self.principal.user or self.principal.id

    @property
    def triggered_from(self) -> str:
        """Whether the run is a test of the console's, or the app's own."""
        return DEBUGGING if self.ask.invoke_from == DEBUGGER else APP_RUN
