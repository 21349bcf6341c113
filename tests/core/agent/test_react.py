"""ReAct: what is read of a model's text, whatever it writes and however it comes in pieces."""

import re
from collections.abc import Iterator

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.core.agent.react import ReAct
from api.core.agent.rounds import Decision
from api.core.model_runtime.types import ChatChunk, Message, Role, ToolSpec

SEARCH = ToolSpec(
    name="search",
    description="Finds pages.",
    parameters={"type": "object", "properties": {"query": {"type": "string"}}},
)
ADD = ToolSpec(
    name="add",
    description="Adds.",
    parameters={"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "number"}}},
)
REACT = ReAct((SEARCH, ADD))
LABELS = ("Thought:", "Action:", "Action Input:", "Observation:", "Final Answer:")


def read(text: str, size: int, *, is_last: bool = False) -> tuple[list[str], Decision]:
    """Read a text in pieces; return what was said, and the decision."""
    pieces = (ChatChunk(text=text[start : start + size]) for start in range(0, len(text), size))
    reading, said = REACT.read(pieces, is_last=is_last), []
    while True:
        try:
            said.append(next(reading).text)
        except StopIteration as end:
            return said, end.value


def call_of(decision: Decision) -> tuple[str, object]:
    (call,) = decision.calls
    return call.name, orjson.loads(call.arguments) if call.arguments.startswith("{") else call.arguments


CALLS = {
    "plain": ('Thought: look it up\nAction: search\nAction Input: {"query": "x"}', "look it up"),
    "made up": (
        'Thought: look it up\nAction: search\nAction Input: {"query": "x"}\nObservation: 5\nFinal Answer: 5',
        "look it up",
    ),
    "answered too soon": (
        'Thought: look it up\nAction: search\nAction Input: {"query": "x"}\n\nFinal Answer: 5',
        "look it up",
    ),
    "bold": ('**Thought:** look it up\n**Action:** `search`\n**Action Input:** {"query": "x"}', "look it up"),
    "fenced": ('look it up\nAction: search\nAction Input: ```json\n{"query": "x"}\n```', "look it up"),
    "bare words": ("Thought: look it up\nAction: search\nAction Input: x", "look it up"),
    "one object": (
        'Thought: look it up\nAction:\n```json\n{"action": "search", "action_input": {"query": "x"}}\n```',
        "look it up",
    ),
    "no labels": ('look it up\n```\n{"action": "search", "action_input": "x"}\n```', "look it up"),
    "lower case": ('thought: look it up\naction: search\naction input: {"query": "x"}', "look it up"),
}
ANSWERS = {
    "plain": ("Thought: I know.\nFinal Answer: It is 5.\n\nReally.", "It is 5.\n\nReally.", "I know."),
    "bold": ("**Final Answer:** It is **5**.", "It is **5**.", ""),
    "next line": ("Final Answer:\nIt is 5.\n", "It is 5.", ""),
    "goes on": ("Final Answer: It is 5.\n\nObservation: more\nThought: and more", "It is 5.", ""),
    "thinks on": ("Final Answer: It is 5.\nThought: was that right?", "It is 5.", ""),
    "looks like a label": (
        "Final Answer: Two things\nThoughts differ.\nAct",
        "Two things\nThoughts differ.\nAct",
        "",
    ),
    "no labels": ("It is 5.\nReally.", "It is 5.\nReally.", "It is 5.\nReally."),
    "only a thought": ("Thought: It is 5.", "It is 5.", "It is 5."),
    "no action": ("Thought: It is 5.\nAction: None\nAction Input: None", "It is 5.", "It is 5."),
    "as an object": ('Action: {"action": "Final Answer", "action_input": "It is 5."}', "It is 5.", ""),
    "nothing": ("", "", ""),
}


@pytest.mark.parametrize("size", [1, 4, 1000])
@pytest.mark.parametrize("name", CALLS)
def test_call_is_found_and_nothing_is_said(name: str, size: int) -> None:
    text, thought = CALLS[name]
    said, decision = read(text, size)

    assert said == []
    assert call_of(decision) == ("search", {"query": "x"})
    assert (decision.thought, decision.said) == (thought, "")


@pytest.mark.parametrize("size", [1, 4, 1000])
@pytest.mark.parametrize("name", ANSWERS)
def test_answer_is_said_without_what_is_around_it(name: str, size: int) -> None:
    text, answer, thought = ANSWERS[name]
    said, decision = read(text, size)

    assert "".join(said) == decision.said == answer
    assert (decision.calls, decision.thought) == ((), thought)


WORDS = (
    *LABELS,
    "**Final Answer:**",
    "Action",
    "Obs",
    "search",
    '{"query": "x"}',
    "```",
    "None",
    "5",
    " ",
    "\n",
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=14).map("".join), st.integers(1, 9), st.booleans())
def test_nonsense_is_read_the_same_however_it_comes_and_shows_no_label(
    text: str, size: int, is_last: bool
) -> None:
    said, decision = read(text, size, is_last=is_last)
    whole, same = read(text, max(1, len(text)), is_last=is_last)

    assert ("".join(said), decision) == ("".join(whole), same)
    assert decision.said == "".join(said)
    assert not (decision.said and decision.calls)
    assert not re.search(r"(?m)^(Thought|Action|Action Input|Observation):", decision.said.partition("\n")[2])


def test_answer_comes_as_it_is_written() -> None:
    said, _ = read("Final Answer: one two three", 4)
    assert len(said) > 3


def test_what_follows_a_call_is_not_waited_for() -> None:
    def endless() -> Iterator[ChatChunk]:
        yield ChatChunk(text="Action: add\nAction Input: {}\nObservation: 1\n")
        raise AssertionError("the model is read on")

    reading = REACT.read(endless(), is_last=False)
    with pytest.raises(StopIteration) as end:
        next(reading)
    assert call_of(end.value.value) == ("add", {})


def test_last_round_calls_nothing_and_says_what_there_is() -> None:
    said, decision = read("Thought: It may be 5.\nAction: search\nAction Input: x", 3, is_last=True)
    assert ("".join(said), decision.calls) == ("It may be 5.", ())


def test_words_for_a_tool_of_several_parameters_stay_words() -> None:
    assert call_of(read("Action: add\nAction Input: 1 and 2", 5)[1]) == ("add", "1 and 2")
    assert call_of(read("Action: add\nAction Input: none", 5)[1]) == ("add", "")


def test_prompt_holds_the_rules_once_and_the_call_as_it_was() -> None:
    asked = Message.of(Role.USER, "What is x?")
    bare = REACT.prompt((asked,))
    led = REACT.prompt((Message.of(Role.SYSTEM, "Be brief."), asked))
    decision = read('Thought: t\nAction: search\nAction Input: {"query": "x"}', 9)[1]
    turn, result = REACT.follow(decision, ["found"])

    assert [message.role for message in bare] == [message.role for message in led] == [Role.SYSTEM, Role.USER]
    assert led[0].text.startswith("Be brief.\n\n")
    assert all(label in bare[0].text for label in LABELS)
    assert '"name":"search"' in bare[0].text
    assert turn.text == 'Thought: t\nAction: search\nAction Input: {"query":"x"}'
    assert (result.role, result.text) == (Role.USER, "Observation: found")
