"""The first start: whether there is an owner, and who it shall be."""

from dataclasses import dataclass
from datetime import datetime

from flask_restx import fields

from api.controllers.http.model import Model
from api.controllers.http.parsing import Text, json_field, parser
from api.controllers.schemas.account import LANGUAGE, PERSON_NAME_MAX
from api.controllers.schemas.auth import EMAIL
from api.core.ports import JSONObject

SETUP = parser(
    json_field("email", EMAIL, required=True),
    json_field("name", Text(min_length=1, max_length=PERSON_NAME_MAX, is_trimmed=True), required=True),
    json_field("password", Text(), required=True),
    json_field("language", LANGUAGE),
)
INIT = parser(json_field("password", Text(max_length=30), required=True))

SETUP_STATE = Model(
    "SetupState",
    {
        "step": fields.String(enum=["not_started", "finished"]),
        "setup_at": fields.DateTime(nullable=True, description="When the owner was made; null before that."),
    },
)
INIT_STATE = Model("InitState", {"status": fields.String(enum=["not_started", "finished"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupIn:
    """The owner to be made."""

    email: str
    name: str
    password: str
    language: str = "en-US"


@dataclass(frozen=True, slots=True, kw_only=True)
class InitIn:
    """The password that guards the first start; this program sets none."""

    password: str


def render_setup(setup_at: datetime | None) -> JSONObject:
    """Return whether the installation has an owner."""
    if setup_at is None:
        return {"step": "not_started", "setup_at": None}
    return {"step": "finished", "setup_at": setup_at.isoformat()}


def render_init() -> JSONObject:
    """Return that nothing guards the first start."""
    return {"status": "finished"}
