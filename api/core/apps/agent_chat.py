"""An agent app: a chat whose model calls tools until it has an answer, each round told as a thought.

Earlier turns are given as questions and answers; what their tools gave is not
repeated, for it may be old, and would fill the context.
"""

from collections.abc import Generator, Iterator

import orjson

from api.core.agent.agent import Agent, choose_strategy, run_agent
from api.core.agent.rounds import Call, Done, Round, Said, Told
from api.core.agent.strategy import Strategy
from api.core.apps.config import ModelConfig
from api.core.apps.documents import fit_documents
from api.core.apps.prompting import chat_messages
from api.core.apps.room import Prompt, remember
from api.core.apps.spec import AppSpec, Deps, Turn
from api.core.events import AgentThought, Event, FileMade, MessageEnd, TextChunk
from api.core.model_runtime.types import Message, Role
from api.core.ports import JSONObject, JSONValue

HISTORY_SHARE = 2
"""History takes at most half of the room there is; the rest is for what tools give."""


def run(spec: AppSpec, turn: Turn, deps: Deps) -> Iterator[Event]:
    """Yield the agent's rounds and its answer to one message of a conversation."""
    config, tools = spec.configured(), deps.find_tools()
    model = deps.models.schema(spec.tenant_id, config.model.ref)
    strategy = choose_strategy(config.agent_mode.strategy, config.model, model, tools)
    prompt = _weighed(strategy)
    turn = remember(spec, fit_documents(spec, turn, deps, prompt), deps, prompt, share=HISTORY_SHARE)
    done = yield from _told(
        run_agent(
            Agent(
                tenant_id=spec.tenant_id,
                user=turn.user,
                choice=config.model,
                messages=chat_messages(config, turn),
                tools=tools,
                strategy=strategy,
                max_rounds=config.agent_mode.max_iteration,
                models=deps.models,
                cancel=deps.cancel,
            )
        )
    )
    yield MessageEnd(
        usage=done.usage,
        retriever_resources=done.cited if config.retriever_resource.enabled else (),
        outcome="stopped" if done.is_stopped else "finished",
    )


def _weighed(strategy: Strategy) -> Prompt:
    """Return what makes messages as heavy as those that are sent, with the tools that go beside them."""
    beside = [(tool.name, tool.description, tool.parameters) for tool in strategy.offered]
    offered = (Message.of(Role.SYSTEM, orjson.dumps(beside).decode()),) if beside else ()

    def prompt(config: ModelConfig, turn: Turn) -> tuple[Message, ...]:
        return (*strategy.prompt(chat_messages(config, turn)), *offered)

    return prompt


def _told(working: Generator[Told, None, Done]) -> Generator[Event, None, Done]:
    """Yield an agent's work as the events of an app; return how it ended."""
    while True:
        try:
            told = next(working)
        except StopIteration as end:
            done: Done = end.value
            return done
        if isinstance(told, Said):
            yield TextChunk(text=told.text)
        else:
            thought = _to_thought(told)
            yield from (_to_made(file) for file in thought.files)
            yield thought


def _to_made(file: JSONObject) -> FileMade:
    return FileMade(id=str(file["id"]), kind=str(file["type"]), url=str(file["url"]))


def _to_thought(made: Round) -> AgentThought:
    """Return a round as far as it has come."""
    return AgentThought(
        id=made.id,
        position=made.number,
        created_at=made.created_at,
        thought=made.thought,
        observation=_observation(made.calls),
        tool=";".join(call.name for call in made.calls),
        tool_labels={call.name: call.label for call in made.calls if call.label},
        tool_input=_as_text(_by_name([(call.name, _input(call)) for call in made.calls])),
        files=tuple(
            _named(file) for call in made.calls if call.observation for file in call.observation.files
        ),
        calls=tuple(_to_detail(call) for call in made.calls),
        tokens=made.usage.total_tokens if made.usage else 0,
    )


def _named(file: JSONObject) -> JSONObject:
    """Return a file with an id; one at an address has none but that."""
    return {**file, "id": file["id"] or file["url"]}


def _observation(calls: tuple[Call, ...]) -> str:
    """Return what calls gave: the text of one, of several a JSON object by their names."""
    seen: list[tuple[str, JSONValue]] = [
        (call.name, call.observation.text) for call in calls if call.observation is not None
    ]
    return str(seen[0][1]) if len(seen) == len(calls) == 1 else _as_text(_by_name(seen))


def _by_name(values: list[tuple[str, JSONValue]]) -> JSONObject:
    """Return values by the names of tools; of one that was called several times, a list of them."""
    several: dict[str, list[JSONValue]] = {}
    for name, value in values:
        several.setdefault(name, []).append(value)
    return {name: each[0] if len(each) == 1 else each for name, each in several.items()}


def _as_text(value: JSONObject) -> str:
    return orjson.dumps(value).decode() if value else ""


def _input(call: Call) -> JSONValue:
    return call.written if call.arguments is None else call.arguments


def _to_detail(call: Call) -> JSONObject:
    """Return a call as the team of the app looks at it."""
    observation = call.observation
    return {
        **call.details,
        "name": call.name,
        "label": call.label,
        "input": _input(call),
        "output": observation.text if observation else "",
        "is_error": observation is None or observation.is_error,
        "elapsed_s": call.elapsed_s,
    }
