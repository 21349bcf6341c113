"""Answers are looked at in pieces, replaced when they must not be said, and their runs stopped."""

from collections.abc import Iterator

import pytest

from api.core.apps.config import WordAvoidance, load_model_config
from api.core.apps.moderation import (
    CHUNK_CHARS,
    OVERLAP_CHARS,
    Asked,
    Moderator,
    Refused,
    flags_keywords,
    screen,
    to_moderator,
)
from api.core.events import Event, MessageEnd, RunFinished, TextChunk, TextReplaced
from api.core.ports import Cancel, JSONObject, JSONValue
from api.errors import InvalidRequest

MODEL: JSONObject = {"provider": "builtin", "name": "extractive-qa"}
SIDE: JSONObject = {"enabled": True, "preset_response": "No."}


NOTHING = Asked(inputs={})


def watched(side: str, **config: JSONValue) -> WordAvoidance:
    """Return the moderation of one side, by a model or by keywords."""
    kind = "keywords" if config else "openai_moderation"
    return WordAvoidance.model_validate({"enabled": True, "type": kind, "config": {side: SIDE, **config}})


class Looks:
    """Finds "bad", and remembers what it was shown."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __call__(self, text: str) -> bool:
        self.seen.append(text)
        return "bad" in text


def answered(
    *pieces: str,
    looks: Looks,
    cancel: Cancel | None = None,
    ends: tuple[Event, ...] = (MessageEnd(usage=None),),
) -> list[Event]:
    cancel = cancel or Cancel()

    def run(_: Asked) -> Iterator[Event]:
        for piece in pieces:
            if cancel.is_set():
                break
            yield TextChunk(text=piece)
        yield from ends

    moderator = to_moderator(watched("outputs_config"), looks)
    return list(screen(moderator, cancel, NOTHING, run))


def test_answer_is_looked_at_in_pieces_and_once_at_its_end() -> None:
    looks = Looks()
    count = 10 * CHUNK_CHARS + 7
    events = answered(*("x" * count), looks=looks)
    assert len(events) == count + 1
    assert [len(text) for text in looks.seen] == [
        *(number * CHUNK_CHARS for number in range(1, 11)),
        count,
    ]


def test_long_answer_is_looked_at_in_bounded_pieces() -> None:
    looks = Looks()
    answered(*("x" * CHUNK_CHARS for _ in range(100)), looks=looks)
    assert len(looks.seen) == 100
    assert max(map(len, looks.seen)) == OVERLAP_CHARS + CHUNK_CHARS


def test_word_is_found_where_two_pieces_meet() -> None:
    looks = Looks()
    events = answered("x" * (CHUNK_CHARS - 1) + "b", "ad", looks=looks)
    assert events[-2:] == [TextReplaced(text="No.", reason="output_moderation"), MessageEnd(usage=None)]


def test_answer_that_is_replaced_is_stopped_and_says_no_more() -> None:
    looks, cancel = Looks(), Cancel()
    ends = (MessageEnd(usage=None, outcome="stopped"),)
    events = answered("bad" + "x" * CHUNK_CHARS, "more", "and more", looks=looks, cancel=cancel, ends=ends)
    assert [type(event).__name__ for event in events] == ["TextChunk", "TextReplaced", "MessageEnd"]
    assert cancel.is_set()
    assert events[-1] == MessageEnd(usage=None, outcome="finished")


def test_end_of_a_workflow_does_not_tell_what_was_replaced() -> None:
    run = RunFinished(
        status="succeeded",
        outputs={"answer": "bad", "files": []},
        created_at=1,
        finished_at=2,
        elapsed_s=1,
        total_tokens=0,
        total_steps=1,
    )
    events = answered("bad", looks=Looks(), ends=(run, MessageEnd(usage=None)))
    assert [type(event).__name__ for event in events] == [
        "TextChunk",
        "TextReplaced",
        "RunFinished",
        "MessageEnd",
    ]
    finished = events[2]
    assert isinstance(finished, RunFinished)
    assert finished.outputs == {"answer": "No.", "files": []}


def test_text_that_a_run_replaces_itself_is_looked_at_too() -> None:
    looks = Looks()
    ends = (TextReplaced(text="all bad"), MessageEnd(usage=None))
    events = answered("good", looks=looks, ends=ends)
    assert looks.seen == ["all bad"]
    assert events[-2] == TextReplaced(text="No.", reason="output_moderation")


def test_question_is_looked_at_with_its_inputs() -> None:
    looks = Looks()
    moderator = to_moderator(watched("inputs_config"), looks)
    asked = Asked(inputs={"name": "Ann", "tone": "bad", "age": 3, "none": None}, query="Why?")
    events = list(screen(moderator, Cancel(), asked, lambda _: iter(())))
    assert events == [TextChunk(text="No."), MessageEnd(usage=None)]
    assert looks.seen == ["Ann\nbad\n3\nWhy?"]
    assert list(screen(moderator, Cancel(), Asked(inputs={"none": None}), lambda _: iter(()))) == []
    assert len(looks.seen) == 1  # where nothing was asked, as after a pause, nobody is


def test_answer_is_looked_at_no_further_back_than_the_longest_keyword() -> None:
    avoidance = watched("outputs_config", keywords="loud\n" + "x" * 30)
    looks = Looks()
    moderator = to_moderator(avoidance, looks)

    pieces = [TextChunk(text="y" * CHUNK_CHARS)] * 20
    list(screen(moderator, Cancel(), NOTHING, lambda _: iter(pieces)))
    assert max(map(len, looks.seen)) == CHUNK_CHARS + 30

    split = [TextChunk(text="y" * (CHUNK_CHARS - 2) + "lo"), TextChunk(text="ud" + "y" * CHUNK_CHARS)]
    found = to_moderator(avoidance, flags_keywords(avoidance))
    events = list(screen(found, Cancel(), NOTHING, lambda _: iter(split)))
    assert isinstance(events[-1], TextReplaced)


@pytest.mark.parametrize(
    ("text", "is_flagged"), [("So LOUD", True), ("straße", True), ("quiet", False), ("", False)]
)
def test_keywords_are_found_whatever_their_case(text: str, is_flagged: bool) -> None:
    avoidance = watched("inputs_config", keywords="loud\n\n  STRASSE \n")
    assert flags_keywords(avoidance)(text) is is_flagged


@pytest.mark.parametrize(
    "avoidance",
    [
        {"enabled": True},
        {"enabled": True, "type": "spells", "config": {"inputs_config": SIDE}},
        {"enabled": True, "type": "keywords", "config": {"keywords": "x"}},
        {"enabled": True, "type": "keywords", "config": {"inputs_config": SIDE, "keywords": " "}},
        {"enabled": True, "type": "openai_moderation", "config": {"outputs_config": {"enabled": True}}},
        {"enabled": True, "type": "keywords", "config": {"keywords": "x" * 10_001, "inputs_config": SIDE}},
        {"enabled": True, "type": "api", "config": {"inputs_config": SIDE}},
    ],
)
def test_moderation_that_makes_no_sense_is_refused(avoidance: JSONObject) -> None:
    with pytest.raises(InvalidRequest, match="sensitive_word_avoidance"):
        load_model_config({"model": MODEL, "sensitive_word_avoidance": avoidance})


def covers(text: str) -> str | Refused:
    """Cover "bad", and refuse what is "worse"."""
    return Refused("No.") if "worse" in text else text.replace("bad", "***")


def covered(*events: Event, cancel: Cancel | None = None, is_workflow: bool = False) -> list[Event]:
    moderator = Moderator(checks_input=None, checks_output=covers)
    refuse = (lambda _: iter(())) if is_workflow else None
    return list(screen(moderator, cancel or Cancel(), NOTHING, lambda _: iter(events), refuse))


def finished(**outputs: JSONValue) -> RunFinished:
    return RunFinished(
        status="succeeded",
        outputs=outputs,
        created_at=1,
        finished_at=2,
        elapsed_s=1,
        total_tokens=0,
        total_steps=1,
    )


def test_answer_may_be_covered_in_part_and_goes_on() -> None:
    cancel, long = Cancel(), "x" * (OVERLAP_CHARS + CHUNK_CHARS)
    texts = (TextChunk(text=long), TextChunk(text="bad" + "y" * CHUNK_CHARS), TextChunk(text="end"))
    events = covered(*texts, finished(answer="all of it, bad"), MessageEnd(usage=None), cancel=cancel)

    shown = f"{long}***{'y' * CHUNK_CHARS}"
    assert events[2] == TextReplaced(text=shown, reason="output_moderation")
    assert events[3:] == [texts[2], finished(answer=f"{shown}end"), MessageEnd(usage=None)]
    assert not cancel.is_set()


def test_outputs_of_a_workflow_are_looked_at_one_by_one() -> None:
    told = covered(finished(a="bad", b={"c": "bad"}, n=1, none=None), is_workflow=True)
    assert told == [finished(a="***", b='{"c":"***"}', n=1, none=None)]

    cancel = Cancel()
    *replaced, end = covered(finished(a="good", b="worse", n=1), cancel=cancel, is_workflow=True)
    assert replaced == [TextReplaced(text="No.", reason="output_moderation")]
    assert isinstance(end, RunFinished)
    assert (end.status, end.error, end.outputs) == ("stopped", "No.", dict.fromkeys("abn", "No."))
    assert cancel.is_set()


def test_moderation_that_is_off_may_say_anything() -> None:
    off: list[JSONObject] = [{"enabled": False, "type": None, "config": None}, {"type": "", "configs": []}]
    for avoidance in off:
        load_model_config({"model": MODEL, "sensitive_word_avoidance": avoidance})
