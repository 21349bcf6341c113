"""The tools of an agent, ready to be called: those of its workspace, and one for each of its datasets.

What must stay true: a tool that is not there, has no credentials or cannot be
read is left out and logged, and the agent works without it; one that fails when
it is called says so to the model.
"""

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import orjson
from sqlalchemy import select

from api.core.agent.tool import AgentTool, Observation, to_spec
from api.core.agent.wanted import WantedTool, read_wanted
from api.core.apps.config import AgentMode, DatasetChoice, DatasetItem, DatasetItems
from api.core.apps.spec import AppSpec
from api.core.model_runtime.runtime import ModelRuntime
from api.core.model_runtime.types import ToolSpec
from api.core.ports import Cancel, JSONObject, JSONValue
from api.core.tools.calling import ToolOutput, call_tool
from api.core.tools.provider import short_id
from api.core.tools.tool import Flows, ToolFailed
from api.errors import AppError, BadRequest
from api.models.dataset import Dataset
from api.principal import Principal
from api.runtime import Runtime
from api.services import app_knowledge, tool_calls
from api.services.app_search import Question
from api.services.flow_files import FlowFiles
from api.services.flow_tools import FilesOfRun
from api.services.tool_calls import OwnProvider, ReadyTool, ToolRef

logger = logging.getLogger(__name__)

MAX_NAME_CHARS = 64
NO_NAME = re.compile(r"[^A-Za-z0-9_-]+")
QUERY: JSONObject = {
    "type": "object",
    "properties": {"query": {"type": "string", "description": "What to look for, as one full question."}},
    "required": ["query"],
}
NOTHING_FOUND = "Nothing was found about that."
NOTHING_GIVEN = "The tool gave nothing."


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """For whom an agent works, and with what. ``files`` keep what its tools make; ``flows`` run workflows."""

    runtime: Runtime
    app: AppSpec
    principal: Principal
    models: ModelRuntime
    user: str
    files: FlowFiles
    flows: Flows


def tools_of_app(place: Workplace) -> dict[str, AgentTool]:
    """Return the tools of an agent app by the names its model calls them by."""
    entries = (tool.model_dump() for tool in place.app.configured().agent_mode.tools)
    return {**tools_of(place, map(read_wanted, entries)), **_datasets(place)}


def tools_of(place: Workplace, wanted: Iterable[WantedTool | None]) -> dict[str, AgentTool]:
    """Return those of the wanted tools that are there, by names of their own."""
    chosen = [(one, _to_ref(one)) for one in wanted if one is not None]
    own = tool_calls.open_own(place.runtime, place.app.tenant_id, [ref for _, ref in chosen])
    tools: dict[str, AgentTool] = {}
    for one, ref in chosen:
        ready = _find(place, ref, own)
        if ready is None:
            continue
        spec = to_spec(_free_name(one, tools), ready.tool.schema, one.fixed, one.description)
        tools[spec.name] = AgentTool(
            spec=spec,
            label=ready.tool.schema.label.to_json(),
            details=_details(one, ready),
            call=_ToolCaller(place, ready, spec, one.fixed),
        )
    return tools


def _to_ref(wanted: WantedTool) -> ToolRef:
    return ToolRef(
        kind=wanted.kind,
        provider=wanted.provider,
        name=wanted.name,
        provider_name=wanted.provider_name,
        credential_id=wanted.credential_id,
    )


def _find(place: Workplace, ref: ToolRef, own: Mapping[ToolRef, OwnProvider]) -> ReadyTool | None:
    try:
        return tool_calls.pick_tool(place.runtime, place.app.tenant_id, ref, own)
    except (ToolFailed, BadRequest) as exc:
        logger.warning("tool left out of an agent: %s", exc, extra={"app_id": place.app.id})
        return None


def _details(wanted: WantedTool, ready: ReadyTool) -> JSONObject:
    """Return what the app's team sees of a tool: its provider, if built in, and what was set of it."""
    secret = {one.name for one in ready.tool.schema.parameters if one.type == "secret-input"}
    shown: JSONObject = {name: value for name, value in wanted.fixed.items() if name not in secret}
    is_builtin = wanted.kind in tool_calls.BUILTIN
    return {"provider": short_id(wanted.provider) if is_builtin else "", "parameters": shown}


def _free_name(wanted: WantedTool, taken: dict[str, AgentTool]) -> str:
    """Return a name that models may call a tool by and no other tool has."""
    plain = NO_NAME.sub("_", wanted.name)[:MAX_NAME_CHARS] or "tool"
    named = NO_NAME.sub("_", f"{wanted.provider_name or wanted.provider}_{plain}")[-MAX_NAME_CHARS:]
    numbered = (f"{plain[: MAX_NAME_CHARS - 4]}_{number}" for number in range(2, len(taken) + 3))
    return next(name for name in (plain, named, *numbered) if name not in taken)


