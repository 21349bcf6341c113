"""What a knowledge-retrieval node asks of the datasets, and what it gives."""

from decimal import Decimal
from typing import Any

import pytest

from api.core.model_runtime.types import Price, Usage
from api.core.ports import Cancel, JSONValue
from api.core.workflow.deps import Found, Wanted
from api.core.workflow.node import NODES, Demand
from api.core.workflow.validation import find_problems
from api.core.workflow.variables import ANY_TEXT, ValueType
from api.errors import CompletionFailed
from tests.flows import Ran, drawn, edges, end, make_deps, run_flow

USAGE = Usage(
    prompt_tokens=3,
    completion_tokens=1,
    price=Price(input=Decimal(1), output=Decimal(1)),
    latency_s=0.1,
    first_token_s=None,
)


class Datasets:
    """Datasets that find one thing and remember what they were asked."""

    def __init__(self, found: Found | Exception) -> None:
        self.found = found
        self.asked: list[Wanted] = []

    def find(self, wanted: Wanted, cancel: Cancel) -> Found:
        assert cancel is not None
        self.asked.append(wanted)
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


def retrieve(datasets: Datasets, query: JSONValue = "ships?", **data: Any) -> Ran:
    values: Any = {"query_variable_selector": ["s", "q"], "dataset_ids": ["d1"], **data}
    nodes = [drawn("s", "start"), drawn("n", "knowledge-retrieval", **values), end(o="n.result")]
    inputs: dict[str, JSONValue] = {"q": query, "year": 1999, "who": "Li"}
    return run_flow(nodes, ["s > n > e"], inputs, deps=make_deps(knowledge=datasets))


def test_result_is_what_was_found_and_costs_what_finding_took() -> None:
    datasets = Datasets(Found(result=[{"content": "Two."}], usage=USAGE))

    ran = retrieve(datasets)

    assert ran.outputs == {"o": [{"content": "Two."}]}
    assert ran.end.usage == USAGE
    assert ran.of("n")[0].inputs == {"query": "ships?"}
    assert ran.of("n")[0].metadata["total_tokens"] == 4


def test_settings_go_as_drawn_with_the_filter_filled() -> None:
    conditions = [
        {"name": "year", "comparison_operator": "=", "value": "{{#s.year#}}"},
        {"name": "who", "comparison_operator": "in", "value": ["{{#s.who#}} Wei", 7]},
    ]
    settings: Any = {
        "retrieval_mode": "single",
        "single_retrieval_config": {"model": {"provider": "p", "name": "m"}},
        "metadata_filtering_mode": "manual",
        "metadata_filtering_conditions": {"logical_operator": "or", "conditions": conditions},
    }
    datasets = Datasets(Found())

    retrieve(datasets, **settings)

    (wanted,) = datasets.asked
    assert (wanted.query, wanted.dataset_ids) == ("ships?", ("d1",))
    assert wanted.settings["retrieval_mode"] == "single"
    assert wanted.settings["single_retrieval_config"] == settings["single_retrieval_config"]
    assert wanted.settings["metadata_filtering_conditions"] == {
        "logical_operator": "or",
        "conditions": [
            {"name": "year", "comparison_operator": "=", "value": 1999},
            {"name": "who", "comparison_operator": "in", "value": ["Li Wei", 7]},
        ],
    }


@pytest.mark.parametrize("query", ["", "  ", None])
def test_empty_query_finds_nothing_and_asks_nobody(query: JSONValue) -> None:
    datasets = Datasets(Found(result=[{}]))

    assert retrieve(datasets, query).outputs == {"o": []}
    assert datasets.asked == []


def test_node_without_datasets_finds_nothing() -> None:
    assert retrieve(Datasets(Found(result=[{}])), dataset_ids=[]).outputs == {"o": []}


def test_number_is_a_query_and_a_list_is_none() -> None:
    datasets = Datasets(Found())
    retrieve(datasets, 42)

    assert datasets.asked[0].query == "42"
    assert retrieve(datasets, ["x"]).finished.error == "s.q is not a text."


def test_failure_of_the_search_is_the_nodes() -> None:
    assert retrieve(Datasets(CompletionFailed("no model"))).finished.error == "no model"


def test_references_are_the_query_and_the_filters() -> None:
    config = NODES["knowledge-retrieval", "1"].configured(
        {
            "type": "knowledge-retrieval",
            "query_variable_selector": ["s", "q"],
            "dataset_ids": [],
            "metadata_filtering_conditions": {"conditions": [{"value": ["{{#s.who#}}"]}, {"value": 1}]},
        }
    )

    assert list(config.references()) == [("s", "q"), ("s", "who")]
    assert list(config.demands()) == [Demand(("s", "q"), ANY_TEXT)]
    assert config.gives() == {"result": ValueType.ARRAY_OBJECT}


def test_question_named_at_the_start_node_as_files_of_old_do_is_there() -> None:
    settings: Any = {
        "query_variable_selector": ["s", "sys.query"],
        "dataset_ids": ["d"],
        "retrieval_mode": "single",
    }
    nodes: list[JSONValue] = [
        drawn("s", "start"),
        drawn("n", "knowledge-retrieval", **settings),
        drawn("a", "answer", answer="{{#n.result#}}"),
    ]

    assert find_problems({"nodes": nodes, "edges": edges("s > n > a")}, mode="advanced-chat") == []
