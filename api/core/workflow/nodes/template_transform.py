"""Template: text made of variables by Jinja2."""

from collections.abc import Iterable

from pydantic import Field

from api.core.workflow.jinja import render_jinja
from api.core.workflow.node import Named, NodeConfig, NodeContext, Types, node
from api.core.workflow.variables import Selector, ValueType
from api.core.workflow.work import NodeResult


@node(
    "template-transform",
    defaults={"variables": [{"variable": "arg1", "value_selector": []}], "template": "{{ arg1 }}"},
)
class TemplateTransform:
    """Rendered in the sandbox, where a template can do no harm."""

    class Config(NodeConfig):
        """The template and its variables."""

        variables: list[Named] = Field(default_factory=list)
        template: str

        def references(self) -> Iterable[Selector]:
            """Return the variables."""
            return (tuple(item.value_selector) for item in self.variables if item.value_selector)

        def gives(self) -> Types:
            """Return the text."""
            return {"output": ValueType.STRING}

    def run(self, config: Config, ctx: NodeContext) -> NodeResult:
        """Return the text. Raises NodeFailed for a template that fails or is too long."""
        ctx.inputs = {item.variable: ctx.variables.get(item.value_selector) for item in config.variables}
        return NodeResult(outputs={"output": render_jinja(config.template, ctx.inputs, ctx)})
