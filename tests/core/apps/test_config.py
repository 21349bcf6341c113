"""The configuration of chat and completion apps."""

import pytest

from api.core.apps.config import load_model_config
from api.core.ports import JSONObject
from api.errors import InvalidRequest

MODEL: JSONObject = {"provider": "langgenius/openai/openai", "name": "gpt-4o"}


def form(*items: JSONObject) -> JSONObject:
    return {"model": MODEL, "user_input_form": list(items)}


def test_config_knows_a_provider_by_its_long_id() -> None:
    assert load_model_config({"model": MODEL}).model.ref.provider == "openai"


def test_config_takes_null_for_what_is_not_set_and_keeps_unknown_keys() -> None:
    made = load_model_config({"model": MODEL, "pre_prompt": None, "from_the_future": {"a": 1}})

    assert made.pre_prompt == ""
    assert made.model_dump()["from_the_future"] == {"a": 1}


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        ({}, "model"),
        ({"model": {"provider": "openai"}}, "model.name"),
        ({"model": MODEL, "prompt_type": "odd"}, "prompt_type"),
        (form({"text-input": {"variable": "1a", "label": "x"}}), "user_input_form.0.variable"),
        (
            form({"select": {"variable": "a", "label": "A", "options": ["x"], "default": "y"}}),
            "user_input_form.0",
        ),
        (
            form({"paragraph": {"variable": "a", "label": "A"}}, {"number": {"variable": "a", "label": "B"}}),
            "user_input_form",
        ),
        (form({"unknown-kind": {"variable": "a", "label": "A"}}), "user_input_form.0.kind"),
        (form({"text-input": {"variable": "a"}}), "user_input_form.0.label"),
    ],
)
def test_config_names_the_key_at_fault(raw: JSONObject, field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        load_model_config(raw)

    assert caught.value.field == field


@pytest.mark.parametrize("name", ["a", "城市", "user_name", "🤖name"])
def test_variables_may_be_letters_ideographs_and_emoji(name: str) -> None:
    assert (
        load_model_config(form({"text-input": {"variable": name, "label": name}})).user_input_form[0].variable
        == name
    )
