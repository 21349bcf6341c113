"""What a restored copy would do to the world by itself, held until it is told to go on.

Beside the installation it was made of, a copy must not send a mail a second
time, nor run a schedule, nor let a run go on that waited. What indexes, names
or purges is not held: it stays within the copy. What people do in it works at once.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningUpdate

from api.models.base import utc_now
from api.models.job import JobRow
from api.models.workflow import HumanInputForm, WorkflowTrigger
from api.runtime import Runtime
from api.services import forms, triggers
from api.services.jobs import Job

HELD_UNTIL = datetime(9000, 1, 1, tzinfo=UTC)
RUNS = (Job.RUN_TRIGGER.value, Job.RESUME_RUN.value)


@dataclass(frozen=True, slots=True)
class Held:
    """How many mails, schedules, runs that were to begin or go on, and ends of forms' times."""

    mails: int = 0
    schedules: int = 0
    runs: int = 0
    forms: int = 0

    def to_line(self) -> str:
        """Return them as words."""
        return f"{self.mails} mails, {self.schedules} schedules, {self.runs} runs, {self.forms} forms"


def hold(session: Session) -> Held:
    """Hold what is due or will be: jobs wait, schedules have no next time, forms no end."""
    rest = update(WorkflowTrigger).where(WorkflowTrigger.next_at.is_not(None)).values(next_at=None)
    wait = update(HumanInputForm).where(HumanInputForm.closed_at.is_(None)).values(expires_at=HELD_UNTIL)
    return Held(
        mails=_count(session, _hold_jobs(Job.SEND_MAIL.value)),
        schedules=_count(session, rest.returning(WorkflowTrigger.id)),
        runs=_count(session, _hold_jobs(*RUNS)),
        forms=_count(session, wait.returning(HumanInputForm.id)),
    )


def release(runtime: Runtime) -> Held:
    """Let what is held go on: mails and runs at once, schedules from now, forms until the end they had.

    A schedule that somebody switched on meanwhile goes on already.
    """
    with runtime.transaction() as session:
        resting = session.scalars(
            select(WorkflowTrigger).where(
                WorkflowTrigger.type == triggers.SCHEDULE,
                WorkflowTrigger.next_at.is_(None),
                WorkflowTrigger.is_enabled,
                WorkflowTrigger.data.is_not(None),
            )
        ).all()
        for trigger in resting:
            trigger.next_at = triggers.going_on(trigger)
        endless = session.scalars(select(HumanInputForm).where(HumanInputForm.expires_at == HELD_UNTIL)).all()
        for form in endless:
            form.expires_at = datetime.fromtimestamp(forms.to_asked(form).expires_at, UTC)
        return Held(
            mails=_count(session, _release_jobs(Job.SEND_MAIL.value)),
            schedules=sum(trigger.next_at is not None for trigger in resting),
            runs=_count(session, _release_jobs(*RUNS)),
            forms=len(endless),
        )


def _hold_jobs(*names: str) -> ReturningUpdate[str]:
    is_waiting = JobRow.name.in_(names), JobRow.failed_at.is_(None)
    held = update(JobRow).where(*is_waiting).values(run_at=HELD_UNTIL, leased_until=None)
    return held.returning(JobRow.id)


def _release_jobs(*names: str) -> ReturningUpdate[str]:
    is_held = JobRow.name.in_(names), JobRow.run_at == HELD_UNTIL
    return update(JobRow).where(*is_held).values(run_at=utc_now()).returning(JobRow.id)


def _count(session: Session, change: ReturningUpdate[str]) -> int:
    return len(session.scalars(change, execution_options={"synchronize_session": False}).all())
