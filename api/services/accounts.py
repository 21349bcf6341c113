"""Accounts: the first owner, what a person says of themselves, and their password."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import NoReturn
from zoneinfo import ZoneInfo

from sqlalchemy import update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from api.core.text.addresses import is_address
from api.errors import BadRequest, Forbidden, InvalidRequest, Unauthorized
from api.models.account import Account, Setup, Tenant
from api.principal import Principal
from api.runtime import Runtime
from api.services import files, passwords, sessions, tenants
from api.services.password_guesses import CurrentPasswordIncorrect, check_own
from api.services.sessions import Identity

LINK = re.compile(r"https?://[^\s<>\"']{1,2000}")


class AlreadySetUp(Forbidden):
    """The installation has its owner; there is never a second first one."""

    code = "already_setup"


class RepeatedPasswordDiffers(InvalidRequest):
    """The new password and its repetition differ."""

    code = "repeat_password_not_match"


class AlreadyInitialised(BadRequest):
    """The account has its language and time zone from the start."""

    code = "account_already_inited"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What an account's own person sees of it."""

    id: str
    name: str
    email: str
    avatar: str | None
    avatar_url: str | None
    is_password_set: bool
    interface_language: str
    interface_theme: str
    timezone: str
    last_login_at: datetime | None
    last_login_ip: str | None
    created_at: datetime


def normal_email(email: str) -> str:
    """Return an e-mail address as it is stored and compared: trimmed, in lower case."""
    return email.strip().lower()


def create_owner(
    runtime: Runtime, session: Session, *, email: str, name: str, password: str, language: str = "en-US"
) -> tuple[Account, Tenant]:
    """Make the installation's first account and its workspace; of parallel calls exactly one succeeds.

    ``session`` must be fresh: the password is hashed before its first
    statement. Raises InvalidRequest for a weak password and for what is no
    address, AlreadySetUp when there is an owner.
    """
    if not is_address(normal_email(email)):
        raise InvalidRequest("This is not an e-mail address.", field="email")
    passwords.check_password(password, field="password")
    password_hash = passwords.hash_password(runtime, password)
    session.add(Setup(id=1))
    try:
        session.flush()
    except IntegrityError:
        raise AlreadySetUp("The installation is already set up.") from None
    owner = Account(
        email=normal_email(email), name=name, password_hash=password_hash, interface_language=language
    )
    session.add(owner)
    session.flush()
    tenant = tenants.create_tenant(runtime, session, name=f"{name}'s Workspace", owner=owner)
    return owner, tenant


def get_profile(runtime: Runtime, session: Session, principal: Principal) -> Profile:
    """Return the caller's own profile."""
    return _to_profile(runtime, _own_account(session, principal))


def own_email(session: Session, principal: Principal) -> str:
    """Return the caller's own address; raises Unauthorized where the account was just deleted."""
    return _own_account(session, principal).email


def update_profile(
    runtime: Runtime,
    session: Session,
    principal: Principal,
    *,
    name: str | None = None,
    interface_language: str | None = None,
    interface_theme: str | None = None,
    timezone: str | None = None,
    avatar: str | None = None,
) -> Profile:
    """Change what is given of the caller's profile; an empty ``avatar`` is none.

    Raises InvalidRequest for an unknown time zone, and for an avatar that is
    neither an address nor an image uploaded to the workspace.
    """
    if timezone is not None:
        check_timezone(timezone)
    account = _own_account(session, principal)
    account.name = name or account.name
    account.interface_language = interface_language or account.interface_language
    account.interface_theme = interface_theme or account.interface_theme
    account.timezone = timezone or account.timezone
    if avatar is not None:
        account.avatar = _checked_avatar(session, principal, avatar)
    session.flush()
    return _to_profile(runtime, account)


def initialise(timezone: str) -> NoReturn:
    """Raise AlreadyInitialised: who sets up, or takes up an invitation, has said all there is to say.

    Raises InvalidRequest for an unknown time zone.
    """
    check_timezone(timezone)
    raise AlreadyInitialised("The account is initialised already.")


def find_avatar_url(runtime: Runtime, session: Session, principal: Principal, avatar: str) -> str | None:
    """Return where an avatar is seen: the caller's own, an address, or an image of the workspace.

    Raises InvalidRequest for anything else.
    """
    if avatar != _own_account(session, principal).avatar and not LINK.fullmatch(avatar):
        files.check_image(session, principal, avatar, field="avatar")
    return avatar_url(runtime, avatar)


def change_password(
    runtime: Runtime, identity: Identity, *, current: str | None, new: str, repeated: str
) -> Profile:
    """Replace the caller's password and end all their other sessions.

    The current password is asked for where one is set. Raises
    RepeatedPasswordDiffers, CurrentPasswordIncorrect, LoginLocked after many of
    those, or InvalidRequest for a weak new password.
    """
    if new != repeated:
        raise RepeatedPasswordDiffers("The new password and its repetition differ.")
    passwords.check_password(new, field="new_password")
    stored = check_own(runtime, identity.account_id, current, may_be_unset=True)
    new_hash = passwords.hash_password(runtime, new)
    with runtime.transaction() as session:
        is_unchanged = Account.password_hash == stored if stored else Account.password_hash.is_(None)
        changed_id = session.scalar(
            update(Account)
            .where(Account.id == identity.account_id, is_unchanged)
            .values(password_hash=new_hash)
            .returning(Account.id)
        )
        if changed_id is None:  # somebody changed it while we checked
            raise CurrentPasswordIncorrect("The current password is incorrect.")
        sessions.end_other_sessions(session, identity)
        return get_profile(runtime, session, identity.principal)


def check_timezone(name: str) -> None:
    """Raise InvalidRequest unless a time zone has this name."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown, not a name, the name of a directory
        raise InvalidRequest(f"{name!r} is not a valid timezone.", field="timezone") from None


def _own_account(session: Session, principal: Principal) -> Account:
    account = session.get(Account, principal.id)
    if account is None:
        raise Unauthorized("The account no longer exists.")
    return account


def avatar_url(runtime: Runtime, avatar: str | None) -> str | None:
    """Return where an avatar is seen: its own address, or a signed one of an uploaded image."""
    if not avatar or avatar.startswith("http"):
        return avatar or None
    return files.sign_icon(runtime, avatar)


def _checked_avatar(session: Session, principal: Principal, avatar: str) -> str | None:
    if not avatar or LINK.fullmatch(avatar):
        return avatar or None
    files.check_icon(session, principal, avatar, field="avatar")
    return avatar.lower()


def _to_profile(runtime: Runtime, account: Account) -> Profile:
    return Profile(
        id=account.id,
        name=account.name,
        email=account.email,
        avatar=account.avatar,
        avatar_url=avatar_url(runtime, account.avatar),
        is_password_set=account.password_hash is not None,
        interface_language=account.interface_language,
        interface_theme=account.interface_theme,
        timezone=account.timezone,
        last_login_at=account.last_login_at,
        last_login_ip=account.last_login_ip,
        created_at=account.created_at,
    )
