"""Conversation memory within a model's context."""

from api.core.model_runtime.history import fit, room_for_history
from api.core.model_runtime.types import PastTurn

TURNS = tuple(PastTurn(query="q" * n, answer="a" * n) for n in (1, 2, 3))


def test_fit_keeps_the_latest_whole_turns_in_order() -> None:
    assert fit(TURNS, 10, len) == TURNS[1:]


def test_fit_without_room_keeps_nothing() -> None:
    assert fit(TURNS, 5, len) == ()


def test_room_leaves_space_for_prompt_and_answer() -> None:
    assert room_for_history(1000, 200, 300) == 500


def test_room_without_known_output_limit_leaves_a_quarter() -> None:
    assert room_for_history(1000, 0, 0) == 750


def test_room_is_never_negative() -> None:
    assert room_for_history(100, 50, 500) == 0
