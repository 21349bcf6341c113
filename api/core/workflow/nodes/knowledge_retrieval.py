"""Knowledge retrieval: the passages of datasets that answer a question."""

from collections.abc import Iterable, Iterator
from typing import Literal

from pydantic import Field, JsonValue

from api.core.ports import JSONObject, JSONValue
from api.core.workflow.deps import Wanted
from api.core.workflow.node import Demand, NodeConfig, NodeContext, Types, node
from api.core.workflow.templates import Reference, references, render, segments, to_text
from api.core.workflow.variables import ANY_TEXT, Selector, ValueType, VariablePool
from api.core.workflow.work import NodeFailed, NodeResult

SETTINGS = (
    "retrieval_mode",
    "multiple_retrieval_config",
    "single_retrieval_config",
    "metadata_filtering_mode",
    "metadata_model_config",
)
FILTER = "metadata_filtering_conditions"


@node("knowledge-retrieval", waits=True)
class KnowledgeRetrieval:
    """What is found is cited by the model node that is given it to read."""

    class Config(NodeConfig):
        """Which datasets are searched, for what, and how."""

        query_variable_selector: list[str] = Field(min_length=2)
        dataset_ids: list[str]
        retrieval_mode: Literal["single", "multiple"] = "multiple"
        multiple_retrieval_config: dict[str, JsonValue] | None = None
        single_retrieval_config: dict[str, JsonValue] | None = None
        metadata_filtering_mode: Literal["disabled", "automatic", "manual"] | None = None
        metadata_model_config: dict[str, JsonValue] | None = None
        metadata_filtering_conditions: dict[str, JsonValue] | None = None

        def references(self) -> Iterable[Selector]:
            """Return the query and what its filter is made of."""
            yield tuple(self.query_variable_selector)
            for text in _texts(self.metadata_filtering_conditions):
                yield from references(text)

        def demands(self) -> Iterable[Demand]:
            """Return the query."""
            yield Demand(tuple(self.query_variable_selector), ANY_TEXT)

        def gives(self) -> Types:
            """Return the passages."""
            return {"result": ValueType.ARRAY_OBJECT}

    def run(self, config: Config, ctx: NodeContext) -> NodeResult:
        """Return the passages, best first; none for an empty query. Raises NodeFailed, AppError."""
        value = ctx.variables.get(config.query_variable_selector)
        ctx.inputs = {"query": value}
        if isinstance(value, list | dict):
            raise NodeFailed(
                f"{'.'.join(config.query_variable_selector)} is not a text.", error_type="TypeError"
            )
        query = to_text(value)
        if not query.strip() or not config.dataset_ids:
            return NodeResult(outputs={"result": []})
        settings: JSONObject = {name: getattr(config, name) for name in SETTINGS}
        settings[FILTER] = _filled(config.metadata_filtering_conditions, ctx.variables)
        wanted = Wanted(query=query, dataset_ids=tuple(config.dataset_ids), settings=settings)
        found = ctx.deps.knowledge.find(wanted, ctx.cancel)
        if found.usage is not None:
            ctx.process_data = {"usage": found.usage.to_json()}
        return NodeResult(outputs={"result": list(found.result)}, usage=found.usage)


def _texts(value: JSONValue) -> Iterator[str]:
    """Yield every text in a value."""
    match value:
        case str():
            yield value
        case list():
            for item in value:
                yield from _texts(item)
        case dict():
            for item in value.values():
                yield from _texts(item)


def _filled(value: JSONValue, variables: VariablePool) -> JSONValue:
    """Return a filter with its templates filled; one that is a variable and nothing else keeps its type."""
    match value:
        case str():
            parts = segments(value)
            alone = parts[0] if len(parts) == 1 else None
            held = variables.get(alone.selector) if isinstance(alone, Reference) else None
            return held if isinstance(held, int | float | list) else render(value, variables)
        case list():
            return [_filled(item, variables) for item in value]
        case dict():
            return {key: _filled(item, variables) for key, item in value.items()}
    return value
