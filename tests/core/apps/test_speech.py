"""What is spoken of an answer that is still coming: sentences, each once, none that was replaced."""

from collections.abc import Iterator

import pytest

from api.core.apps.config import WordAvoidance
from api.core.apps.moderation import CHUNK_CHARS, Asked, Moderator, Refused, screen, to_moderator
from api.core.apps.speech import MAX_TEXT_CHARS, PART_CHARS, Lines
from api.core.events import Event, MessageEnd, TextChunk, TextReplaced
from api.core.ports import Cancel


def written(*pieces: str | TextReplaced) -> Lines:
    lines = Lines()
    write(lines, *pieces)
    return lines


def write(lines: Lines, *pieces: str | TextReplaced) -> None:
    for piece in pieces:
        lines.write(TextChunk(text=piece) if isinstance(piece, str) else piece)


def anew(text: str) -> TextReplaced:
    return TextReplaced(text=text)


def rest_of(lines: Lines) -> list[str]:
    return list(iter(lambda: lines.next_part(is_over=True), ""))


def test_sentence_is_spoken_once_the_next_begins() -> None:
    lines = written("Hello", " there")
    assert lines.next_part(is_over=False) == ""
    write(lines, ". How")
    assert lines.next_part(is_over=False) == "Hello there."
    assert lines.next_part(is_over=False) == ""
    write(lines, " are you? Fi", "ne. And")
    assert lines.next_part(is_over=False) == "How are you? Fine."
    assert rest_of(lines) == ["And"]


@pytest.mark.parametrize(
    ("text", "said"), [("Wait.", "Wait."), ("等一下。", "等一下。"), ("Wait", ""), ("3", "")]
)
def test_sentence_before_a_pause_is_spoken_in_it(text: str, said: str) -> None:
    lines = written(text)
    assert lines.next_part(is_over=False) == ""  # more may be on its way
    assert lines.next_part(is_over=False) == said


def test_answer_that_is_there_at_once_is_spoken_whole_in_parts() -> None:
    text = " ".join(f"This is sentence number {number} of them." for number in range(100))
    parts = rest_of(written(text))
    assert len(parts) > 5
    assert all(len(part) <= PART_CHARS and part.endswith("them.") for part in parts)
    assert " ".join(parts) == text


def test_sentence_longer_than_a_part_is_one() -> None:
    text = "Word " * PART_CHARS + "end."
    assert rest_of(written("Short. ", text)) == ["Short.", text]


@pytest.mark.parametrize(
    ("replacement", "stands", "said"),
    [
        ("One. Two. Drei.", True, ["Two. Drei."]),
        ("One.", True, []),
        ("One", False, ["One"]),
        ("", False, []),
        ("Eins. Zwei.", False, ["Eins. Zwei."]),
        ("One!", False, ["One!"]),
    ],
)
def test_replaced_text_is_spoken_from_where_it_differs_from_what_was_said(
    replacement: str, stands: bool, said: list[str]
) -> None:
    lines = written("One. Two")
    assert lines.next_part(is_over=False) == "One."
    write(lines, ". Three.", anew(replacement))
    assert lines.still_stands() == stands
    assert rest_of(lines) == said


def test_only_the_sentences_that_are_others_are_spoken_again() -> None:
    lines = written("One. My card 12")
    assert lines.next_part(is_over=False) == "One."
    write(lines, "34. Three")
    assert lines.next_part(is_over=False) == "My card 1234."
    write(lines, ". Four", anew("One. My card ****. Three. Four."))
    assert not lines.still_stands()
    assert rest_of(lines) == ["My card ****. Three. Four."]


def test_no_sentence_is_lost_with_the_sound_that_was_dropped() -> None:
    lines = written("One. Two. Three")
    assert lines.next_part(is_over=False) == "One. Two."
    write(lines, anew("One. Zwei."))
    assert not lines.still_stands()
    assert rest_of(lines) == ["One. Zwei."]
    lines = written("One. Two. Three")
    assert lines.next_part(is_over=False) == "One. Two."
    assert lines.next_part(is_over=False) == ""  # so that is told
    write(lines, anew("One. Zwei."))
    assert rest_of(lines) == ["Zwei."]


