"""The tools of a workspace, as the nodes of a run call them."""

from dataclasses import dataclass

from api.core.ports import Cancel, JSONObject
from api.core.tools.calling import call_tool
from api.core.tools.tool import Flows, ToolFailed
from api.core.workflow.deps import FlowFacts, ToolAnswer, ToolCall
from api.core.workflow.work import NodeFailed
from api.principal import Principal
from api.runtime import Runtime
from api.services import tool_calls
from api.services.flow_files import FlowFiles
from api.services.tool_calls import ToolRef


@dataclass(frozen=True, slots=True)
class FilesOfRun:
    """The files of a run, as tools read them."""

    files: FlowFiles

    def read(self, file: JSONObject, cancel: Cancel) -> bytes:
        """Return a file's bytes. Raises ToolFailed where it is gone, foreign or too large, Cancelled."""
        try:
            return self.files.read(file, cancel)
        except NodeFailed as exc:
            raise ToolFailed(exc.message, error_type=exc.error_type) from exc


@dataclass(frozen=True, slots=True)
class FlowTools:
    """The tools a run may call, and where the files they give are kept."""

    runtime: Runtime
    principal: Principal
    files: FlowFiles
    flows: Flows

    def call(self, call: ToolCall, facts: FlowFacts, cancel: Cancel) -> ToolAnswer:
        """Return what a tool answers; what its author set counts where the drawing fills nothing in.

        Raises NodeFailed where there is no such tool, or it failed, Cancelled.
        """
        ref = ToolRef(
            kind=call.provider_type,
            provider=call.provider_id,
            name=call.tool_name,
            provider_name=call.provider_name,
            credential_id=call.credential_id,
        )
        try:
            found = tool_calls.find_tool(self.runtime, self.principal.tenant_id, ref)
            context = tool_calls.make_context(
                self.runtime,
                self.principal.tenant_id,
                facts.user,
                found.credentials,
                cancel,
                files=FilesOfRun(self.files),
                flows=self.flows,
            )
            given = {**call.configurations, **call.parameters}
            limit_s = self.runtime.limits.flow.tool_timeout_s
            output = call_tool(found.tool, given, context, timeout_s=limit_s)
        except ToolFailed as exc:
            raise NodeFailed(exc.message, error_type=exc.error_type) from exc
        return ToolAnswer(
            text=output.text,
            json=output.json,
            files=[
                *(self.files.save(file.name, file.mime_type, file.content) for file in output.files),
                *output.kept_files,
            ],
            variables=output.variables,
            usage=output.usage,
        )
