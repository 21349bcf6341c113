"""What clients may send to say how to search, and what they get back."""

import pytest

from api.core.model_runtime.types import ModelRef
from api.core.ports import JSONObject, JSONValue
from api.core.rag.metadata_filter import Condition, MetadataFilter
from api.core.rag.retrieval_model import RetrievalModel, load_retrieval_model
from api.errors import InvalidRequest

NESTED: JSONObject = {
    "weight_type": "customized",
    "vector_setting": {
        "vector_weight": 0.8,
        "embedding_provider_name": "langgenius/openai/openai",
        "embedding_model_name": "text-embedding-3-small",
    },
    "keyword_setting": {"keyword_weight": 0.2},
}
RERANKER: JSONObject = {
    "reranking_provider_name": "langgenius/cohere/cohere",
    "reranking_model_name": "rerank-v3.5",
}


def test_load_nothing_gives_the_default() -> None:
    for found in (load_retrieval_model(None), load_retrieval_model({})):
        assert found == RetrievalModel()
        assert (found.search_method, found.top_k, found.threshold) == ("semantic_search", 4, 0.0)
        assert found.rerank_ref is None
        assert found.shares == (0.4, 0.6)


def test_to_wire_default_is_the_dataset_shape() -> None:
    assert RetrievalModel().to_wire() == {
        "search_method": "semantic_search",
        "reranking_enable": False,
        "reranking_mode": None,
        "reranking_model": {"reranking_provider_name": "", "reranking_model_name": ""},
        "weights": None,
        "top_k": 4,
        "score_threshold_enabled": False,
        "score_threshold": None,
    }


def test_to_wire_is_taken_back_as_it_was() -> None:
    raw: JSONObject = {
        "search_method": "hybrid_search",
        "reranking_enable": True,
        "reranking_mode": "reranking_model",
        "reranking_model": RERANKER,
        "weights": NESTED,
        "top_k": 7,
        "score_threshold_enabled": True,
        "score_threshold": 0.25,
        "metadata_filtering_conditions": {
            "logical_operator": "or",
            "conditions": [{"name": "year", "comparison_operator": ">", "value": 2020}],
        },
    }
    found = load_retrieval_model(raw)
    assert found.to_wire() == raw
    assert load_retrieval_model(found.to_wire()) == found
    assert found.metadata_filtering_conditions == MetadataFilter(
        logical_operator="or",
        conditions=(Condition(name="year", comparison_operator=">", value=2020),),
    )


@pytest.mark.parametrize(
    ("weights", "shares"),
    [
        (NESTED, (0.8, 0.2)),
        ({"semantic_weight": 0.6, "keyword_weight": 0.4}, (0.6, 0.4)),
        ({"semantic_weight": 1, "keyword_weight": 0}, (1.0, 0.0)),
        ({"semantic_weight": 0.9, "keyword_weight": 0.3}, (0.75, 0.25)),
        ({"semantic_weight": 0.1, "keyword_weight": 0.1}, (0.5, 0.5)),
        ({"semantic_weight": 0.7, "keyword_weight": 0.3000005}, (0.7, 0.3000005)),
        (None, (0.4, 0.6)),
    ],
)
def test_weights_of_either_form_add_up_to_one(weights: JSONValue, shares: tuple[float, float]) -> None:
    assert load_retrieval_model({"weights": weights}).shares == pytest.approx(shares, abs=1e-12)


@pytest.mark.parametrize(
    ("raw", "threshold"),
    [
        ({"score_threshold": 0.5}, 0.5),
        ({"score_threshold": 0.5, "score_threshold_enabled": None}, 0.5),
        ({"score_threshold": 0.5, "score_threshold_enabled": True}, 0.5),
        ({"score_threshold": 0.5, "score_threshold_enabled": False}, 0.0),
        ({"score_threshold": None, "score_threshold_enabled": True}, 0.0),
        ({"score_threshold": 0}, 0.0),
        ({"score_threshold": 1}, 1.0),
    ],
)
def test_threshold_given_without_its_switch_is_on(raw: JSONObject, threshold: float) -> None:
    assert load_retrieval_model(raw).threshold == threshold


@pytest.mark.parametrize(
    ("raw", "ref"),
    [
        ({"reranking_enable": True, "reranking_model": RERANKER}, ModelRef("cohere", "rerank-v3.5")),
        (
            {"reranking_enable": True, "reranking_model": {"provider": "jina", "model": "m"}},
            ModelRef("jina", "m"),
        ),
        ({"reranking_enable": False, "reranking_model": RERANKER}, None),
        (
            {"reranking_enable": True, "reranking_mode": "weighted_score", "reranking_model": RERANKER},
            None,
        ),
        ({"reranking_enable": True, "reranking_model": None}, None),
        (
            {
                "reranking_enable": True,
                "reranking_model": {"reranking_provider_name": "", "reranking_model_name": ""},
            },
            None,
        ),
    ],
)
def test_rerank_model_is_used_where_one_is_named_and_asked_for(raw: JSONObject, ref: ModelRef | None) -> None:
    assert load_retrieval_model(raw).rerank_ref == ref


@pytest.mark.parametrize(
    ("raw", "field", "fault"),
    [
        ({"top_k": 0}, "top_k", "out_of_range"),
        ({"top_k": 101}, "top_k", "out_of_range"),
        ({"top_k": "4"}, "top_k", "invalid_type"),
        ({"top_k": True}, "top_k", "invalid_type"),
        ({"search_method": "magic"}, "search_method", "invalid_choice"),
        ({"reranking_enable": 1}, "reranking_enable", "invalid_type"),
        ({"reranking_mode": "magic"}, "reranking_mode", "invalid_choice"),
        ({"score_threshold": 1.1}, "score_threshold", "out_of_range"),
        ({"score_threshold": -0.1}, "score_threshold", "out_of_range"),
        ({"weights": []}, "weights", "invalid_type"),
        (
            {"weights": {"semantic_weight": 1.5, "keyword_weight": 0}},
            "weights.semantic_weight",
            "out_of_range",
        ),
        ({"weights": {"semantic_weight": 0.5}}, "weights.keyword_setting.keyword_weight", "required"),
        (
            {"weights": {"vector_setting": {"vector_weight": -1}, "keyword_setting": {"keyword_weight": 1}}},
            "weights.vector_setting.vector_weight",
            "out_of_range",
        ),
        ({"weights": {"semantic_weight": 0, "keyword_weight": 0}}, "weights", "invalid_value"),
        (
            {"metadata_filtering_conditions": {"conditions": [{"name": "", "comparison_operator": "is"}]}},
            "metadata_filtering_conditions.conditions.0.name",
            "too_short",
        ),
    ],
)
def test_load_wrong_value_is_refused_by_its_path(raw: JSONObject, field: str, fault: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        load_retrieval_model(raw)
    assert (refused.value.field, refused.value.fault) == (f"retrieval_model.{field}", fault)
    assert refused.value.message.startswith(f"retrieval_model.{field}: ")


def test_load_what_is_no_object_is_refused_under_the_name_given() -> None:
    with pytest.raises(InvalidRequest) as refused:
        load_retrieval_model([], field="dataset_configs")  # type: ignore[arg-type]  # as a client may send it
    assert refused.value.field == "dataset_configs"
