"""What the console asks before anybody signs in: is the server there, what can it do, is it current."""

from dataclasses import dataclass

from flask_restx import fields

from api.controllers.http.model import Model
from api.controllers.http.parsing import Text, parser, query_field
from api.core.plugins.package import MAX_PACKAGE_BYTES
from api.core.ports import JSONObject

VERSION = parser(query_field("current_version", Text(min_length=1, max_length=64), required=True))

PONG = Model("Pong", {"result": fields.String(example="pong")})
VERSION_OUT = Model(
    "Version",
    {
        "version": fields.String,
        "release_date": fields.String,
        "release_notes": fields.String,
        "can_auto_update": fields.Boolean,
        "features": fields.Raw,
    },
)
SYSTEM_FEATURES = Model(
    "SystemFeatures",
    {
        "sso_enforced_for_signin": fields.Boolean,
        "sso_enforced_for_signin_protocol": fields.String,
        "enable_marketplace": fields.Boolean,
        "max_plugin_package_size": fields.Integer(description="Bytes."),
        "enable_email_code_login": fields.Boolean,
        "enable_email_password_login": fields.Boolean,
        "enable_social_oauth_login": fields.Boolean,
        "is_allow_register": fields.Boolean,
        "is_allow_create_workspace": fields.Boolean,
        "is_email_setup": fields.Boolean,
        "license": fields.Raw,
        "branding": fields.Raw,
        "webapp_auth": fields.Raw,
        "plugin_installation_permission": fields.Raw,
        "enable_change_email": fields.Boolean,
        "plugin_manager": fields.Raw,
        "trial_models": fields.List(fields.String),
        "enable_trial_app": fields.Boolean,
        "enable_explore_banner": fields.Boolean,
    },
)


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionIn:
    """The version the asking console was built as."""

    current_version: str


def render_pong() -> JSONObject:
    """Return that the server is there."""
    return {"result": "pong"}


def render_version(current_version: str) -> JSONObject:
    """Return that the asking version is current: this program asks no one on the network for a newer one."""
    return {
        "version": current_version,
        "release_date": "",
        "release_notes": "",
        "can_auto_update": False,
        "features": {"can_replace_logo": False, "model_load_balancing_enabled": False},
    }


def render_system_features(*, has_mail: bool) -> JSONObject:
    """Return what this installation offers; no marketplace, so that a console makes no call to one."""
    return {
        "sso_enforced_for_signin": False,
        "sso_enforced_for_signin_protocol": "",
        "enable_marketplace": False,
        "max_plugin_package_size": MAX_PACKAGE_BYTES,
        "enable_email_code_login": has_mail,
        "enable_email_password_login": True,
        "enable_social_oauth_login": False,
        "is_allow_register": False,
        "is_allow_create_workspace": False,
        "is_email_setup": has_mail,
        "license": {
            "status": "none",
            "expired_at": "",
            "workspaces": {"enabled": False, "size": 0, "limit": 0},
        },
        "branding": {
            "enabled": False,
            "application_title": "",
            "login_page_logo": "",
            "workspace_logo": "",
            "favicon": "",
        },
        "webapp_auth": {
            "enabled": False,
            "allow_sso": False,
            "sso_config": {"protocol": ""},
            "allow_email_code_login": False,
            "allow_email_password_login": False,
        },
        "plugin_installation_permission": {
            "plugin_installation_scope": "all",
            "restrict_to_marketplace_only": False,
        },
        "enable_change_email": has_mail,
        "plugin_manager": {"enabled": False},
        "trial_models": [],
        "enable_trial_app": False,
        "enable_explore_banner": False,
    }
