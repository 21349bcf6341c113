"""Attached documents within the prompt's budget."""

from typing import cast

import pytest

from api.core.apps.config import load_model_config
from api.core.apps.documents import fit_documents
from api.core.apps.prompting import chat_messages
from api.core.apps.spec import AppMode, AppSpec, Deps, Document, Turn
from api.core.model_runtime.runtime import ModelRuntime
from api.core.model_runtime.types import ModelRef, ModelSchema, ModelType
from api.core.ports import Cancel
from api.core.text.tokens import count_tokens

WORDS = "ship " * 5000


class Models:
    """Knows one model, of so many tokens."""

    def __init__(self, context_tokens: int) -> None:
        self.context_tokens = context_tokens

    def schema(self, _tenant_id: str, ref: ModelRef) -> ModelSchema:
        return ModelSchema(model=ref.model, type=ModelType.LLM, label="", context_tokens=self.context_tokens)


def fit(*documents: Document, context_tokens: int = 4000) -> tuple[Document, ...]:
    spec = AppSpec(
        id="a",
        tenant_id="t",
        name="",
        mode=AppMode.CHAT,
        api_rpm=0,
        api_rph=0,
        max_active_requests=0,
        plan="sandbox",
        providers_version=0,
        config_id="c",
        config=load_model_config({"model": {"provider": "p", "name": "m"}}),
    )
    models = cast("ModelRuntime", Models(context_tokens))
    deps = Deps(models=models, cancel=Cancel(), retrieve=lambda _query: pytest.fail("not asked for"))
    turn = Turn(query="?", inputs={}, documents=documents)
    return fit_documents(spec, turn, deps, chat_messages).documents


def tokens(document: Document) -> int:
    return count_tokens(document.text)


def test_documents_that_fit_stay_whole() -> None:
    both = (Document(name="a", text="short"), Document(name="b", text="older", is_earlier=True))

    assert fit(*both) == both


def test_documents_of_one_message_share_evenly_what_the_small_ones_leave() -> None:
    small, first, second = fit(
        Document(name="s", text="short"), Document(name="a", text=WORDS), Document(name="b", text=WORDS)
    )

    assert (small.text, small.is_cut) == ("short", False)
    assert first.is_cut
    assert second.is_cut
    assert abs(tokens(first) - tokens(second)) <= 1
    assert 1500 < tokens(first) + tokens(second) < 4000 * 3 / 4 * 3 / 4


def test_earlier_documents_get_only_what_is_left() -> None:
    own, earlier = fit(
        Document(name="b", text="ship " * 500), Document(name="a", text=WORDS, is_earlier=True)
    )

    assert not own.is_cut
    assert earlier.is_cut
    assert 1000 < tokens(earlier) < 1800


def test_document_without_room_keeps_its_name() -> None:
    (document,) = fit(Document(name="a", text=WORDS), context_tokens=40)

    assert document == Document(name="a", text="", is_cut=True)


def test_text_that_was_cut_before_stays_marked() -> None:
    (document,) = fit(Document(name="a", text="short", is_cut=True))

    assert document.is_cut
