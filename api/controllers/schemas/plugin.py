"""Plugins on the wire: as the specification lists and installs them, and as Dify's console does."""

from collections.abc import Sequence
from dataclasses import dataclass

from flask_restx import fields
from werkzeug.datastructures import FileStorage

from api.controllers.http.model import Model
from api.controllers.http.parsing import Choice, Field, Integer, Items, Text, json_field, parser, query_field
from api.controllers.schemas.fields import AnyValue, to_iso, to_unix
from api.core.plugins.declarations import Localized
from api.core.plugins.manifest import Manifest
from api.core.plugins.package import PluginName
from api.core.ports import JSONObject, JSONValue
from api.services.plugin_code import ICON_PATH, icon_name
from api.services.plugins import Installed, Offer

CATEGORIES = ("tool", "model", "agent-strategy", "extension", "datasource", "trigger")
MAX_PAGE_SIZE = 256
SOURCE = "package"


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginListIn:
    """Which page of the plugins, and which of them."""

    page: int
    page_size: int
    category: str | None = None
    search: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginIn:
    """Which package is meant."""

    plugin_unique_identifier: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginsIn:
    """Which packages are meant."""

    plugin_unique_identifiers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginChangeIn:
    """Which package comes in the place of which."""

    original_plugin_unique_identifier: str
    new_plugin_unique_identifier: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallationIn:
    """Which installed plugin is meant."""

    plugin_installation_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallIdIn:
    """The same, as the specification calls it."""

    install_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginIdsIn:
    """Which plugins are meant, whatever their version."""

    plugin_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class IconIn:
    """Which picture is meant."""

    tenant_id: str
    filename: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetIn(PluginIn):
    """Which picture of a package is meant."""

    file_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadmeIn(PluginIn):
    """Which package's words are meant."""

    language: str = "en_US"


def _page_fields() -> tuple[Field, Field]:
    page = Integer(minimum=1, maximum=99_999, is_text=True)
    size = Integer(minimum=1, maximum=MAX_PAGE_SIZE, is_text=True)
    return (
        Field("page", type=page, location="args", default=1),
        Field("page_size", type=size, location="args", default=20),
    )


IDENTIFIER = Text(max_length=255, needs_content=True)
ID_HELP = "author/name:version@sha256"
PLUGIN_PAGE = parser(*_page_fields())
PLUGIN_LIST = parser(
    *_page_fields(),
    query_field("category", Choice(CATEGORIES)),
    query_field("search", Text(max_length=100), help="In name, description and author."),
)
PLUGIN_CHOICE = parser(json_field("plugin_unique_identifier", IDENTIFIER, required=True, help=ID_HELP))
PLUGIN_QUERY = parser(query_field("plugin_unique_identifier", IDENTIFIER, required=True, help=ID_HELP))
PLUGIN_CHOICES = parser(
    json_field("plugin_unique_identifiers", Items(item=IDENTIFIER, min_items=1, max_items=20), required=True)
)
PLUGIN_CHANGE = parser(
    json_field("original_plugin_unique_identifier", IDENTIFIER, required=True, help=ID_HELP),
    json_field("new_plugin_unique_identifier", IDENTIFIER, required=True, help=ID_HELP),
)
INSTALL_ID = parser(json_field("install_id", Text(max_length=255), required=True))
INSTALLATION_ID = parser(json_field("plugin_installation_id", Text(max_length=255), required=True))
PLUGIN_IDS = parser(
    json_field("plugin_ids", Items(item=Text(max_length=255), max_items=MAX_PAGE_SIZE), required=True)
)
ICON_QUERY = parser(
    query_field("tenant_id", Text(max_length=36), required=True),
    query_field("filename", Text(max_length=100), required=True),
)
ASSET_QUERY = parser(
    query_field("plugin_unique_identifier", IDENTIFIER, required=True, help=ID_HELP),
    query_field("file_name", Text(min_length=1, max_length=255), required=True),
)
README_QUERY = parser(
    query_field("plugin_unique_identifier", IDENTIFIER, required=True, help=ID_HELP),
    query_field("language", Text(min_length=1, max_length=20), help="en_US if absent."),
)
PACKAGE_FORM = parser(
    Field("pkg", type=FileStorage, location="files", required=True, help="The package, at most 15 MB.")
)

