"""Jobs that send mail."""

from api.runtime import Runtime
from api.services import mails
from api.services.jobs import Job, Lease
from api.tasks.registry import task


@task(Job.SEND_MAIL)
def send_mail(runtime: Runtime, lease: Lease) -> None:
    """Send an invitation, or a code."""
    mails.send_mail(runtime, lease)
