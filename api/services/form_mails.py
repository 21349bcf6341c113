"""Mail about forms that runs wait for: each recipient gets a link of their own, and answers by it alone.

A mail is a job of the transaction that keeps the form, so it goes out once for
each address. A link's token follows from the form and the address
(link_tokens.py); none is stored, and it opens the one form, for that address.
"""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast
from urllib.parse import urlencode

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.core.apps.spec import AppSpec
from api.core.events import FormAsked, from_json
from api.core.ports import JSONObject, Mail
from api.core.workflow.deliveries import EMAIL, EmailConfig, External, Member
from api.core.workflow.deps import FlowFacts
from api.errors import NotFound
from api.models.account import Account, TenantMember
from api.models.base import utc_now
from api.models.workflow import HumanInputForm
from api.principal import Principal
from api.runtime import Runtime
from api.services import app_specs, end_users, jobs, link_tokens, sessions, tenants
from api.services.access import is_id
from api.services.flow_call import DEBUGGER
from api.services.jobs import Job, Lease

logger = logging.getLogger(__name__)

LINK = "{{#url#}}"
SUBJECT = "{title}: an answer is needed"
MAX_SUBJECT_CHARS = 200
"""Variables may be as long as a book, and folding that into a header would take the process minutes."""


@dataclass(frozen=True, slots=True)
class Linked:
    """What a link opens: the form of an app by its token, and the end user who answers."""

    app: AppSpec
    principal: Principal
    form_token: str


def request_mails(runtime: Runtime, session: Session, facts: FlowFacts, form: FormAsked) -> None:
    """Have the mails of a form sent that is kept with the same session; none where no mail is sent here."""
    configs = {
        number: EmailConfig.model_validate(delivery["config"])
        for number, delivery in enumerate(form.deliveries)
        if delivery.get("type") == EMAIL
    }
    if configs and (runtime.mailer is None or not runtime.limits.public_url):
        logger.info("form not mailed: no mail is sent here", extra={"form_id": form.form_id})
        return
    sent: set[str] = set()
    for number, config in configs.items():
        emails = _recipients(session, facts, config)
        for email in sorted(emails - sent):
            payload: JSONObject = {"form_id": form.form_id, "delivery": number, "email": email}
            jobs.enqueue_on_commit(runtime, session, Job.SEND_MAIL, payload, tenant_id=facts.tenant_id)
        sent |= emails


def to_mail(runtime: Runtime, lease: Lease) -> Mail | None:
    """Return the mail a job is for; None where the form is answered or over."""
    form_id, email = str(lease.payload["form_id"]), str(lease.payload["email"])
    with runtime.reading() as session:
        asked = session.scalar(
            select(HumanInputForm.asked).where(
                HumanInputForm.tenant_id == lease.tenant_id,
                HumanInputForm.id == form_id,
                HumanInputForm.closed_at.is_(None),
                HumanInputForm.expires_at > utc_now(),
            )
        )
    if asked is None:
        return None
    form = cast("FormAsked", from_json(asked))
    delivery = form.deliveries[int(str(lease.payload["delivery"]))]
    config = EmailConfig.model_validate(delivery["config"])
    link = to_link(runtime, form_id, email)
    until = f"{datetime.fromtimestamp(form.expires_at, UTC):%Y-%m-%d %H:%M} UTC"
    body = config.body.strip() or f"{form.content}\n\nAnswer until {until}:".strip()
    text = body.replace(LINK, link) if LINK in body else f"{body}\n\n{link}\n"
    subject = config.subject.strip() or SUBJECT.format(title=form.title)
    return Mail(to=email, subject=" ".join(subject.split())[:MAX_SUBJECT_CHARS], text=text)


def to_link(runtime: Runtime, form_id: str, email: str) -> str:
    """Return where the form is answered by who reads the mail of an address."""
    token = link_tokens.make_token(runtime.vault, _purpose(email), form_id)
    return f"{runtime.limits.public_url.rstrip('/')}/form/{token}?{urlencode({'to': email})}"


def open_link(runtime: Runtime, token: str, email: str) -> Linked:
    """Return what a link opens. Raises NotFound for one that is not ours, or of a suspended workspace."""
    form_id = link_tokens.read_token(runtime.vault, _purpose(email), token)
    with runtime.reading() as session:
        row = session.execute(
            select(HumanInputForm.tenant_id, HumanInputForm.app_id, HumanInputForm.token).where(
                HumanInputForm.id == form_id, tenants.is_open(HumanInputForm.tenant_id)
            )
        ).one_or_none()
        if form_id is None or row is None:
            raise NotFound("Form not found")
        app = app_specs.load_spec(runtime, session, row.tenant_id, row.app_id)
    return Linked(app, end_users.to_principal(row.tenant_id, row.app_id, email), row.token)


def _recipients(session: Session, facts: FlowFacts, config: EmailConfig) -> set[str]:
    """Return the addresses a mail goes to; members are those of the workspace, who may sign in."""
    if config.debug_mode and facts.invoke_from == DEBUGGER:
        return _members(session, facts.tenant_id, [facts.user])
    items = config.recipients.items
    named = [item.user_id for item in items if isinstance(item, Member)]
    others = {item.email for item in items if isinstance(item, External)}
    return others | _members(session, facts.tenant_id, None if config.recipients.whole_workspace else named)


def _members(session: Session, tenant_id: str, account_ids: list[str] | None) -> set[str]:
    """Return the addresses of members, by their ids or of all."""
    query = (
        select(Account.email)
        .join(TenantMember, TenantMember.account_id == Account.id)
        .where(TenantMember.tenant_id == tenant_id, Account.status.not_in(sessions.BARRED))
    )
    if account_ids is not None:
        query = query.where(Account.id.in_([each.lower() for each in account_ids if is_id(each)]))
    return set(session.scalars(query))


def _purpose(email: str) -> str:
    return f"form/{email}"
