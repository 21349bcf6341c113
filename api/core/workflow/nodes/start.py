"""Start: what the run was given, for the nodes after it."""

from pydantic import Field, JsonValue

from api.core.workflow.node import NodeConfig, NodeContext, Types, given, node
from api.core.workflow.variables import ValueType
from api.core.workflow.work import NodeResult

FORM_TYPES: Types = {
    "text-input": ValueType.STRING,
    "paragraph": ValueType.STRING,
    "select": ValueType.STRING,
    "url": ValueType.STRING,
    "external_data_tool": ValueType.STRING,
    "number": ValueType.NUMBER,
    "checkbox": ValueType.BOOLEAN,
    "file": ValueType.FILE,
    "file-list": ValueType.ARRAY_FILE,
    "json_object": ValueType.OBJECT,
}


@node("start")
class Start:
    """The pool holds the run's inputs under the node's id before it runs."""

    class Config(NodeConfig):
        """``variables`` are the form the inputs were checked against, before the run."""

        variables: list[dict[str, JsonValue]] = Field(default_factory=list)

        def gives(self) -> Types:
            """Return what the form asks for; a kind of field that is not known may hold anything."""
            return {
                str(item.get("variable")): FORM_TYPES.get(str(item.get("type"))) for item in self.variables
            }

    def run(self, _config: Config, ctx: NodeContext) -> NodeResult:
        """Return the inputs, and the system variables under their dotted names."""
        return given(ctx)
