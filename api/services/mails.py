"""Mail the program writes: invitations and codes, in the language of who reads them, and forms.

Runs as a job, so that no request waits for a mail server. The job knows only
which row the mail is about; what opens it is made here (link_tokens.py).
"""

from datetime import datetime

from sqlalchemy import Row, select

from api.core.ports import Mail
from api.models.account import Account, Confirmation, Invitation, Tenant
from api.models.base import utc_now
from api.runtime import Runtime
from api.services import form_mails, invitations, link_tokens
from api.services.jobs import Lease

CHINESE = ("zh-Hans", "zh-Hant")

INVITED = (
    "{inviter} invites you to {workspace}",
    """{inviter} invites you to the workspace {workspace}.

Open this link to join; it works once, until {until} UTC:

{link}
""",
)
INVITED_ZH = (
    "{inviter} 邀请您加入 {workspace}",
    """{inviter} 邀请您加入工作空间 {workspace}。

请打开此链接加入,链接仅可使用一次,{until} UTC 前有效:

{link}
""",
)
FORMER_MEMBER = ("A former member", "一位前成员")
"""Who invites, where their account was deleted since."""
CODE = (
    "Your code: {code}",
    """Your code is {code}. It works for 15 minutes.

{meaning}

If you did not ask for it, ignore this mail: nothing has changed.
""",
)
CODE_ZH = (
    "您的验证码:{code}",
    """您的验证码是 {code},15 分钟内有效。

{meaning}

如果不是您本人的操作,请忽略此邮件。
""",
)
MEANINGS = {
    "reset_password": ("It lets you choose a new password.", "用于重设密码。"),
    "transfer_owner": ("It lets you hand your workspace over to another member.", "用于转让工作空间。"),
    "sign_in": ("It signs you in.", "用于登录。"),
    "change_email": ("It lets you change the e-mail address of your account.", "用于更换账户邮箱。"),
    "confirm_email": ("It makes this the e-mail address of your account.", "用于将此邮箱设为账户邮箱。"),
    "delete_account": ("It deletes your account for good.", "用于永久删除您的账户。"),
}


def send_mail(runtime: Runtime, lease: Lease) -> None:
    """Send the mail a job is for; nothing is sent where its row is gone, or is nobody's.

    Raises Unavailable where the mail server takes none now.
    """
    if runtime.mailer is None:  # it was taken out of the settings since
        return
    if "invitation_id" in lease.payload:
        mail = _to_invitation(runtime, lease)
    elif "form_id" in lease.payload:
        mail = form_mails.to_mail(runtime, lease)
    else:
        mail = _to_code(runtime, lease)
    if mail is not None:
        runtime.mailer.send(mail)


def _to_invitation(runtime: Runtime, lease: Lease) -> Mail | None:
    row = _find_invitation(runtime, lease.tenant_id, str(lease.payload["invitation_id"]))
    if row is None:
        return None
    token = link_tokens.make_token(runtime.vault, invitations.PURPOSE, row.id)
    is_chinese = row.language in CHINESE
    words = {
        "inviter": row.inviter or FORMER_MEMBER[is_chinese],
        "workspace": row.workspace,
        "until": f"{row.expires_at:%Y-%m-%d %H:%M}",
        "link": invitations.to_link(runtime, runtime.limits.public_url, row.email, token),
    }
    return _write(row.email, INVITED_ZH if is_chinese else INVITED, words)


def _find_invitation(
    runtime: Runtime, tenant_id: str, invitation_id: str
) -> Row[str, str, str, datetime, str, str | None] | None:
    with runtime.reading() as session:
        return session.execute(
            select(
                Invitation.id,
                Invitation.email,
                Invitation.language,
                Invitation.expires_at,
                Tenant.name.label("workspace"),
                Account.name.label("inviter"),
            )
            .join(Tenant, Tenant.id == Invitation.tenant_id)
            .outerjoin(Account, Account.id == Invitation.invited_by)
            .where(Invitation.tenant_id == tenant_id, Invitation.id == invitation_id)
        ).one_or_none()


def _to_code(runtime: Runtime, lease: Lease) -> Mail | None:
    with runtime.reading() as session:
        row = session.execute(
            select(Confirmation.id, Confirmation.purpose, Account.email, Account.interface_language)
            .join(Account, Account.id == Confirmation.account_id)
            .where(
                Confirmation.id == str(lease.payload["confirmation_id"]),
                Confirmation.expires_at > utc_now(),
            )
        ).one_or_none()
    if row is None:
        return None
    is_chinese = row.interface_language in CHINESE
    code = link_tokens.make_code(runtime.vault, row.purpose, row.id)
    words = {"code": code, "meaning": MEANINGS[row.purpose][is_chinese]}
    to = str(lease.payload.get("email") or row.email)
    return _write(to, CODE_ZH if is_chinese else CODE, words)


def _write(to: str, template: tuple[str, str], words: dict[str, str]) -> Mail:
    """Fill a mail in; names come from people, so the subject is kept to one line."""
    subject = " ".join(template[0].format(**words).split())
    return Mail(to=to, subject=subject, text=template[1].format(**words))
