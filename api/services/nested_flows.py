"""Workflows that a run calls as tools: each a run of its own, on the caller's time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from api.core.events import RunFinished
from api.core.http import Cancelled
from api.core.model_runtime.types import Usage
from api.core.ports import Cancel, JSONObject, JSONValue
from api.core.tools.tool import FlowAnswer, ToolFailed
from api.core.workflow.variables import is_file
from api.principal import Principal
from api.runtime import Runtime
from api.services import app_specs, flows
from api.services.asks import Ask
from api.services.flow_call import FlowCall

RunInside = Callable[[FlowCall, Cancel], tuple[RunFinished, Usage | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class NestedFlows:
    """The workflows of a workspace, as the run of one app may call them.

    ``app_id`` is the app whose run came first, ``key_id`` the API key that run came
    with, which pays for all; ``depth`` is how many workflows have called each other
    down to the caller.
    """

    runtime: Runtime
    principal: Principal
    app_id: str
    invoke_from: str
    key_id: str | None
    run_inside: RunInside
    depth: int = 0

    def run(self, app_id: str, workflow_id: str, inputs: JSONObject, cancel: Cancel) -> FlowAnswer:
        """Run a published version to its end. Raises ToolFailed, the AppError of a refusal, Cancelled."""
        limit = self.runtime.limits.flow.max_call_depth
        if self.depth >= limit:
            raise ToolFailed(
                f"Workflows call each other as tools more than {limit} deep.", error_type="WorkflowCallDepth"
            )
        tenant_id = self.principal.tenant_id
        with self.runtime.reading() as session:
            app = app_specs.load_spec(self.runtime, session, tenant_id, app_id)
        call = FlowCall(
            runtime=self.runtime,
            app=app,
            flow=flows.chosen_flow(self.runtime, app, workflow_id),
            principal=self.principal,
            ask=Ask(query="", inputs=inputs, invoke_from=self.invoke_from, key_id=self.key_id),
            depth=self.depth + 1,
            home_app_id=self.app_id,
        )
        end, usage = self.run_inside(call, cancel)
        if end.status == "stopped" and (cancel.is_set() or cancel.is_overdue()):
            raise Cancelled
        if end.status == "stopped":  # by its own moderation
            raise ToolFailed(f"The workflow {app.name!r} refused: {end.error}", error_type="ModerationError")
        if end.status == "failed":
            raise ToolFailed(f"The workflow {app.name!r} failed: {end.error}")
        return FlowAnswer(outputs=end.outputs, files=tuple(_files(end.outputs)), usage=usage)


def _files(outputs: JSONObject) -> Iterator[JSONObject]:
    """Yield the files among outputs, and those of lists among them."""
    for value in outputs.values():
        listed: list[JSONValue] = value if isinstance(value, list) else [value]
        yield from (item for item in listed if isinstance(item, dict) and is_file(item))
