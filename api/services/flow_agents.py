"""The agent nodes of workflows: the two strategies there are, on the same loop as agent apps."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from api.core.agent.agent import DEFAULT_ROUNDS, MAX_ROUNDS, Agent, choose_strategy, run_agent
from api.core.agent.rounds import Call, Done, Round, Said
from api.core.agent.rounds import Told as AgentTold
from api.core.agent.strategy import Strategy
from api.core.agent.wanted import read_wanted
from api.core.apps.spec import AppSpec
from api.core.events import AgentLogged
from api.core.model_runtime.choice import ModelChoice
from api.core.model_runtime.history import answer_tokens, fit, room_for_history
from api.core.model_runtime.prompt_tokens import count_messages
from api.core.model_runtime.runtime import ModelRuntime
from api.core.model_runtime.types import Message, ModelSchema, PastTurn, Role
from api.core.ports import Cancel, JSONObject, JSONValue
from api.core.text.tokens import count_tokens
from api.core.tools.tool import Flows
from api.core.workflow.deps import AgentTask, FlowFacts
from api.core.workflow.prompt import Memory
from api.core.workflow.work import NodeFailed, NodeResult, NodeText, Told
from api.principal import Principal
from api.runtime import Runtime
from api.services import agent_tools
from api.services.agent_tools import Workplace
from api.services.flow_files import FlowFiles

STRATEGIES = ("function_calling", "react")
HISTORY_SHARE = 2

Status = Literal["start", "success", "error"]


class Settings(BaseModel):
    """The parameters of both strategies, filled in."""

    model_config = ConfigDict(extra="ignore", protected_namespaces=(), coerce_numbers_to_str=True)

    model: dict[str, JsonValue]
    query: str = Field(min_length=1)
    instruction: str = ""
    tools: list[dict[str, JsonValue]] = Field(default_factory=list)
    maximum_iterations: int = Field(DEFAULT_ROUNDS, ge=1, le=MAX_ROUNDS)

    @property
    def choice(self) -> ModelChoice:
        """The model, which drawings name by another key than apps do. Raises pydantic's ValidationError."""
        named = {key: value for key, value in self.model.items() if value is not None}
        return ModelChoice.model_validate({"name": named.get("model", ""), **named})


@dataclass(frozen=True, slots=True)
class FlowAgents:
    """Implements Agents for the nodes of one run; ``history`` is its conversation."""

    runtime: Runtime
    app: AppSpec
    principal: Principal
    models: ModelRuntime
    files: FlowFiles
    flows: Flows
    history: Sequence[PastTurn] = ()

    def run(self, task: AgentTask, facts: FlowFacts, cancel: Cancel) -> Generator[Told, None, NodeResult]:
        """Yield what the agent says and a log of its steps; return its text, files and rounds.

        Raises NodeFailed for a strategy or a parameter that is none, and a ProviderFailure.
        """
        settings, choice = _read(task)
        place = Workplace(
            runtime=self.runtime,
            app=self.app,
            principal=self.principal,
            models=self.models,
            user=facts.user,
            files=self.files,
            flows=self.flows,
        )
        tools = agent_tools.tools_of(place, map(read_wanted, settings.tools))
        model = self.models.schema(self.app.tenant_id, choice.ref)
        strategy = choose_strategy(task.strategy, choice, model, tools)
        agent = Agent(
            tenant_id=self.app.tenant_id,
            user=facts.user,
            choice=choice,
            messages=self._messages(settings, choice, model, strategy, task.memory),
            tools=tools,
            strategy=strategy,
            max_rounds=settings.maximum_iterations,
            models=self.models,
            cancel=cancel,
        )
        log = _Log(task)
        done = yield from log.told(run_agent(agent))
        return _result(done, log)

    def _messages(
        self,
        settings: Settings,
        choice: ModelChoice,
        model: ModelSchema,
        strategy: Strategy,
        memory: JSONObject | None,
    ) -> tuple[Message, ...]:
        """Return the prompt: instructions, what is remembered of the conversation and fits, the query."""
        head = (Message.of(Role.SYSTEM, settings.instruction),) if settings.instruction.strip() else ()
        query = Message.of(Role.USER, settings.query)
        bare = count_messages(strategy.prompt((*head, query)), model.model)
        room = room_for_history(model.context_tokens, answer_tokens(choice.completion_params, model), bare)
        turns = fit(
            _remembered(memory, self.history),
            room // HISTORY_SHARE,
            lambda text: count_tokens(text, model.model),
        )
        past = (
            message
            for turn in turns
            for message in (Message.of(Role.USER, turn.query), Message.of(Role.ASSISTANT, turn.answer))
        )
        return (*head, *past, query)


