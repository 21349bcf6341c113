"""A person's own account: their profile and the settings they may change."""

from dataclasses import dataclass

from flask_restx import fields

from api.controllers.http.model import Model
from api.controllers.http.parsing import Choice, Text, json_field, parser, query_field
from api.controllers.schemas.fields import to_unix
from api.core.ports import JSONObject
from api.services.accounts import Profile

PERSON_NAME_MAX = 30
LANGUAGE = Choice(
    (
        "en-US",
        "zh-Hans",
        "zh-Hant",
        "pt-BR",
        "es-ES",
        "fr-FR",
        "de-DE",
        "ja-JP",
        "ko-KR",
        "ru-RU",
        "it-IT",
        "uk-UA",
        "vi-VN",
        "ro-RO",
        "pl-PL",
        "hi-IN",
        "tr-TR",
        "fa-IR",
        "sl-SI",
        "th-TH",
        "id-ID",
        "ar-TN",
        "nl-NL",
    )
)

NAME = parser(
    json_field("name", Text(min_length=3, max_length=PERSON_NAME_MAX, is_trimmed=True), required=True)
)
INTERFACE_LANGUAGE = parser(json_field("interface_language", LANGUAGE, required=True))
INTERFACE_THEME = parser(json_field("interface_theme", Choice(("light", "dark")), required=True))
AVATAR = parser(json_field("avatar", Text(max_length=2048, is_trimmed=True), required=True))
AVATAR_QUERY = parser(query_field("avatar", Text(min_length=1, max_length=2048), required=True))
INITIAL = parser(
    json_field("interface_language", LANGUAGE, required=True),
    json_field("timezone", Text(min_length=1, max_length=64), required=True),
    json_field("invitation_code", Text(max_length=256), nullable=True),
)
TIMEZONE = parser(json_field("timezone", Text(min_length=1, max_length=64), required=True))
PASSWORD = parser(
    json_field("password", Text(max_length=256), nullable=True),
    json_field("new_password", Text(), required=True),
    json_field("repeat_new_password", Text(), required=True),
)

ACCOUNT = Model(
    "Account",
    {
        "id": fields.String,
        "name": fields.String,
        "email": fields.String,
        "avatar": fields.String(nullable=True),
        "avatar_url": fields.String(nullable=True),
        "is_password_set": fields.Boolean,
        "interface_language": fields.String(example="en-US"),
        "interface_theme": fields.String(enum=["light", "dark"]),
        "timezone": fields.String(example="America/New_York"),
        "last_login_at": fields.Integer(description="Unix seconds.", nullable=True),
        "last_login_ip": fields.String(nullable=True),
        "created_at": fields.Integer(description="Unix seconds."),
    },
)


AVATAR_URL = Model("AvatarURL", {"avatar_url": fields.String})
INTEGRATES = Model("Integrates", {"data": fields.List(fields.Raw)})


@dataclass(frozen=True, slots=True, kw_only=True)
class AvatarIn:
    """The picture others see; empty for none."""

    avatar: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InitialIn:
    """What an account that is not initialised would still have to say."""

    interface_language: str
    timezone: str
    invitation_code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NameIn:
    """The name others see, 3 to 30 characters."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InterfaceLanguageIn:
    """The language of the console."""

    interface_language: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InterfaceThemeIn:
    """The colours of the console."""

    interface_theme: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TimezoneIn:
    """A time zone by its IANA name."""

    timezone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordIn:
    """The password now, where one is set, and the new one twice."""

    password: str | None = None
    new_password: str
    repeat_new_password: str


def render_account(profile: Profile) -> JSONObject:
    """Return an account as its own person sees it."""
    return {
        "id": profile.id,
        "name": profile.name,
        "email": profile.email,
        "avatar": profile.avatar,
        "avatar_url": profile.avatar_url,
        "is_password_set": profile.is_password_set,
        "interface_language": profile.interface_language,
        "interface_theme": profile.interface_theme,
        "timezone": profile.timezone,
        "last_login_at": to_unix(profile.last_login_at),
        "last_login_ip": profile.last_login_ip,
        "created_at": to_unix(profile.created_at),
    }
