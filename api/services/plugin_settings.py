"""Who of a workspace may install plugins, and how they are upgraded there: never unasked, here."""

from dataclasses import asdict, dataclass
from typing import Literal

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from api.core.ports import JSONObject
from api.errors import BadRequest, Forbidden
from api.models.account import Tenant
from api.principal import Principal, Role
from api.runtime import Runtime

Who = Literal["everyone", "admins", "noone"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """Who may install plugins, and who may debug them, for which there is no way in here."""

    install_permission: Who = "admins"
    debug_permission: Who = "noone"


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoUpgrade:
    """How plugins are upgraded unasked, in the words of the console."""

    strategy_setting: Literal["disabled", "fix_only", "latest"] = "disabled"
    upgrade_time_of_day: int = 0
    upgrade_mode: Literal["all", "partial", "exclude"] = "all"
    exclude_plugins: tuple[str, ...] = ()
    include_plugins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """All that a workspace sets for its plugins."""

    permission: Permission = Permission()
    auto_upgrade: AutoUpgrade = AutoUpgrade()


def load_preferences(session: Session, tenant_id: str) -> Preferences:
    """Return what a workspace has set."""
    stored: JSONObject | None = session.scalars(
        select(Tenant.plugin_settings).where(Tenant.id == tenant_id)
    ).one()
    if stored is None:
        return Preferences()
    return Preferences(
        permission=Permission(**stored["permission"]),  # type: ignore[arg-type]  # as it was stored
        auto_upgrade=AutoUpgrade(**stored["auto_upgrade"]),  # type: ignore[arg-type]  # as it was stored
    )


def save_permission(session: Session, principal: Principal, permission: Permission) -> None:
    """Set who may install plugins; the rest stays."""
    known = load_preferences(session, principal.tenant_id)
    save_preferences(session, principal, Preferences(permission=permission, auto_upgrade=known.auto_upgrade))


def save_preferences(session: Session, principal: Principal, preferences: Preferences) -> None:
    """Set all of it. Raises BadRequest for upgrades that nobody asks for, which are not made here."""
    if preferences.auto_upgrade.strategy_setting != "disabled":
        raise BadRequest("Plugins are upgraded by hand on this server; strategy_setting must be disabled.")
    session.execute(
        update(Tenant).where(Tenant.id == principal.tenant_id).values(plugin_settings=asdict(preferences))
    )


def check_may_install(runtime: Runtime, principal: Principal) -> None:
    """Raise Forbidden unless the workspace lets a member install, change and remove plugins."""
    with runtime.reading() as session:
        who = load_preferences(session, principal.tenant_id).permission.install_permission
    if who == "noone":
        raise Forbidden("Nobody may install plugins in this workspace.")
    if who == "admins" and principal.role < Role.ADMIN:
        raise Forbidden("Only administrators may install plugins in this workspace.")
