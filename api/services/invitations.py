"""Invitations into a workspace: given to addresses, looked at, and taken up, once.

Whoever has an invitation's link may take it up: an account is made where the
address has none yet. The link goes out by mail; where none is sent, whoever
invites passes it on. What must stay true: known and unknown addresses are
answered alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import urlencode

from sqlalchemy import Row, delete, func, select
from sqlalchemy.orm import Session

from api.core.text.addresses import is_address
from api.errors import Forbidden, InvalidRequest
from api.models.account import Account, Invitation, Tenant, TenantMember
from api.models.base import new_id, utc_now
from api.models.types import insert_for
from api.principal import Principal, Role
from api.runtime import Runtime
from api.services import link_tokens, passwords, plans, sessions, tenants
from api.services.accounts import check_timezone, normal_email
from api.services.jobs import Job, enqueue_on_commit
from api.services.plans import Quota
from api.services.session_tokens import Tokens

PURPOSE = "invitation"
TTL = timedelta(hours=72)


class InvalidRole(InvalidRequest):
    """Nobody can be given this role, or not by this member."""

    code = "invalid-role"


class AlreadyActivated(Forbidden):
    """The link of an invitation is wrong, has run out, or was used."""

    code = "already_activate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Invited:
    """What became of one address: ``token`` opens its link where no mail is sent, ``fault`` is why not."""

    email: str
    token: str | None = field(default=None, repr=False)
    fault: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What an invitation offers, and to whom."""

    tenant_id: str
    tenant_name: str
    email: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Newcomer:
    """What someone says of themselves who takes up an invitation; ignored where they have an account."""

    name: str
    language: str
    timezone: str
    password: str | None = field(default=None, repr=False)


def check_role(principal: Principal, role: str) -> Role:
    """Return a role the caller may give; raises InvalidRole, also for that of the one owner."""
    given = Role.from_wire(role)
    if given is Role.OWNER or given > principal.role:
        raise InvalidRole(f"The role {role!r} cannot be given.", field="role")
    return given


def invite(
    runtime: Runtime,
    session: Session,
    principal: Principal,
    *,
    emails: Sequence[str],
    role: str,
    language: str,
) -> list[Invited]:
    """Offer addresses a place in the caller's workspace; an older offer to one of them is over.

    Raises InvalidRole, and QuotaReached where the plan has not room for all.
    """
    given = check_role(principal, role)
    asked = list(dict.fromkeys(normal_email(email) for email in emails))
    usable = [email for email in asked if is_address(email)]
    plans.take_turn(session, principal.tenant_id)  # of offers to one address at once the last one counts
    members = _members_among(session, principal.tenant_id, usable)
    wanted = [email for email in usable if email not in members]
    session.execute(
        delete(Invitation).where(Invitation.tenant_id == principal.tenant_id, Invitation.email.in_(wanted))
    )
    plans.check_room(session, principal.tenant_id, Quota.MEMBERS, wanted=len(wanted))
    tokens = {
        email: _offer(runtime, session, principal, email=email, role=given, language=language)
        for email in wanted
    }
    shown = tokens if runtime.mailer is None else {}
    faults = {email: "This is not an e-mail address." for email in asked if email not in usable}
    faults |= dict.fromkeys(members, "This address belongs to a member already.")
    return [Invited(email=email, token=shown.get(email), fault=faults.get(email)) for email in asked]


def to_link(runtime: Runtime, base_url: str, email: str, token: str) -> str:
    """Return where an invitation is taken up: in the web console, or, without one, a page of this server."""
    query = urlencode({"email": email, "token": token})
    return f"{(runtime.limits.console_web_url or base_url).rstrip('/')}/activate?{query}"


def find_offer(
    runtime: Runtime, session: Session, token: str, *, tenant_id: str | None, email: str | None
) -> Offer | None:
    """Return what a token offers; None where it is not ours, over, or not for this address or workspace."""
    row = _find(runtime, session, token)
    if row is None or tenant_id not in (None, row.tenant_id):
        return None
    if email is not None and normal_email(email) != row.email:
        return None
    return Offer(tenant_id=row.tenant_id, tenant_name=row.name, email=row.email)


