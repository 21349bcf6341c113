"""Document extractor: the text of files."""

from collections.abc import Iterable

from pydantic import Field

from api.core.ports import JSONObject, JSONValue
from api.core.workflow.node import Demand, NodeConfig, NodeContext, Types, node
from api.core.workflow.variables import ANY_FILE, Selector, is_file
from api.core.workflow.work import NodeFailed, NodeResult


@node("document-extractor", waits=True)
class DocumentExtractor:
    """One file gives a text, a list of files a list of texts."""

    class Config(NodeConfig):
        """Where the files are. Whether they are several is seen when it runs."""

        variable_selector: list[str] = Field(min_length=2)

        def references(self) -> Iterable[Selector]:
            """Return the files."""
            return (tuple(self.variable_selector),)

        def demands(self) -> Iterable[Demand]:
            """Return the files."""
            yield Demand(tuple(self.variable_selector), ANY_FILE)

        def gives(self) -> Types:
            """Return the text or texts: which of the two shows when it runs."""
            return {"text": None}

    def run(self, config: Config, ctx: NodeContext) -> NodeResult:
        """Return the text or texts. Raises NodeFailed for what is no file or cannot be read."""
        value = ctx.variables.get(config.variable_selector)
        ctx.inputs = {"variable_selector": value}
        files = _files(value, config)
        ctx.process_data = {"documents": list(files)}
        texts: list[JSONValue] = [ctx.deps.files.text(file, ctx.cancel) for file in files]
        return NodeResult(outputs={"text": texts if isinstance(value, list) else texts[0]})


def _files(value: JSONValue, config: DocumentExtractor.Config) -> list[JSONObject]:
    several = value if isinstance(value, list) else [value]
    files = [item for item in several if isinstance(item, dict) and is_file(item)]
    if len(files) < len(several):
        raise NodeFailed(f"{'.'.join(config.variable_selector)} is not a file.", error_type="TypeError")
    return files