PLUGIN_MODEL = Model(
    "Plugin",
    {
        "plugin_id": fields.String(example="slipway/tables"),
        "plugin_unique_identifier": fields.String(description=ID_HELP),
        "name": fields.String,
        "description": fields.String,
        "version": fields.String,
        "author": fields.String,
        "icon": fields.String(description="An address."),
        "category": fields.String(enum=CATEGORIES),
        "tags": fields.List(fields.String),
        "verified": fields.Boolean,
        "install_count": fields.Integer(description="In this workspace."),
        "installed": fields.Boolean,
        "latest_version": fields.String,
        "current_version": AnyValue(description="The installed version; null where none is."),
    },
)
PLUGIN_LIST_MODEL = Model(
    "PluginList",
    {
        "plugins": fields.List(fields.Nested(PLUGIN_MODEL)),
        "total": fields.Integer,
        "page": fields.Integer,
        "page_size": fields.Integer,
        "has_more": fields.Boolean,
    },
)
INSTALLED_MODEL = Model(
    "InstalledPlugin",
    {
        "install_id": fields.String,
        "plugin_id": fields.String,
        "tenant_id": fields.String,
        "installed_at": fields.Integer,
        "plugin_unique_identifier": fields.String,
        "name": fields.String,
        "version": fields.String,
        "source": fields.String(enum=[SOURCE]),
    },
)
INSTALL_MODEL = Model(
    "PluginInstalled", {"result": fields.String(example="success"), "plugin": fields.Nested(INSTALLED_MODEL)}
)
MODELS = (PLUGIN_MODEL, PLUGIN_LIST_MODEL, INSTALLED_MODEL, INSTALL_MODEL)


def render_offers(
    found: Sequence[Offer], asked: PluginListIn, tenant_id: str, language: str, base_url: str
) -> JSONObject:
    """Return a page of the plugins, in the language of whoever asks."""
    start = (asked.page - 1) * asked.page_size
    page = found[start : start + asked.page_size]
    return {
        "plugins": [_offer(each, tenant_id, language, base_url) for each in page],
        "total": len(found),
        "page": asked.page,
        "page_size": asked.page_size,
        "has_more": start + asked.page_size < len(found),
    }


def render_install(found: Installed) -> JSONObject:
    """Return what was installed."""
    return {
        "result": "success",
        "plugin": {
            "install_id": found.id,
            "plugin_id": found.name.plugin_id,
            "tenant_id": found.tenant_id,
            "installed_at": to_unix(found.installed_at),
            "plugin_unique_identifier": str(found.name),
            "name": found.manifest.name,
            "version": found.name.version,
            "source": SOURCE,
        },
    }


def render_installed(found: Sequence[Installed], base_url: str) -> list[JSONValue]:
    """Return installed plugins in Dify's form."""
    return [_installed(each, base_url) for each in found]


def render_declaration(name: PluginName, manifest: Manifest, *, icon: str, is_verified: bool) -> JSONObject:
    """Return what a plugin says of itself in Dify's form; of its tools and models, who brings them."""
    tools: list[JSONValue] = [each.model_dump(mode="json") for each in manifest.providers]
    models: list[JSONValue] = [each.model_dump(mode="json") for each in manifest.models]
    names: JSONObject = {
        "tools": [each.identity.name for each in manifest.providers],
        "models": [each.provider for each in manifest.models],
    }
    return {
        "plugin_unique_identifier": str(name),
        "version": manifest.version,
        "author": manifest.author,
        "icon": icon,
        "name": manifest.name,
        "category": manifest.categories[0],
        "label": manifest.label.words().to_json(),
        "description": manifest.description.words().to_json(),
        "created_at": manifest.created_at,
        "resource": manifest.resource.model_dump(mode="json"),
        "plugins": {kind: each for kind, each in names.items() if each},
        "verified": is_verified,
        "endpoint": None,
        "model": models[0] if models else None,
        "tool": tools[0] if tools else None,
        "agent_strategy": None,
        "tags": [*manifest.tags],
        "meta": {"version": manifest.version},
    }