def test_text_after_a_replacement_is_spoken() -> None:
    lines = written("One. Tw", anew("One. "), "Deux. ", anew("Un. "), "Deux.", " Trois.")
    assert rest_of(lines) == ["Un. Deux. Trois."]


def test_no_more_is_spoken_than_the_most_that_may_be() -> None:
    lines = written(*("Ten chars." + " " for _ in range(MAX_TEXT_CHARS // 11 + 5)))
    spoken = rest_of(lines)
    assert MAX_TEXT_CHARS - PART_CHARS < len(" ".join(spoken)) <= MAX_TEXT_CHARS
    assert lines.is_cut
    write(lines, "No more.")
    assert rest_of(lines) == []
    assert not written("Short.").is_cut


# -- what is moderated ---------------------------------------------------------------------------


def moderated(moderator: Moderator, *events: Event) -> Iterator[tuple[Event, str]]:
    """Yield the events of a moderated answer, each with what was spoken of it until then."""
    lines, said = Lines(), ""
    for event in screen(moderator, Cancel(), Asked(inputs={}), lambda _: iter(events), lines=lines):
        said += lines.next_part(is_over=True)
        yield event, said
    yield MessageEnd(usage=None), said + lines.next_part(is_over=True)


def keywords() -> Moderator:
    side = {"enabled": True, "preset_response": "No."}
    avoidance = WordAvoidance.model_validate(
        {"enabled": True, "type": "keywords", "config": {"outputs_config": side, "keywords": "bad"}}
    )
    return to_moderator(avoidance, lambda text: "bad" in text)


def test_only_what_was_looked_at_is_spoken() -> None:
    good, end = TextChunk(text="x" * CHUNK_CHARS), MessageEnd(usage=None)
    told = list(moderated(keywords(), good, TextChunk(text="y"), end))
    assert [said for _, said in told] == ["", good.text, good.text + "y", good.text + "y"]


def test_what_may_not_be_said_is_not_spoken() -> None:
    good, end = TextChunk(text="x" * CHUNK_CHARS), MessageEnd(usage=None)
    *_, (_, said) = moderated(keywords(), good, TextChunk(text="bad"), end)
    assert said == good.text


def test_sound_that_is_on_its_way_is_not_told_once_the_answer_is_refused() -> None:
    lines, good = Lines(), TextChunk(text="x" * CHUNK_CHARS)
    run: list[Event] = [good, TextChunk(text="bad"), MessageEnd(usage=None)]
    for event in screen(keywords(), Cancel(), Asked(inputs={}), lambda _: iter(run), lines=lines):
        if event is run[1]:
            assert lines.next_part(is_over=True) == good.text
            assert lines.still_stands()
        if isinstance(event, TextReplaced):
            assert not lines.still_stands()
            break
    else:
        raise AssertionError("nothing was refused")


def test_what_a_run_replaces_itself_is_spoken_once_it_was_looked_at() -> None:
    looked_at, end = "x" * CHUNK_CHARS, MessageEnd(usage=None)
    told = moderated(
        keywords(),
        TextChunk(text=looked_at),
        TextReplaced(text=looked_at + "tried"),
        TextChunk(text="2"),
        end,
    )
    assert [said for _, said in told][-1] == looked_at + "tried2"


def test_covered_text_is_spoken_in_place_of_what_came() -> None:
    def cover(text: str) -> str | Refused:
        return text.replace("card 12", "card **")

    moderator = Moderator(checks_input=None, checks_output=cover)
    *_, (_, said) = moderated(moderator, TextChunk(text="My card 12."), MessageEnd(usage=None))
    assert said == "My card **."
