"""What an app needs of the place it comes to: models, tools and datasets."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from api.core.dsl.document import AppDocument
from api.core.dsl.secrets import node_data
from api.core.model_runtime.provider import short_id
from api.core.ports import JSONObject, JSONValue

Kind = Literal["model", "tool", "dataset"]
MODEL_PLACES = ("model", "multiple_retrieval_config.reranking_model", "single_retrieval_config.model")


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """One thing an app uses: a model or a tool of a provider, or a dataset by its id.

    ``provider_name`` is what an own provider of tools is called, whatever its id is elsewhere.
    """

    kind: Kind
    name: str
    provider: str = ""
    provider_type: str = ""
    provider_name: str = field(default="", compare=False)

    def to_json(self) -> dict[str, str]:
        """Return what is told of it."""
        return {"kind": self.kind, "provider": self.provider, "name": self.name}


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """What there is in a workspace; each tells whether a need can be met."""

    has_model: Callable[[Need], bool]
    has_tool: Callable[[Need], bool]
    has_dataset: Callable[[Need], bool]


def missing(document: AppDocument, there: Inventory) -> list[Need]:
    """Return what the app needs and the workspace does not have, each once, in the order of the file."""
    has = {"model": there.has_model, "tool": there.has_tool, "dataset": there.has_dataset}
    return [need for need in needs_of(document) if not has[need.kind](need)]


def needs_of(document: AppDocument) -> list[Need]:
    """Return what an app needs, each once, in the order of the file."""
    found: dict[Need, None] = {}
    if document.workflow is not None:
        for data in node_data(document.workflow.graph):
            found |= dict.fromkeys(_of_node(data))
    if document.config is not None:
        found |= dict.fromkeys(_of_config(document.config))
    return list(found)


def _of_node(data: JSONObject) -> Iterator[Need]:
    for place in MODEL_PLACES:
        yield from _model(_at(data, place))
    match data.get("type"):
        case "tool":
            yield from _tool(data)
        case "knowledge-retrieval":
            yield from (Need(kind="dataset", name=str(item)) for item in _list(data.get("dataset_ids")))
        case "agent":
            yield from _model(_at(data, "agent_parameters.model.value"))
            for tool in _list(_at(data, "agent_parameters.tools.value")):
                yield from _tool(tool)


def _of_config(config: JSONObject) -> Iterator[Need]:
    yield from _model(config.get("model"))
    tools = _list(_at(config, "agent_mode.tools"))
    for item in [*_list(_at(config, "dataset_configs.datasets.datasets")), *tools]:
        dataset = _at(item, "dataset.id")
        if dataset:
            yield Need(kind="dataset", name=str(dataset))
    for tool in tools:
        yield from _tool(tool)


def _model(value: JSONValue) -> Iterator[Need]:
    provider, name = _at(value, "provider"), _at(value, "name") or _at(value, "model")
    if isinstance(provider, str) and isinstance(name, str) and provider and name:
        yield Need(kind="model", provider=short_id(provider), name=name)


def _tool(value: JSONValue) -> Iterator[Need]:
    provider = _at(value, "provider_id") or _at(value, "provider_name")
    name = _at(value, "tool_name")
    if isinstance(provider, str) and isinstance(name, str) and provider and name:
        kind = _at(value, "provider_type") or _at(value, "type") or "builtin"
        called = _at(value, "provider_name")
        yield Need(
            kind="tool",
            provider=provider,
            name=name,
            provider_type=str(kind),
            provider_name=called if isinstance(called, str) else "",
        )


def _at(value: JSONValue, path: str) -> JSONValue:
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _list(value: JSONValue) -> list[JSONValue]:
    return value if isinstance(value, list) else []
