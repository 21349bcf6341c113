import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.core.text.tokens import count_tokens, cut_tokens, split_pieces, to_valid

MODELS = ("gpt-4", "gpt-4o")
ANY_TEXT = st.text(st.characters() | st.characters(categories=["Cs"]))  # lone surrogates too


@pytest.mark.parametrize(
    ("text", "cl100k", "o200k"),
    [
        ("", 0, 0),
        ("antidisestablishmentarianism", 6, 6),
        ("2 + 2 = 4", 7, 7),
        ("お誕生日おめでとう", 9, 8),
    ],
)
def test_count_tokens_published_example_gives_published_count(text: str, cl100k: int, o200k: int) -> None:
    assert (count_tokens(text, "gpt-4"), count_tokens(text, "gpt-4o")) == (cl100k, o200k)


@pytest.mark.parametrize(
    ("model", "tokens"),
    [
        ("gpt-4", 9),
        ("gpt-4-turbo-2024-04-09", 9),
        ("GPT-4-32k", 9),
        ("gpt-3.5-turbo", 9),
        ("gpt-35-turbo", 9),
        ("ft:gpt-3.5-turbo:acme::1", 9),
        ("openai/gpt-4", 9),
        ("text-embedding-3-small", 9),
        ("text-embedding-ada-002", 9),
        ("", 8),
        ("gpt-4o-mini", 8),
        ("gpt-4.1", 8),
        ("gpt-5", 8),
        ("chatgpt-4o-latest", 8),
        ("o3", 8),
        ("claude-sonnet", 8),
        ("my-gpt-4-like-model", 8),
    ],
)
def test_count_tokens_model_name_chooses_the_encoding(model: str, tokens: int) -> None:
    assert count_tokens("お誕生日おめでとう", model) == tokens


@pytest.mark.parametrize("model", MODELS)
def test_count_tokens_special_mark_counts_as_plain_text(model: str) -> None:
    assert count_tokens("<|endoftext|>", model) > 3


@settings(deadline=None)
@given(ANY_TEXT)
def test_count_tokens_any_text_lies_between_zero_and_its_bytes(text: str) -> None:
    assert 0 <= count_tokens(text) <= len(to_valid(text).encode())


@settings(deadline=None)
@given(ANY_TEXT, st.sampled_from(MODELS))
def test_split_pieces_any_text_joins_to_it_and_adds_up(text: str, model: str) -> None:
    pieces = list(split_pieces(text, model))

    assert "".join(piece.text for piece in pieces) == to_valid(text)
    assert sum(piece.tokens for piece in pieces) == count_tokens(text, model)
    assert all(piece.text and piece.tokens > 0 for piece in pieces)


def test_split_pieces_sentence_comes_in_several_pieces() -> None:
    assert [piece.text for piece in split_pieces("hello world again")] == ["hello", " world", " again"]


def test_to_valid_lone_surrogate_becomes_a_question_mark() -> None:
    assert to_valid("a\ud800b") == "a?b"


@settings(deadline=None)
@given(ANY_TEXT, st.integers(-1, 20), st.sampled_from(MODELS))
def test_cut_tokens_any_text_is_its_beginning(text: str, max_tokens: int, model: str) -> None:
    cut = cut_tokens(text, max_tokens, model)

    assert to_valid(text).startswith(cut)
    assert len(cut.encode()) <= len("".join(piece.text for piece in split_pieces(text, model)).encode())
    assert max_tokens > 0 or cut == ""


def test_cut_tokens_ends_after_a_whole_token_and_character() -> None:
    assert cut_tokens("hello world again", 2) == "hello world"
    assert cut_tokens("hello world again", 3) == "hello world again"
    assert cut_tokens("🤖🤖", count_tokens("🤖") + 1) == "🤖"
