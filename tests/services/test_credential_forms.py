"""Credential forms: what is kept of what was sent, and what is shown of what is kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.core.model_runtime.types import CredentialField
from api.core.ports import JSONObject
from api.errors import InvalidRequest
from api.services.credential_forms import HIDDEN, mask, mask_form, read_form

KEY = CredentialField(variable="key", label="Key", label_zh="密钥", type="secret-input", is_required=True)
URL = CredentialField(variable="url", label="URL", label_zh="地址")
SIZE = CredentialField(
    variable="size", label="Size", label_zh="大小", type="select", options=("s", "l"), default="s"
)
FORM = (KEY, URL, SIZE)


@given(st.text(min_size=1, max_size=200))
def test_mask_shows_at_most_eight_characters_of_a_secret(secret: str) -> None:
    shown = mask(secret)

    assert len(shown) == 20
    assert shown == "*" * 20 or shown == secret[:6] + "*" * 12 + secret[-2:]
    assert len(secret) > 8 or shown == "*" * 20


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ({"key": "k"}, {"key": "k", "size": "s"}),
        ({"key": " k\n", "url": " u ", "size": "l"}, {"key": "k", "url": "u", "size": "l"}),
        ({"key": "k", "url": None, "size": ""}, {"key": "k", "size": "s"}),
        ({"key": "k", "tenant_id": "x", "is_admin": True}, {"key": "k", "size": "s"}),
        ({"key": HIDDEN}, {"key": "stored-secret-1", "size": "s"}),
        ({"key": mask("stored-secret-1")}, {"key": "stored-secret-1", "size": "s"}),
        ({"key": mask("another-secret-2")}, {"key": mask("another-secret-2"), "size": "s"}),
    ],
)
def test_form_keeps_what_it_knows(sent: JSONObject, kept: dict[str, str]) -> None:
    assert read_form(FORM, sent, {"key": "stored-secret-1", "url": "old"}) == kept


@pytest.mark.parametrize(
    ("sent", "field", "fault"),
    [
        ({}, "credentials.key", "required"),
        ({"key": "  "}, "credentials.key", "required"),
        ({"key": HIDDEN}, "credentials.key", "required"),
        ({"key": 5}, "credentials.key", "invalid_type"),
        ({"key": ["k"]}, "credentials.key", "invalid_type"),
        ({"key": "k" * 16_385}, "credentials.key", "too_long"),
        ({"key": "k", "url": {"a": 1}}, "credentials.url", "invalid_type"),
        ({"key": "k", "size": "xl"}, "credentials.size", "invalid_choice"),
    ],
)
def test_form_with_a_fault_names_the_field(sent: JSONObject, field: str, fault: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_form(FORM, sent, {})

    assert (refused.value.field, refused.value.fault) == (field, fault)
    assert "k" * 100 not in refused.value.message


def test_form_is_shown_with_secrets_masked_and_nothing_it_does_not_know() -> None:
    stored = {"key": "stored-secret-1", "url": "u", "left_over": "from an older form"}

    assert mask_form(FORM, stored) == {"key": mask("stored-secret-1"), "url": "u"}


def test_stored_secret_does_not_follow_a_new_address() -> None:
    form = (KEY, CredentialField(variable="url", label="URL", label_zh="地址", is_address=True))
    stored = {"key": "stored-secret-1", "url": "https://old.example"}

    kept = read_form(form, {"key": HIDDEN, "url": "https://old.example"}, stored)
    renewed = read_form(form, {"key": "given-anew-22", "url": "https://new.example"}, stored)
    with pytest.raises(InvalidRequest) as refused:
        read_form(form, {"key": mask("stored-secret-1"), "url": "https://new.example"}, stored)

    assert kept == stored
    assert renewed == {"key": "given-anew-22", "url": "https://new.example"}
    assert refused.value.field == "credentials.key"
