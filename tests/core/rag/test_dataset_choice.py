"""Which dataset a model's answer names, and what the model is asked."""

import json

import pytest

from api.core.egress import EgressPolicy
from api.core.http import Cancelled, HTTPClient, Timeouts
from api.core.model_runtime.metering import Tab
from api.core.model_runtime.runtime import ModelRuntime, ResolvedModel
from api.core.model_runtime.types import ModelRef, TokenCount
from api.core.ports import Cancel
from api.core.rag.dataset_choice import MAX_QUERY_CHARS, Choice, Offer, choose, read_choice
from api.errors import CompletionFailed
from tests.fakes import TOKENS, Script
from tests.vendors import InlineOffload

OFFERS = [Offer("Harbours", "Ships and piers."), Offer("Bakery 3", ""), Offer("港口", "船")]


def ask(script: Script, query: str = "How many ships?", cancel: Cancel | None = None) -> Choice:
    resolved = ResolvedModel(credentials={}, is_quota_ok=True, report=list[bool]().append)
    timeouts = Timeouts(connect_s=20, first_byte_s=20, idle_s=20)
    models = ModelRuntime(
        lambda _tenant, _ref: resolved, HTTPClient(EgressPolicy(), timeouts), InlineOffload(), book=Tab()
    )
    ref = ModelRef("scripted", script.model)
    return choose(query, OFFERS, models, cancel or Cancel(30), tenant_id="t", ref=ref)


def test_choose_shows_the_model_query_and_datasets_and_tells_the_cost() -> None:
    script = Script(pieces=["1"])

    assert ask(script) == Choice(0, TOKENS)
    (request,) = script.requests
    assert json.loads(request.messages[1].text) == {
        "query": "How many ships?",
        "datasets": [
            {"number": 1, "name": "Harbours", "description": "Ships and piers."},
            {"number": 2, "name": "Bakery 3", "description": ""},
            {"number": 3, "name": "港口", "description": "船"},
        ],
    }


def test_choose_of_a_server_that_counts_nothing_counts_here() -> None:
    spent = ask(Script(pieces=["2"], tokens=None)).spent

    assert spent.prompt_tokens > 50
    assert (spent.completion_tokens, spent.is_estimate) == (1, True)


def test_choose_sends_a_long_query_cut() -> None:
    script = Script(pieces=["1"])

    ask(script, "x" * 10_000)

    assert json.loads(script.requests[0].messages[1].text)["query"] == "x" * MAX_QUERY_CHARS


def test_choose_failure_of_the_model_is_raised() -> None:
    def fail() -> None:
        raise CompletionFailed("no answer")

    with pytest.raises(CompletionFailed):
        ask(Script(pieces=[fail]))


def test_choose_stopped_is_cancelled() -> None:
    cancel = Cancel(30)

    with pytest.raises(Cancelled):
        ask(Script(pieces=["1", cancel.set, "2"]), cancel=cancel)


@pytest.mark.parametrize(
    ("answer", "place"),
    [
        ("2", 1),
        (" **3**.\n", 2),
        ("Dataset 2", 1),
        ('{"number": 2}', 1),
        ("2, since 2 is about bread", 1),
        ("harbours", 0),
        ("Bakery 3", 1),
        ("I would search 港口.", 2),
        ("“港口”", 2),
        ("", None),
        ("0", None),
        ("4", None),
        ("1 or 2", None),
        ("Harbours or 港口", None),
        ("none of them", None),
        ("9" * 5000, None),
    ],
)
def test_read_choice_takes_only_what_names_one_dataset(answer: str, place: int | None) -> None:
    assert read_choice(answer, OFFERS) == place


def test_choice_without_a_dataset_still_tells_its_cost() -> None:
    assert ask(Script(pieces=["Hello"])) == Choice(None, TokenCount(prompt_tokens=7, completion_tokens=5))
