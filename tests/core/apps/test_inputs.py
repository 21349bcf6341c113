"""What end users fill in, against the app's form."""

import pytest

from api.core.apps.config import FormItem
from api.core.apps.inputs import check_inputs
from api.core.ports import JSONValue
from api.errors import InvalidRequest


def item(kind: str, **values: object) -> FormItem:
    return FormItem.model_validate({"kind": kind, "variable": "v", "label": "v", **values})


@pytest.mark.parametrize(
    ("field", "given", "expected"),
    [
        (item("text-input"), "hello", "hello"),
        (item("paragraph", default="d"), None, "d"),
        (item("select", options=["a", "b"]), "b", "b"),
        (item("select", options=["a", "b"]), "", ""),
        (item("number"), 3, 3),
        (item("number"), 2.5, 2.5),
        (item("number"), "42", 42),
        (item("number"), "4.5", 4.5),
        (item("number"), "  ", None),
        (item("checkbox"), True, True),
        (item("checkbox"), "off", False),
        (item("checkbox"), 1, True),
        (item("json_object"), {"a": 1}, {"a": 1}),
        (item("file"), {"type": "image"}, {"type": "image"}),
        (item("file-list", max_length=2), [{}, {}], [{}, {}]),
    ],
)
def test_inputs_accept_what_the_form_allows(field: FormItem, given: JSONValue, expected: JSONValue) -> None:
    assert check_inputs((field,), {"v": given}) == {"v": expected}


@pytest.mark.parametrize(
    ("field", "given", "sentence"),
    [
        (item("text-input", required=True), None, "v is required in input form"),
        (item("file", required=True), {}, "v is required in input form"),
        (item("file-list", required=True), [], "v is required in input form"),
        (item("number"), 2**63, "v in input form must be a valid number"),
        (item("number"), "9" * 30, "v in input form must be a valid number"),
        (item("number"), "9" * 5000, "v in input form must be a valid number"),
        (item("text-input"), 5, "(type 'text-input') v in input form must be a string"),
        (item("text-input", max_length=2), "abc", "v in input form must be less than 2 characters"),
        (item("select", options=["a"]), "b", "v in input form must be one of the following: ['a']"),
        (item("number"), "abc", "v in input form must be a valid number"),
        (item("number"), True, "v in input form must be a valid number"),
        (item("number"), "1e999", "v in input form must be a valid number"),
        (item("checkbox"), "perhaps", "v in input form must be true or false"),
        (item("json_object"), [1], "v in input form must be a dict"),
        (item("file"), "x", "v in input form must be a file"),
        (item("file-list"), [1], "v in input form must be a list of files"),
        (item("file-list", max_length=1), [{}, {}], "v in input form must be less than 1 files"),
        (item("text-input"), {"a": 1}, "Invalid input type for ['v']"),
    ],
)
def test_inputs_name_what_is_wrong(field: FormItem, given: JSONValue, sentence: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_inputs((field,), {"v": given})

    assert caught.value.message == sentence
    assert caught.value.field == "v"


def test_inputs_drop_unknown_keys_and_fill_from_the_conversation() -> None:
    form = (item("text-input", required=True),)

    assert check_inputs(form, {"other": 1}, {"v": "first", "gone": 2}) == {"v": "first"}
