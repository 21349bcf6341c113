"""Spans and days of an account's own time zone."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from api.services.local_days import Span, read_span


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_span_holds_both_its_minutes() -> None:
    span = read_span("2026-03-01 00:00", "2026-03-01 23:59", "Asia/Kolkata")

    assert span.start == instant("2026-02-28T18:30")
    assert span.end == instant("2026-03-01T18:30")


def test_unknown_zone_is_read_as_utc() -> None:
    span = read_span("2026-03-01 00:00", None, "Mars/Olympus")

    assert (span.start, span.end) == (instant("2026-03-01T00:00"), None)


def test_months_of_a_span_follow_each_other_and_end_with_a_day() -> None:
    zone = ZoneInfo("America/Sao_Paulo")  # on 4 November 2018 its clocks had no midnight
    span = Span(start=instant("2018-10-07T12:00"), end=instant("2019-03-20T12:00"), zone=zone)

    months = list(span.months())

    assert (months[0].start, months[-1].end) == (span.start, span.end)
    for earlier, later in pairwise(months):
        assert earlier.end == later.start is not None
        before = later.start - timedelta(seconds=1)
        assert before.astimezone(zone).date() < later.start.astimezone(zone).date()
    assert max((month.end - month.start).days for month in months if month.start and month.end) == 28