def _read(task: AgentTask) -> tuple[Settings, ModelChoice]:
    """Return the parameters of a strategy that is there, and the model they name. Raises NodeFailed."""
    if task.strategy.lower() not in STRATEGIES:
        raise NodeFailed(
            f"The agent strategy {task.strategy[:100]!r} is not installed here.",
            error_type="AgentStrategyNotFound",
        )
    try:
        settings = Settings.model_validate(task.parameters)
        choice = settings.choice
    except ValidationError as exc:
        fault = exc.errors(include_url=False)[0]
        where = ".".join(str(part) for part in fault["loc"]) or "parameters"
        message = f"The agent's parameters are not complete: {where}: {fault['msg']}."
        raise NodeFailed(message, error_type="ConfigError") from exc
    return settings, choice


def _remembered(memory: JSONObject | None, history: Sequence[PastTurn]) -> tuple[PastTurn, ...]:
    """Return the turns a node is to remember, oldest first."""
    if memory is None:
        return ()
    wanted = Memory.model_validate(memory)
    if not wanted.enabled:
        return ()
    return tuple(history[-wanted.window.size :] if wanted.window.enabled and wanted.window.size else history)


@dataclass(slots=True)
class _Log:
    """Tells an agent's work as a workflow does: text, and steps with the calls below their round."""

    task: AgentTask
    text: list[str] = field(default_factory=list)
    steps: dict[str, JSONValue] = field(default_factory=dict)

    def told(self, working: Generator[AgentTold, None, Done]) -> Generator[Told, None, Done]:
        """Yield the work as it goes on; return how it ended."""
        while True:
            try:
                told = next(working)
            except StopIteration as end:
                done: Done = end.value
                return done
            if isinstance(told, Said):
                self.text.append(told.text)
                yield NodeText(told.text)
            else:
                yield from self._round(told)

    def _round(self, made: Round) -> Iterator[AgentLogged]:
        if made.stage == "begun":
            yield self._step(made.id, f"ROUND {made.number}", "start")
            return
        for call in made.calls:
            yield self._call(call, made)
        if made.stage == "over" or not made.calls:
            told: JSONObject = {"thought": made.thought, "tool_calls": [call.name for call in made.calls]}
            spent: JSONObject = {"total_tokens": made.usage.total_tokens} if made.usage else {}
            yield self._step(made.id, f"ROUND {made.number}", "success", told=told, metadata=spent)

    def _call(self, call: Call, made: Round) -> AgentLogged:
        label, observation = f"CALL {call.name}", call.observation
        told: JSONObject = {"tool_name": call.name, "tool_input": _input(call)}
        if observation is None:
            return self._step(call.id, label, "start", parent_id=made.id, told=told)
        return self._step(
            call.id,
            label,
            "error" if observation.is_error else "success",
            parent_id=made.id,
            error=observation.text if observation.is_error else None,
            told=told | {"output": observation.text},
            metadata={"elapsed_time": call.elapsed_s},
        )

    def _step(
        self,
        step_id: str,
        label: str,
        status: Status,
        *,
        parent_id: str | None = None,
        error: str | None = None,
        told: JSONObject | None = None,
        metadata: JSONObject | None = None,
    ) -> AgentLogged:
        self.steps[step_id] = {
            "id": step_id,
            "label": label,
            "status": status,
            "parent_id": parent_id,
            "error": error,
            "data": told or {},
            "metadata": metadata or {},
        }
        return AgentLogged(
            node_id=self.task.node_id,
            execution_id=self.task.execution_id,
            id=step_id,
            label=label,
            status=status,
            parent_id=parent_id,
            error=error,
            told=told,
            metadata=metadata,
        )


def _input(call: Call) -> JSONValue:
    return call.written if call.arguments is None else call.arguments


def _result(done: Done, log: _Log) -> NodeResult:
    """Return what the node gives: its text, files, and what each round and its calls came to."""
    calls = [call for made in done.rounds for call in made.calls]
    files: list[JSONValue] = [file for call in calls if call.observation for file in call.observation.files]
    return NodeResult(
        outputs={
            "text": "".join(log.text),
            "usage": done.usage.to_json(),
            "files": files,
            "json": [_to_json(made) for made in done.rounds],
        },
        usage=done.usage,
        metadata={"agent_log": list(log.steps.values())},
        cited=done.cited,
    )


def _to_json(made: Round) -> JSONObject:
    calls: list[JSONValue] = [
        {
            "tool": call.name,
            "input": _input(call),
            "output": call.observation.text if call.observation else None,
            "json": list(call.observation.json) if call.observation else [],
        }
        for call in made.calls
    ]
    return {"round": made.number, "thought": made.thought, "tool_calls": calls}