@dataclass(frozen=True, slots=True)
class _ToolCaller:
    """Calls one tool: with what the model filled in of what it was asked for, and what its author has set."""

    place: Workplace
    ready: ReadyTool
    spec: ToolSpec
    fixed: JSONObject

    def __call__(self, arguments: JSONObject, cancel: Cancel) -> Observation:
        runtime, asked = self.place.runtime, cast("JSONObject", self.spec.parameters["properties"])
        given = {name: value for name, value in arguments.items() if name in asked} | self.fixed
        files = self.place.files
        context = tool_calls.make_context(
            runtime,
            self.place.app.tenant_id,
            self.place.user,
            self.ready.credentials,
            cancel,
            files=FilesOfRun(files),
            flows=self.place.flows,
        )
        try:
            output = call_tool(self.ready.tool, given, context, timeout_s=runtime.limits.flow.tool_timeout_s)
            made = [files.save(file.name, file.mime_type, file.content) for file in output.files]
            made += files.own(output.kept_files)
        except (ToolFailed, AppError) as exc:
            return Observation(text=exc.message, is_error=True)
        return Observation(
            text=_written(output, made), json=tuple(output.json), files=tuple(made), usage=output.usage
        )


def _written(output: ToolOutput, made: Sequence[JSONObject]) -> str:
    """Return all a tool gave as text for a model, once: many tools say their JSON as their text too."""
    said = _read(output.text)
    values = [value for value in output.json if value != said]
    known = said.items() if isinstance(said, dict) else ()
    if any(variable not in known for variable in output.variables.items()):
        values.append(output.variables)
    parts = [output.text, *(orjson.dumps(value).decode() for value in values)]
    parts += [f"The file {file['filename']!r} was made and is shown to the user." for file in made]
    return "\n".join(part for part in parts if part.strip()) or NOTHING_GIVEN


def _read(text: str) -> JSONValue:
    try:
        read: JSONValue = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return read


def _datasets(place: Workplace) -> dict[str, AgentTool]:
    """Return a tool for each dataset of the app that is there."""
    ids = place.app.configured().dataset_ids
    if not ids:
        return {}
    query = select(Dataset.id, Dataset.name, Dataset.description).where(
        Dataset.tenant_id == place.app.tenant_id, Dataset.id.in_(ids)
    )
    with place.runtime.reading() as session:
        rows = {row.id: row for row in session.execute(query)}
    return {
        name: AgentTool(
            spec=ToolSpec(name=name, description=_about(row.name, row.description or ""), parameters=QUERY),
            label={"en_US": row.name, "zh_Hans": row.name},
            call=_DatasetCaller(place, row.id),
        )
        for name, row in ((_dataset_name(id_), rows[id_]) for id_ in ids if id_ in rows)
    }


def _dataset_name(dataset_id: str) -> str:
    return f"dataset_{dataset_id.replace('-', '_')}"


def _about(name: str, description: str) -> str:
    about = f"Searches the documents of {name!r} for passages that answer a question."
    return f"{about} {description}".strip()


@dataclass(frozen=True, slots=True)
class _DatasetCaller:
    """Searches one dataset as the app is configured to search."""

    place: Workplace
    dataset_id: str

    def __call__(self, arguments: JSONObject, cancel: Cancel) -> Observation:
        query = arguments.get("query")
        if not isinstance(query, str) or not query.strip():
            return Observation(text="The parameter 'query' is required.", is_error=True)
        question = Question(
            runtime=self.place.runtime,
            app=_with_dataset(self.place.app, self.dataset_id),
            models=self.place.models,
            cancel=cancel,
            text=query,
        )
        try:
            found = app_knowledge.consult(question, self.place.principal)
        except AppError as exc:
            return Observation(text=exc.message, is_error=True)
        text = "\n\n".join(resource.content for resource in found.resources)
        return Observation(text=text or NOTHING_FOUND, cited=found.resources, spent=found.spent)


def _with_dataset(app: AppSpec, dataset_id: str) -> AppSpec:
    """Return the app as if it had only one dataset."""
    config = app.configured()
    chosen = DatasetItems(datasets=(DatasetItem(dataset=DatasetChoice(id=dataset_id)),))
    only = config.model_copy(
        update={
            "dataset_configs": config.dataset_configs.model_copy(update={"datasets": chosen}),
            "agent_mode": AgentMode(),
        }
    )
    return replace(app, config=only)
