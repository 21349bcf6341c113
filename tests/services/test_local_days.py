"""Spans and days of an account's own time zone."""

from datetime import UTC, datetime

from api.services.local_days import read_span


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_span_holds_both_its_minutes() -> None:
    span = read_span("2026-03-01 00:00", "2026-03-01 23:59", "Asia/Kolkata")

    assert span.start == instant("2026-02-28T18:30")
    assert span.end == instant("2026-03-01T18:30")


def test_unknown_zone_is_read_as_utc() -> None:
    span = read_span("2026-03-01 00:00", None, "Mars/Olympus")

    assert (span.start, span.end) == (instant("2026-03-01T00:00"), None)
