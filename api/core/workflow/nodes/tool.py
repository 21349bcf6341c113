"""Tool: a call of one of the workspace's tools, with parameters made of variables."""

from collections.abc import Iterable

from pydantic import Field, JsonValue

from api.core.ports import JSONObject
from api.core.workflow import parameters
from api.core.workflow.deps import ToolCall
from api.core.workflow.node import NodeConfig, NodeContext, node
from api.core.workflow.variables import Selector
from api.core.workflow.work import NodeResult


@node("tool", waits=True)
class Tool:
    """The text, files and JSON of the answer, and variables of the tool's own."""

    class Config(NodeConfig):
        """Which tool; ``tool_configurations`` are the parameters its author sets rather than a model."""

        provider_id: str
        provider_type: str
        provider_name: str | None = None
        tool_name: str
        tool_parameters: dict[str, JsonValue] = Field(default_factory=dict)
        tool_configurations: dict[str, JsonValue] = Field(default_factory=dict)
        credential_id: str | None = None

        def references(self) -> Iterable[Selector]:
            """Return what the parameters are made of."""
            yield from parameters.references(self.tool_parameters)
            yield from parameters.references(self.tool_configurations)

    def run(self, config: Config, ctx: NodeContext) -> NodeResult:
        """Return what the tool answers. Raises NodeFailed."""
        ctx.inputs = parameters.fill(config.tool_parameters, ctx.variables)
        call = ToolCall(
            provider_type=config.provider_type,
            provider_id=config.provider_id,
            provider_name=config.provider_name or "",
            tool_name=config.tool_name,
            parameters=ctx.inputs,
            configurations=parameters.fill(config.tool_configurations, ctx.variables),
            credential_id=config.credential_id or None,
        )
        answer = ctx.deps.tools.call(call, ctx.facts, ctx.cancel)
        outputs: JSONObject = {"text": answer.text, "files": answer.files, "json": answer.json}
        info: JSONObject = {"provider_type": config.provider_type, "provider_id": config.provider_id}
        return NodeResult(
            outputs=outputs | answer.variables,
            metadata={"tool_info": info | answer.info},
            usage=answer.usage,
        )
