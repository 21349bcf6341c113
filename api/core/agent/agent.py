"""The agent: asks a model, makes the calls it wants, and asks again until it answers.

Boundary: knows models and tools by what it is handed, no app and no workflow.
What must stay true: a tool that fails, does not exist or is called with nonsense
costs an observation, never the run; when the rounds are used up the model is
asked once more, without tools; a stop ends a round where it is, and what there
is of it is told.
"""

import itertools
import time
import uuid
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce

import orjson

from api.core.agent.function_calling import FunctionCalling
from api.core.agent.react import ReAct
from api.core.agent.rounds import Call, Decision, Done, Round, Said, Told
from api.core.agent.strategy import Strategy
from api.core.agent.tool import AgentTool, Observation
from api.core.events import RetrieverResource
from api.core.http import Cancelled
from api.core.model_runtime.choice import ModelChoice
from api.core.model_runtime.metering import Meter
from api.core.model_runtime.provider import is_generative
from api.core.model_runtime.runtime import ModelRuntime
from api.core.model_runtime.types import NO_TOKENS, ChatChunk, Message, ModelSchema, ToolCall, Usage
from api.core.parallel import run_all
from api.core.ports import Cancel, JSONObject
from api.core.text.found_json import is_deep

DEFAULT_ROUNDS = 10
MAX_ROUNDS = 99
MAX_THREADS = 8
MAX_CALLS = 32
"""Calls of one round; what a model asks for beyond is refused."""
MAX_KEPT_CHARS = 100_000
"""Of an observation; what a tool gives beyond is neither read nor kept."""
MAX_READ_CHARS = 50_000
READ_SHARE = 2
"""Of an observation the model reads at most as many characters as half of its context has tokens."""
CUT = "\n[Only the beginning is here; the rest does not fit.]"
BREAK = "\n\n"
"""What stands in the answer between what two rounds say."""
TOOL_FEATURES = frozenset({"tool-call", "multi-tool-call", "stream-tool-call"})
REACT = frozenset({"react", "react_router", "cot"})
"""What configurations call the strategy that works by text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """What one run works with. ``messages`` are its prompt, ``max_rounds`` how often it may call tools."""

    tenant_id: str
    user: str
    choice: ModelChoice
    messages: tuple[Message, ...]
    tools: Mapping[str, AgentTool]
    strategy: Strategy
    max_rounds: int
    models: ModelRuntime
    cancel: Cancel

    @property
    def model(self) -> ModelSchema:
        """What is known of the model. Raises a ProviderFailure."""
        return self.models.schema(self.tenant_id, self.choice.ref)


def choose_strategy(
    wanted: str, choice: ModelChoice, model: ModelSchema, tools: Mapping[str, AgentTool]
) -> Strategy:
    """Return the strategy ``wanted`` by its name in configurations, as far as the model can follow it.

    A model that has no calls of its own is brought to them by its text, one that
    only quotes cannot be.
    """
    specs = tuple(tool.spec for tool in tools.values())
    can_write = is_generative(choice.ref.provider)
    can_call = bool(model.features & TOOL_FEATURES)
    is_text = can_write and (wanted.lower().replace("-", "_") in REACT or not can_call)
    return ReAct(specs) if is_text and specs else FunctionCalling(specs)


def run_agent(agent: Agent) -> Generator[Told, None, Done]:
    """Yield what the agent says and does; return how it ended.

    Raises a ProviderFailure where the model does not answer, and what the run
    was made to fail with.
    """
    prompt, rounds = agent.strategy.prompt(agent.messages), list[Round]()
    has_said, usages = False, list[Usage]()
    for number in itertools.count(1):
        is_last = number > agent.max_rounds or not agent.tools
        if is_last and rounds:
            prompt = (*prompt, *agent.strategy.finale())
        begun = Round(id=str(uuid.uuid4()), number=number, created_at=int(time.time()))
        yield begun
        decision, usage = yield from _ask(agent, prompt, is_last=is_last, has_said=has_said)
        has_said = has_said or bool(decision.said)
        usages.append(usage)
        made = replace(
            begun,
            stage="decided",
            thought=decision.thought,
            calls=tuple(_to_call(agent, call) for call in decision.calls),
            usage=usage,
        )
        yield made
        if made.calls and not agent.cancel.is_set():
            made = replace(made, stage="over", calls=_act(agent, made.calls))
            usages += _spent(made.calls, usage)
            yield made
        rounds.append(made)
        if agent.cancel.failure is not None:
            raise agent.cancel.failure
        if not made.calls or agent.cancel.is_set():
            break
        prompt = (*prompt, *agent.strategy.follow(decision, [_readable(agent, call) for call in made.calls]))
    return Done(
        usage=reduce(Usage.plus, usages),
        is_stopped=agent.cancel.is_set(),
        rounds=tuple(rounds),
        cited=_cited(rounds),
    )


def _ask(
    agent: Agent, prompt: tuple[Message, ...], *, is_last: bool, has_said: bool
) -> Generator[Said, None, tuple[Decision, Usage]]:
    """Yield what the model says; return what it chose, and what asking took."""
    strategy, choice = agent.strategy, agent.choice
    request = choice.request(prompt, user=agent.user, tools=() if is_last else strategy.offered)
    request = replace(request, stop=(*request.stop, *strategy.stop))
    meter = Meter(choice.name, prompt)

    def chunks() -> Iterator[ChatChunk]:
        for chunk in agent.models.chat(agent.tenant_id, choice.ref, request, agent.cancel):
            # No database column takes a NUL.
            seen = replace(chunk, text=chunk.text.replace("\x00", "")) if "\x00" in chunk.text else chunk
            meter.see(seen)
            yield seen

    decision = yield from _apart(strategy.read(chunks(), is_last=is_last), has_said=has_said)
    return decision, meter.usage(agent.model.price)


def _apart(saying: Generator[Said, None, Decision], *, has_said: bool) -> Generator[Said, None, Decision]:
    """Yield what is said, set apart from what was said before."""
    try:
        first = next(saying)
    except StopIteration as end:
        nothing: Decision = end.value
        return nothing
    yield Said(f"{BREAK}{first.text}") if has_said else first
    return (yield from saying)


def _to_call(agent: Agent, asked: ToolCall) -> Call:
    tool = agent.tools.get(asked.name)
    return Call(
        id=str(uuid.uuid4()),
        name=asked.name.replace("\x00", ""),
        written=asked.arguments.replace("\x00", ""),
        arguments=_read(asked.arguments),
        label=tool.label if tool else {},
        details=tool.details if tool else {},
    )


def _read(written: str) -> JSONObject | None:
    """Return the arguments a model wrote, none where it wrote nothing.

    None where they are no object, or one nested too deep to be told of.
    """
    if not written.strip():
        return {}
    try:
        arguments = orjson.loads(written)
    except orjson.JSONDecodeError:
        return None
    return arguments if isinstance(arguments, dict) and not is_deep(arguments) else None


def _act(agent: Agent, calls: Sequence[Call]) -> tuple[Call, ...]:
    """Return the calls with what they gave, made side by side; those a stop cut short have no observation."""
    made = list(calls)

    def act(place: int, cancel: Cancel) -> None:
        made[place] = _observed(agent, made[place], cancel, is_refused=place >= MAX_CALLS)

    try:
        run_all([partial(act, place) for place in range(len(made))], agent.cancel, max_threads=MAX_THREADS)
    except Cancelled:
        if not agent.cancel.is_set():
            raise
    return tuple(made)


def _observed(agent: Agent, call: Call, cancel: Cancel, *, is_refused: bool) -> Call:
    began = time.monotonic()
    tool = agent.tools.get(call.name)
    if is_refused:
        observation = _fault(f"At most {MAX_CALLS} tools are called at once; call it again.")
    elif tool is None:
        observation = _fault(f"There is no tool {call.name[:100]!r}; there are: {', '.join(agent.tools)}.")
    elif call.arguments is None:
        observation = _fault("The arguments are no JSON object; call the tool again with one.")
    else:
        observation = tool.call(call.arguments, cancel)
        observation = replace(observation, text=_cut(observation.text, MAX_KEPT_CHARS))
    return replace(call, observation=observation, elapsed_s=time.monotonic() - began)


def _fault(sentence: str) -> Observation:
    return Observation(text=sentence, is_error=True)


def _readable(agent: Agent, call: Call) -> str:
    """Return what the model is given to read of a call."""
    assert call.observation is not None, "calls are over before the model is asked again"
    return _cut(call.observation.text, min(MAX_READ_CHARS, agent.model.context_tokens // READ_SHARE))


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}{CUT}"


def _spent(calls: Sequence[Call], asked: Usage) -> list[Usage]:
    """Return what calls took: of the agent's model, at the price of the question before them; of others."""
    observations = [call.observation for call in calls if call.observation is not None]
    spent = sum((one.spent for one in observations), NO_TOKENS)
    own = Usage(
        prompt_tokens=spent.prompt_tokens,
        completion_tokens=spent.completion_tokens,
        price=asked.price,
        latency_s=0.0,
        first_token_s=None,
    )
    return [own, *(one.usage for one in observations if one.usage is not None)]


def _cited(rounds: Sequence[Round]) -> tuple[RetrieverResource, ...]:
    """Return the passages that were found, each once and numbered anew, in the order they were found."""
    found: dict[tuple[str, str, str], RetrieverResource] = {}
    for call in (call for each in rounds for call in each.calls):
        for one in call.observation.cited if call.observation else ():
            found.setdefault((one.dataset_id, one.segment_id, one.content), one)
    return tuple(replace(one, position=place) for place, one in enumerate(found.values(), 1))
