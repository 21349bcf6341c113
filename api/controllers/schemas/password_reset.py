"""A code by mail: for a new password, or to sign in with."""

from dataclasses import dataclass

from api.controllers.http.parsing import Text, json_field, parser
from api.controllers.schemas.account import LANGUAGE
from api.controllers.schemas.auth import EMAIL
from api.controllers.schemas.member import TOKEN_MAX

TOKEN = Text(min_length=1, max_length=TOKEN_MAX)

FORGOTTEN = parser(json_field("email", EMAIL, required=True), json_field("language", LANGUAGE, nullable=True))
RESET_CODE = parser(
    json_field("email", EMAIL, required=True),
    json_field("code", Text(min_length=1, max_length=16), required=True),
    json_field("token", TOKEN, required=True),
)
CODE_LOGIN = parser(
    json_field("email", EMAIL, required=True),
    json_field("code", Text(min_length=1, max_length=16), required=True),
    json_field("token", TOKEN, required=True),
    json_field("language", LANGUAGE, nullable=True),
)
NEW_PASSWORD = parser(
    json_field("token", TOKEN, required=True),
    json_field("new_password", Text(), required=True),
    json_field("password_confirm", Text(), required=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgottenIn:
    """Whose password is forgotten. The mail is in the account's own language, whatever ``language`` says."""

    email: str
    language: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetCodeIn:
    """The code that was sent, the token it goes with, and to whom it was sent."""

    email: str
    code: str
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeLoginIn(ResetCodeIn):
    """The same to sign in with; ``language`` is known and changes nothing."""

    language: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPasswordIn:
    """The token of a confirmed code, and the new password twice."""

    token: str
    new_password: str
    password_confirm: str
