"""Credential forms: what a client fills in, checked and completed; what it is shown, masked.

What must stay true: a secret leaves here in clear towards the vault and the
provider only.
"""

from collections.abc import Mapping, Sequence

from api.core.model_runtime.types import CredentialField
from api.core.ports import JSONObject, JSONValue
from api.errors import InvalidRequest

HIDDEN = "[__HIDDEN__]"
"""What the web console sends for a secret it was shown masked and did not change."""

MASK = "*" * 20
MAX_CHARS = 16_384


def mask(secret: str) -> str:
    """Return a secret as clients see it: six characters and the last two, or none of a short one."""
    return MASK if len(secret) <= 8 else f"{secret[:6]}{'*' * 12}{secret[-2:]}"


def mask_form(form: Sequence[CredentialField], fields: Mapping[str, str]) -> dict[str, JSONValue]:
    """Return the stored fields of a form, secrets masked; fields the form does not know are left out."""
    return {
        field.variable: mask(fields[field.variable]) if field.is_secret else fields[field.variable]
        for field in form
        if field.variable in fields
    }


def read_form(form: Sequence[CredentialField], sent: JSONObject, stored: Mapping[str, str]) -> dict[str, str]:
    """Return the fields of a filled-in form, stripped of blanks around them; unknown ones are ignored.

    A secret sent back as it was shown keeps its ``stored`` value, unless the
    address it is sent to changes: then it must be given again. Raises
    InvalidRequest naming the first field at fault.
    """
    fields = {}
    for field in form:
        value = _read_field(field, sent.get(field.variable), stored.get(field.variable))
        if value:
            fields[field.variable] = value
        elif field.is_required:
            raise InvalidRequest(f"{field.label} is required", field=_name(field), fault="required")
    addresses = [field.variable for field in form if field.is_address]
    if any(_origin(fields.get(name)) != _origin(stored.get(name)) for name in addresses):
        _check_secrets_are_given(form, sent, stored)
    return fields


def _origin(address: str | None) -> str:
    """Return whom an address speaks to: scheme, host and port; the rest of a URL is the same server."""
    return "/".join((address or "").split("/", 3)[:3])


def _check_secrets_are_given(
    form: Sequence[CredentialField], sent: JSONObject, stored: Mapping[str, str]
) -> None:
    """Raise InvalidRequest for a secret that was kept: a new address must not receive it unasked."""
    for field in form:
        if field.is_secret and _is_kept(sent.get(field.variable), stored.get(field.variable)):
            raise InvalidRequest(
                f"The address changes; give {field.label} again", field=_name(field), fault="required"
            )


def _is_kept(value: JSONValue, stored: str | None) -> bool:
    return stored is not None and value in (HIDDEN, mask(stored))


def _read_field(field: CredentialField, value: JSONValue, stored: str | None) -> str | None:
    if value is None or value == "":
        return field.default
    if not isinstance(value, str):
        raise InvalidRequest(f"{field.label} must be a string", field=_name(field), fault="invalid_type")
    if field.is_secret and (value == HIDDEN or _is_kept(value, stored)):
        return stored
    text = value.strip()
    if len(text) > MAX_CHARS:
        raise InvalidRequest(
            f"{field.label} must have at most {MAX_CHARS} characters", field=_name(field), fault="too_long"
        )
    if field.options and text not in field.options:
        raise InvalidRequest(
            f"{field.label} must be one of: {', '.join(field.options)}",
            field=_name(field),
            fault="invalid_choice",
        )
    return text


def _name(field: CredentialField) -> str:
    return f"credentials.{field.variable}"
