"""When schedules fire: by what was clicked together or written, by the clock of a place."""

from datetime import UTC, datetime
from itertools import islice
from typing import Any

import pytest

from api.core.workflow.timetable import ScheduleConfig, fires_after
from api.errors import InvalidRequest


def fires(after: str, count: int = 2, **config: Any) -> list[str]:
    """Return the first moments after one, all in UTC."""
    settings = ScheduleConfig.model_validate({"type": "trigger-schedule", **config})
    found = islice(fires_after(settings, datetime.fromisoformat(after).replace(tzinfo=UTC)), count)
    return [moment.strftime("%m-%d %H:%M") for moment in found]


@pytest.mark.parametrize(
    ("config", "moments"),
    [
        ({}, ["02-01 00:00", "02-02 00:00"]),
        ({"frequency": "hourly", "visual_config": {"on_minute": 15}}, ["01-31 12:15", "01-31 13:15"]),
        ({"frequency": "daily", "visual_config": {"time": "12:30 PM"}}, ["01-31 12:30", "02-01 12:30"]),
        ({"visual_config": {"time": "9:05 pm"}}, ["01-31 21:05", "02-01 21:05"]),
        ({"visual_config": {"time": "23:59"}}, ["01-31 23:59", "02-01 23:59"]),
        (
            {"frequency": "weekly", "visual_config": {"time": "12:00 AM", "weekdays": ["mon", "sun"]}},
            ["02-01 00:00", "02-02 00:00"],
        ),
        (
            {"frequency": "monthly", "visual_config": {"time": "1:00 AM", "monthly_days": [1, 30, "last"]}},
            ["02-01 01:00", "02-28 01:00"],
        ),
        ({"mode": "cron", "cron_expression": "*/20 * * * *"}, ["01-31 12:20", "01-31 12:40"]),
        ({"mode": "cron", "cron_expression": "@monthly"}, ["02-01 00:00", "03-01 00:00"]),
        (
            {"mode": "cron", "cron_expression": "0 9 * * *", "timezone": "Asia/Shanghai"},
            ["02-01 01:00", "02-02 01:00"],
        ),
        ({"mode": "cron", "cron_expression": "0 0 29 2 *"}, ["02-29 00:00", "02-29 00:00"]),
        ({"mode": "cron", "cron_expression": "0 0 */20 * 1L"}, []),
    ],
)
def test_schedule_fires(config: dict[str, Any], moments: list[str]) -> None:
    assert fires("2026-01-31 12:00", **config) == moments


def test_schedule_leaves_no_variables() -> None:
    assert ScheduleConfig(type="trigger-schedule").gives() == {}


def test_moment_itself_does_not_count() -> None:
    assert fires("2026-01-31 00:00", 1) == ["02-01 00:00"]


@pytest.mark.parametrize(
    ("after", "time", "moments"),
    [
        ("2026-03-07 12:00", "2:30 AM", ["03-08 07:00", "03-09 06:30"]),
        ("2026-10-31 12:00", "1:30 AM", ["11-01 05:30", "11-02 06:30"]),
    ],
)
def test_clocks_put_forward_or_back_neither_lose_nor_double_a_day(
    after: str, time: str, moments: list[str]
) -> None:
    assert fires(after, visual_config={"time": time}, timezone="America/New_York") == moments


def test_every_hour_goes_by_when_clocks_are_put_back() -> None:
    hourly = {"frequency": "hourly", "timezone": "America/New_York"}
    assert fires("2026-11-01 04:30", 3, **hourly) == ["11-01 05:00", "11-01 06:00", "11-01 07:00"]


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"mode": "cron"}, "cron_expression"),
        ({"mode": "cron", "cron_expression": "every day"}, "cron_expression"),
        ({"mode": "cron", "cron_expression": "61 * * * *"}, "cron_expression"),
        ({"mode": "cron", "cron_expression": "0 0 30 2 *"}, "cron_expression"),
        ({"mode": "cron", "cron_expression": "0 0 0 * * *"}, "cron_expression"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"timezone": "../../etc/passwd"}, "timezone"),
        ({"timezone": "America"}, "timezone"),
        ({"visual_config": {"time": "noon"}}, "visual_config.time"),
        ({"visual_config": {"time": "13:00 PM"}}, "visual_config.time"),
        ({"visual_config": {"time": "0:00 AM"}}, "visual_config.time"),
        ({"visual_config": {"time": "24:00"}}, "visual_config.time"),
        ({"visual_config": {"time": "12:60"}}, "visual_config.time"),
        ({"frequency": "weekly", "visual_config": {"weekdays": []}}, "visual_config.weekdays"),
        ({"frequency": "monthly", "visual_config": {"monthly_days": []}}, "visual_config.monthly_days"),
        ({"frequency": "monthly", "visual_config": {"monthly_days": [32]}}, "cron_expression"),
    ],
)
def test_what_is_no_schedule_is_refused(config: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        fires("2026-01-31 12:00", **config)
    assert refused.value.field == field
