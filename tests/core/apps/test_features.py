"""Features of workflows: what is none is named, what is not said has a default."""

import pytest

from api.core.apps.features import read_features
from api.core.ports import JSONValue
from api.errors import InvalidRequest


@pytest.mark.parametrize(
    ("features", "field"),
    [
        ([], "features"),
        ({"opening_statement": 1}, "features.opening_statement"),
        ({"suggested_questions": "why"}, "features.suggested_questions"),
        ({"retriever_resource": {"enabled": "yes"}}, "features.retriever_resource.enabled"),
        ({"file_upload": {"number_limits": -1}}, "features.file_upload.number_limits"),
        ({"file_upload": {"image": {"detail": "x"}}}, "features.file_upload.image.detail"),
        (
            {"file_upload": {"image": {"transfer_methods": ["fax"]}}},
            "features.file_upload.image.transfer_methods.0",
        ),
    ],
)
def test_bad_feature_is_named(features: JSONValue, field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_features(features)

    assert caught.value.field == field


def test_features_may_be_absent_null_or_new() -> None:
    assert read_features(None) == read_features({})
    assert read_features({"file_upload": None}) == read_features({})
    assert read_features({"holograms": {"enabled": 3}}).file_upload == read_features({}).file_upload
    assert read_features({"text_to_speech": {"enabled": True, "autoPlay": "enabled"}}).text_to_speech.enabled
