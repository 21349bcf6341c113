"""Servers of tools (MCP) on the wire."""

from dataclasses import dataclass

from flask_restx import fields

from api.controllers.http.model import Model
from api.controllers.http.parsing import Choice, Number, Object, Text, json_field, parser
from api.controllers.schemas.fields import to_unix
from api.controllers.schemas.tool import PROVIDER_MODEL, render_own, render_tool
from api.core.ports import JSONObject, JSONValue
from api.errors import InvalidRequest
from api.services.mcp_servers import Details, GivenServer, ServerView

ICON_TYPES = ("emoji", "image", "link")
SECONDS = Number(minimum=1, maximum=3600)
TIMEOUT_S = 30.0
READ_TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerIn:
    """A server; ``provider_id`` is the one that is to be so."""

    server_url: str
    name: str
    server_identifier: str
    icon: str = ""
    icon_type: str = "emoji"
    icon_background: str | None = None
    headers: JSONObject | None = None
    configuration: JSONObject | None = None
    authentication: JSONObject | None = None
    provider_id: str = ""

    def to_server(self) -> GivenServer:
        """Return what is to be kept. Raises InvalidRequest."""
        return GivenServer(
            url=self.server_url,
            identifier=self.server_identifier,
            headers=_with_token(self.headers, self.authentication or {}),
            details=Details(
                name=self.name,
                icon=self.icon,
                icon_type=self.icon_type,
                icon_background=self.icon_background or "",
                timeout_s=_seconds(self.configuration, "timeout", TIMEOUT_S),
                sse_read_timeout_s=_seconds(self.configuration, "sse_read_timeout", READ_TIMEOUT_S),
                is_authorized=False,
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerIdIn:
    """Which server is meant."""

    provider_id: str


def _seconds(configuration: JSONObject | None, name: str, default: float) -> float:
    value = (configuration or {}).get(name)
    if value is None:
        return default
    try:
        return SECONDS(value)
    except InvalidRequest as exc:
        field = f"configuration.{name}"
        raise InvalidRequest(exc.message.replace("The value", field), field=field, fault=exc.fault) from exc


def _with_token(headers: JSONObject | None, authentication: JSONObject) -> JSONObject | None:
    """Return the headers with the token that proves who asks, if one is given."""
    token = authentication.get("token")
    if any(authentication.get(name) for name in ("client_id", "client_secret")):
        raise InvalidRequest(
            "OAuth is not spoken with servers; give a token, or headers", field="authentication"
        )
    if token is None or token == "":
        return headers
    if not isinstance(token, str):
        raise InvalidRequest(
            "authentication.token must be a string", field="authentication.token", fault="invalid_type"
        )
    return {**(headers or {}), "Authorization": f"Bearer {token}"}


ID = Text(min_length=1, max_length=100, is_trimmed=True)
IDENTIFIER = Text(pattern=r"[a-z0-9_-]{1,24}", hint="1 to 24 of a-z, 0-9, _ and -")
FIELDS = (
    json_field("server_url", Text(min_length=1, max_length=2000, is_trimmed=True), required=True),
    json_field("name", Text(min_length=1, max_length=100, is_trimmed=True), required=True),
    json_field(
        "server_identifier", IDENTIFIER, required=True, help="What apps know it by; once in a workspace."
    ),
    json_field("icon", Text(max_length=1000)),
    json_field("icon_type", Choice(ICON_TYPES)),
    json_field("icon_background", Text(max_length=50), nullable=True),
    json_field(
        "headers", Object(), nullable=True, help="Sent with every call; a masked value keeps its own."
    ),
    json_field("configuration", Object(), nullable=True, help="{timeout, sse_read_timeout} in seconds."),
    json_field("authentication", Object(), nullable=True, help="{token}: sent as a bearer."),
)
SERVER_ID = json_field("provider_id", ID, required=True)
NEW_SERVER = parser(*FIELDS)
SERVER_CHANGE = parser(*FIELDS, SERVER_ID)
SERVER_CHOICE = parser(SERVER_ID)

SERVER_MODEL = PROVIDER_MODEL.clone(
    "MCPServer",
    {
        "server_url": fields.String(description="What follows the host is masked."),
        "server_identifier": fields.String,
        "masked_headers": fields.Raw,
        "configuration": fields.Raw(description="{timeout, sse_read_timeout} in seconds."),
        "updated_at": fields.Integer,
    },
)
MODELS: tuple[Model, ...] = (SERVER_MODEL,)


def render_server(view: ServerView) -> JSONObject:
    """Return a server, with its tools where they were asked for."""
    details = view.details
    icon: JSONValue = details["icon"]
    if details["icon_type"] == "emoji":
        icon = {"background": details["icon_background"], "content": details["icon"]}
    return {
        **render_own(view.id, details["name"], "mcp", icon),
        "is_team_authorization": details["is_authorized"],
        "tools": [render_tool(schema, (), author="") for schema in view.tools or ()],
        "server_url": view.url,
        "server_identifier": view.identifier,
        "masked_headers": {**view.headers},
        "configuration": {
            "timeout": details["timeout_s"],
            "sse_read_timeout": details["sse_read_timeout_s"],
        },
        "updated_at": to_unix(view.updated_at),
    }


def render_choice(view: ServerView) -> JSONObject:
    """Return a server as drawings choose it: its id is the identifier, which is the same everywhere."""
    return {**render_server(view), "id": view.identifier}
