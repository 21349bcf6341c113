"""When a schedule-trigger fires. Pure: given a moment, the moments after it.

Where clocks are put forward, what would have been in the hour that is missing
happens at its end; where they are put back, it happens once. What comes every
hour or more often comes by the clock on the wall.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Literal
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from pydantic import BaseModel, ConfigDict, Field

from api.core.workflow.node import NodeConfig, Types
from api.errors import InvalidRequest

CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?:\s*([AP]M))?", re.IGNORECASE)
NAMED = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
CRON_FIELDS = 5

Weekday = Literal["sun", "mon", "tue", "wed", "thu", "fri", "sat"]


class Visual(BaseModel):
    """A schedule as it is clicked together; ``time`` is like ``9:30 PM`` or ``21:30``."""

    model_config = ConfigDict(extra="ignore")

    time: str = "12:00 AM"
    on_minute: int = Field(default=0, ge=0, le=59)
    weekdays: list[Weekday] = ["sun"]
    monthly_days: list[int | Literal["last"]] = [1]


class ScheduleConfig(NodeConfig):
    """When to fire, by the clock of ``timezone``."""

    mode: Literal["visual", "cron"] = "visual"
    frequency: Literal["hourly", "daily", "weekly", "monthly"] | None = "daily"
    cron_expression: str | None = None
    visual_config: Visual | None = None
    timezone: str = "UTC"

    def check(self) -> None:
        """Raise InvalidRequest for what is no schedule."""
        fires_after(self, datetime.now(UTC))

    def gives(self) -> Types:
        """Return nothing: a run begun by the clock knows only the system variables."""
        return {}


def fires_after(config: ScheduleConfig, moment: datetime) -> Iterator[datetime]:
    """Return the moments after ``moment``, which is aware, at which a schedule fires, in UTC, in order.

    There are none where no date fits within 50 years. Raises InvalidRequest for
    what is no schedule.
    """
    expression = _cron(config) if config.mode == "cron" else _drawn(config)
    try:
        zone = ZoneInfo(config.timezone)
    except (KeyError, ValueError, OSError):
        raise InvalidRequest(f"There is no time zone {config.timezone[:100]!r}.", field="timezone") from None
    try:
        times = CronSim(expression, moment.astimezone(zone))
    except CronSimError as exc:
        raise InvalidRequest(f"The cron expression is none: {exc}.", field="cron_expression") from exc
    return (time.astimezone(UTC) for time in times)


def _cron(config: ScheduleConfig) -> str:
    """Return the expression an author wrote; seconds are not for schedules."""
    written = (config.cron_expression or "").strip()
    expression = NAMED.get(written.lower(), written)
    if len(expression.split()) != CRON_FIELDS:
        raise InvalidRequest(f"A cron expression has {CRON_FIELDS} fields.", field="cron_expression")
    return expression


def _drawn(config: ScheduleConfig) -> str:
    """Return the expression for what was clicked together."""
    visual = config.visual_config or Visual()
    if config.frequency == "hourly":
        return f"{visual.on_minute} * * * *"
    hour, minute = _clock(visual.time)
    match config.frequency:
        case "weekly":
            return f"{minute} {hour} * * {','.join(_some(visual.weekdays, 'weekdays'))}"
        case "monthly":
            days = ["L" if day == "last" else str(day) for day in visual.monthly_days]
            return f"{minute} {hour} {','.join(_some(days, 'monthly_days'))} * *"
    return f"{minute} {hour} * * *"


def _clock(text: str) -> tuple[int, int]:
    """Return hour and minute of a time of day. Raises InvalidRequest."""
    match = CLOCK.fullmatch(text.strip())
    hour, minute, half = (int(match[1]), int(match[2]), match[3]) if match else (24, 0, None)
    if half and 1 <= hour <= 12:
        hour = hour % 12 + (12 if half.upper() == "PM" else 0)
    elif half:
        hour = 24
    if hour > 23 or minute > 59:
        raise InvalidRequest(f"{text[:20]!r} is no time of day.", field="visual_config.time")
    return hour, minute


def _some(values: "list[str] | list[Weekday]", name: str) -> list[str]:
    if not values:
        raise InvalidRequest("The schedule names no day.", field=f"visual_config.{name}")
    return [*values]
