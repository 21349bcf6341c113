"""How built-in tools join: a provider in one file under ``builtin/``, its tools as functions.

The contract suite (tests/contracts/test_tools.py) runs over the registry.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from api.core.tools.tool import Invoke, Tool, ToolContext, ToolProviderSchema, ToolSchema

CheckCredentials = Callable[[ToolContext], None]


@dataclass(kw_only=True)
class ToolProvider:
    """Built-in tools that belong together. Without ``check`` any credentials will do.

    ``check`` proves ``context.credentials`` by a real, cheap call, and raises
    ToolFailed, or what the ports raise, with a sentence for the owner.
    """

    schema: ToolProviderSchema
    tools: dict[str, Tool] = field(default_factory=dict)
    check: CheckCredentials | None = None

    def tool(self, schema: ToolSchema) -> Callable[[Invoke], Invoke]:
        """Make a tool of a function."""

        def register(invoke: Invoke) -> Invoke:
            self.tools[schema.name] = Tool(schema, invoke)
            return invoke

        return register


TOOL_PROVIDERS: dict[str, ToolProvider] = {}


def provide(schema: ToolProviderSchema) -> ToolProvider:
    """Register a provider of built-in tools under its id; give it its tools next."""
    TOOL_PROVIDERS[schema.id] = ToolProvider(schema=schema)
    return TOOL_PROVIDERS[schema.id]


def short_id(provider_id: str) -> str:
    """Return the short id of a provider: ``langgenius/time/time`` gives ``time``, others theirs."""
    match provider_id.split("/"):
        case ["langgenius", _, name]:
            return name
    return provider_id
