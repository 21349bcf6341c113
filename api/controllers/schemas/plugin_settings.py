"""What a workspace sets for its plugins, on the wire."""

from dataclasses import asdict, dataclass

from api.controllers.http.parsing import Choice, Integer, Items, Object, Text, json_field, parser
from api.core.ports import JSONObject
from api.services.plugin_settings import AutoUpgrade, Permission, Preferences

WHO = Choice(("everyone", "admins", "noone"))
STRATEGY = Choice(("disabled", "fix_only", "latest"))
MODE = Choice(("all", "partial", "exclude"))
SECOND_OF_DAY = Integer(minimum=0, maximum=86_399)
NAMES = Items(item=Text(max_length=255), max_items=200)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreferencesIn:
    """All that is set."""

    permission: Permission
    auto_upgrade: AutoUpgrade

    def to_preferences(self) -> Preferences:
        """Return it as it is kept."""
        return Preferences(permission=self.permission, auto_upgrade=self.auto_upgrade)


def _permission(value: object) -> Permission:
    """Return who may do what; what is left out is as at first."""
    sent, first = Object()(value), Permission()
    return Permission(
        install_permission=WHO(sent.get("install_permission", first.install_permission)),  # type: ignore[arg-type]  # one of the words
        debug_permission=WHO(sent.get("debug_permission", first.debug_permission)),  # type: ignore[arg-type]  # one of the words
    )


def _auto_upgrade(value: object) -> AutoUpgrade:
    """Return how plugins are upgraded; what is left out is as at first."""
    sent, first = Object()(value), AutoUpgrade()
    return AutoUpgrade(
        strategy_setting=STRATEGY(sent.get("strategy_setting", first.strategy_setting)),  # type: ignore[arg-type]  # one of the words
        upgrade_time_of_day=SECOND_OF_DAY(sent.get("upgrade_time_of_day", first.upgrade_time_of_day)),
        upgrade_mode=MODE(sent.get("upgrade_mode", first.upgrade_mode)),  # type: ignore[arg-type]  # one of the words
        exclude_plugins=tuple(map(str, NAMES(sent.get("exclude_plugins", [])))),
        include_plugins=tuple(map(str, NAMES(sent.get("include_plugins", [])))),
    )


_permission.__schema__ = Object().__schema__  # type: ignore[attr-defined]  # read by restx
_auto_upgrade.__schema__ = Object().__schema__  # type: ignore[attr-defined]  # read by restx

PERMISSION = parser(
    json_field("install_permission", WHO, required=True),
    json_field("debug_permission", WHO, required=True),
)
PREFERENCES = parser(
    json_field("permission", _permission, required=True),
    json_field("auto_upgrade", _auto_upgrade, required=True),
)


def render_permission(permission: Permission) -> JSONObject:
    """Return who may install plugins, and who may debug them."""
    return asdict(permission)


def render_preferences(preferences: Preferences) -> JSONObject:
    """Return all that is set."""
    return asdict(preferences)
