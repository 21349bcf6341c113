"""Answer: a piece of what the chat's user reads."""

from collections.abc import Iterable

from api.core.ports import JSONValue
from api.core.workflow.node import NodeConfig, NodeContext, Types, node
from api.core.workflow.templates import references, render_markdown
from api.core.workflow.variables import Selector, ValueType, is_file
from api.core.workflow.work import NodeResult


@node("answer")
class Answer:
    """By the time it runs its text has been told; see ``answer_stream.py``."""

    class Config(NodeConfig):
        """``answer`` is a template."""

        answer: str

        def references(self) -> Iterable[Selector]:
            """Return the variables of the template."""
            return references(self.answer)

        def gives(self) -> Types:
            """Return the text and its files."""
            return {"answer": ValueType.STRING, "files": ValueType.ARRAY_FILE}

    def run(self, config: Config, ctx: NodeContext) -> NodeResult:
        """Return the text and the files that stand in it."""
        files: list[JSONValue] = []
        for selector in references(config.answer):
            value = ctx.variables.get(selector)
            files += [item for item in (value if isinstance(value, list) else [value]) if is_file(item)]
        answer = render_markdown(config.answer, ctx.variables)
        ctx.inputs = {"answer": answer}
        return NodeResult(outputs={"answer": answer, "files": files})