def render_upload(found: Installed, base_url: str) -> JSONObject:
    """Return a package that was taken, with what its plugin says of itself."""
    return {
        "unique_identifier": str(found.name),
        "manifest": render_declaration(
            found.name,
            found.manifest,
            icon=icon_url(found.manifest, found.tenant_id, found.name.digest, base_url),
            is_verified=found.is_verified,
        ),
    }


def render_manifest(found: Offer, tenant_id: str, base_url: str) -> JSONObject:
    """Return what a plugin that may be installed says of itself."""
    icon = icon_url(found.manifest, tenant_id, found.name.digest, base_url) if found.has_icon else ""
    return {
        "manifest": render_declaration(found.name, found.manifest, icon=icon, is_verified=found.is_verified)
    }


def render_versions(asked: Sequence[str], found: Sequence[Offer]) -> JSONObject:
    """Return the newest versions of plugins by their ids; null for one that is not known."""
    known = {each.name.plugin_id: each for each in found}
    versions: JSONObject = dict.fromkeys(asked)
    for plugin_id, offer in known.items():
        versions[plugin_id] = {
            "plugin_id": plugin_id,
            "version": offer.name.version,
            "unique_identifier": str(offer.name),
            "status": "active",
            "deprecated_reason": "",
            "alternative_plugin_id": "",
        }
    return {"versions": versions}


def icon_url(manifest: Manifest, tenant_id: str, digest: str, base_url: str) -> str:
    """Return where the picture of a plugin is, empty where it has none."""
    name = icon_name(manifest, digest)
    return f"{base_url}{ICON_PATH}?tenant_id={tenant_id}&filename={name}" if name else ""


def _offer(offer: Offer, tenant_id: str, language: str, base_url: str) -> JSONObject:
    manifest = offer.manifest
    return {
        "plugin_id": offer.name.plugin_id,
        "plugin_unique_identifier": str(offer.name),
        "name": _in_language(manifest.label, language),
        "description": _in_language(manifest.description, language),
        "version": offer.name.version,
        "author": manifest.author,
        "icon": icon_url(manifest, tenant_id, offer.name.digest, base_url) if offer.has_icon else "",
        "category": manifest.categories[0],
        "tags": [*manifest.tags],
        "verified": offer.is_verified,
        "install_count": int(offer.installed_version is not None),
        "installed": offer.installed_version is not None,
        "latest_version": offer.name.version,
        "current_version": offer.installed_version,
    }


def _installed(found: Installed, base_url: str) -> JSONObject:
    icon = icon_url(found.manifest, found.tenant_id, found.name.digest, base_url)
    return {
        "id": found.id,
        "created_at": to_iso(found.created_at),
        "updated_at": to_iso(found.installed_at or found.created_at),
        "name": found.manifest.name,
        "plugin_id": found.name.plugin_id,
        "plugin_unique_identifier": str(found.name),
        "declaration": render_declaration(
            found.name, found.manifest, icon=icon, is_verified=found.is_verified
        ),
        "installation_id": found.id,
        "tenant_id": found.tenant_id,
        "endpoints_setups": 0,
        "endpoints_active": 0,
        "runtime_type": "local",
        "version": found.name.version,
        "latest_version": found.latest.version,
        "latest_unique_identifier": str(found.latest),
        "source": SOURCE,
        "meta": {},
        "status": "active",
        "deprecated_reason": "",
        "alternative_plugin_id": "",
    }


def _in_language(text: Localized, language: str) -> str:
    return (language.startswith("zh") and text.zh_Hans) or text.en_US