def take_up(
    runtime: Runtime,
    token: str,
    newcomer: Newcomer,
    *,
    tenant_id: str | None,
    email: str | None,
    address: str,
) -> Tokens | None:
    """Enter the workspace, by an account made where the address has none; of many at once one does.

    A new account is signed in; for one that was there the answer is None.
    Raises AlreadyActivated, and InvalidRequest for a bad password or time zone.
    """
    check_timezone(newcomer.timezone)
    if newcomer.password is not None:
        passwords.check_password(newcomer.password, field="password")
    with runtime.reading() as session:
        _check(find_offer(runtime, session, token, tenant_id=tenant_id, email=email))
    chosen = None if newcomer.password is None else passwords.hash_password(runtime, newcomer.password)
    with runtime.transaction() as session:
        offer = _check(find_offer(runtime, session, token, tenant_id=tenant_id, email=email))
        account_id = _make_account(session, offer.email, newcomer, chosen)
        known_id = (
            account_id or session.execute(select(Account.id).where(Account.email == offer.email)).scalar_one()
        )
        if not accept(runtime, session, token, known_id):
            raise AlreadyActivated("The invitation is no longer good.")
        return None if account_id is None else sessions.open_session(runtime, session, account_id, address)


def accept(runtime: Runtime, session: Session, token: str, account_id: str) -> bool:
    """Let an account take up the invitation of its own address; tell whether there was one."""
    row = _find(runtime, session, token, is_held=True)
    if row is None:
        return False
    own = select(Account.email).where(Account.id == account_id).scalar_subquery()
    taken = session.execute(
        delete(Invitation)
        .where(Invitation.tenant_id == row.tenant_id, Invitation.id == row.id, Invitation.email == own)
        .returning(Invitation.role)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if taken is None:
        return False
    is_first = session.scalar(select(func.count()).where(TenantMember.account_id == account_id)) == 0
    session.execute(
        insert_for(session)(TenantMember)
        .values(
            id=new_id(),
            tenant_id=row.tenant_id,
            account_id=account_id,
            role=taken.role,
            is_current=is_first,
            created_at=utc_now(),
        )
        .on_conflict_do_nothing(index_elements=["tenant_id", "account_id"])
    )
    return True


def forget_expired(runtime: Runtime) -> None:
    """Remove the invitations nobody took up in time."""
    with runtime.transaction() as session:
        session.execute(delete(Invitation).where(Invitation.expires_at <= utc_now()))


def _check(offer: Offer | None) -> Offer:
    if offer is None:
        raise AlreadyActivated("The invitation is no longer good.")
    return offer


def _members_among(session: Session, tenant_id: str, emails: Sequence[str]) -> set[str]:
    query = (
        select(Account.email)
        .join(TenantMember, TenantMember.account_id == Account.id)
        .where(TenantMember.tenant_id == tenant_id, Account.email.in_(emails))
    )
    return set(session.scalars(query))


def _offer(
    runtime: Runtime, session: Session, principal: Principal, *, email: str, role: Role, language: str
) -> str:
    """Write an invitation and have it sent; return its token."""
    row = Invitation(
        id=new_id(),
        tenant_id=principal.tenant_id,
        email=email,
        role=role.wire,
        language=language,
        invited_by=principal.id,
        expires_at=utc_now() + TTL,
    )
    session.add(row)
    session.flush()
    if runtime.mailer is not None:
        enqueue_on_commit(
            runtime, session, Job.SEND_MAIL, {"invitation_id": row.id}, tenant_id=principal.tenant_id
        )
    return link_tokens.make_token(runtime.vault, PURPOSE, row.id)


def _find(
    runtime: Runtime, session: Session, token: str, *, is_held: bool = False
) -> Row[str, str, str, str] | None:
    """Return the invitation of a token with its workspace's name, while both are open.

    Held, the workspace does not lose its owner (account_deletion.py) until the transaction ends.
    """
    invitation_id = link_tokens.read_token(runtime.vault, PURPOSE, token)
    if invitation_id is None:
        return None
    query = (
        select(Invitation.id, Invitation.tenant_id, Invitation.email, Tenant.name)
        .join(Tenant, Tenant.id == Invitation.tenant_id)
        .where(
            Invitation.id == invitation_id,
            Invitation.expires_at > utc_now(),
            Tenant.status == tenants.NORMAL,
        )
    )
    if is_held:
        query = query.with_for_update(read=True, key_share=True, of=Tenant)
    return session.execute(query).one_or_none()


def _make_account(session: Session, email: str, newcomer: Newcomer, password_hash: str | None) -> str | None:
    """Make the account of an address; None where it has one."""
    now = utc_now()
    made = session.execute(
        insert_for(session)(Account)
        .values(
            id=new_id(),
            email=email,
            name=newcomer.name,
            password_hash=password_hash,
            interface_language=newcomer.language,
            interface_theme="light",
            timezone=newcomer.timezone,
            status="active",
            created_at=now,
            updated_at=now,
        )
        .on_conflict_do_nothing(index_elements=["email"])
        .returning(Account.id)
    ).one_or_none()
    return None if made is None else made.id
