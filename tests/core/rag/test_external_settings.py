"""The settings by which another service is asked."""

import pytest

from api.core.ports import JSONObject
from api.core.rag.external_settings import load_external_model
from api.errors import InvalidRequest


@pytest.mark.parametrize(
    ("raw", "top_k", "threshold"),
    [
        (None, 4, 0.0),
        ({"top_k": 9, "score_threshold": None}, 9, 0.0),
        ({"score_threshold": 0.5}, 4, 0.5),
        ({"score_threshold": 0.5, "score_threshold_enabled": False}, 4, 0.0),
    ],
)
def test_settings_become_a_query(raw: JSONObject | None, top_k: int, threshold: float) -> None:
    query = load_external_model(raw).to_query("k1", "penguins")

    assert (query.knowledge_id, query.query) == ("k1", "penguins")
    assert (query.top_k, query.score_threshold) == (top_k, threshold)


@pytest.mark.parametrize(
    ("raw", "field", "fault"),
    [
        ({"top_k": 0}, "top_k", "out_of_range"),
        ({"top_k": 101}, "top_k", "out_of_range"),
        ({"top_k": "4"}, "top_k", "invalid_type"),
        ({"score_threshold": 1.5}, "score_threshold", "out_of_range"),
        ({"score_threshold_enabled": 1}, "score_threshold_enabled", "invalid_type"),
    ],
)
def test_bad_setting_is_refused_and_named(raw: JSONObject, field: str, fault: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        load_external_model(raw)

    assert (caught.value.field, caught.value.fault) == (f"external_retrieval_model.{field}", fault)


def test_wire_form_is_taken_back() -> None:
    settings = load_external_model({"score_threshold": 0.5, "top_k": 3})

    assert load_external_model(settings.to_wire()) == settings
