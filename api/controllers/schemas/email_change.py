"""Another e-mail address for an account, and its deletion: the steps, each with a code sent by mail."""

from dataclasses import dataclass

from api.controllers.http.parsing import Choice, Text, json_field, parser
from api.controllers.schemas.account import LANGUAGE
from api.controllers.schemas.auth import EMAIL
from api.controllers.schemas.password_reset import TOKEN

NEW_PHASE = "new_email"

CHANGE = parser(
    json_field("email", EMAIL, required=True),
    json_field("phase", Choice(("old_email", NEW_PHASE)), nullable=True),
    json_field("token", TOKEN, nullable=True),
    json_field("language", LANGUAGE, nullable=True),
)
ADDRESS = parser(json_field("email", EMAIL, required=True))
NEW_ADDRESS = parser(
    json_field("new_email", EMAIL, required=True),
    json_field("token", TOKEN, required=True),
)
FEEDBACK = parser(
    json_field("email", EMAIL, required=True),
    json_field("feedback", Text(max_length=1000), required=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeIn:
    """The address to send a code to: the present one, or the new one with the token of the present one."""

    email: str
    phase: str | None = None
    token: str | None = None
    language: str | None = None

    @property
    def is_new(self) -> bool:
        """Tell whether the new address is meant."""
        return self.phase == NEW_PHASE


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressIn:
    """An e-mail address."""

    email: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAddressIn:
    """The new address, and the token of the code that was sent to it and confirmed."""

    new_email: str
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackIn:
    """Why somebody left."""

    email: str
    feedback: str
