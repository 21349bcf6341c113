"""Values that the database makes: alike on SQLite and on PostgreSQL."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import literal, select

from api.models.types import UnixSeconds, UTCDateTime
from api.runtime import Runtime


@pytest.mark.parametrize(
    ("instant", "seconds"),
    [
        (datetime(2024, 5, 5, 11, 20, 0, 999_600, tzinfo=UTC), 1_714_908_000),
        (datetime(2024, 5, 5, 11, 20, 0, tzinfo=UTC), 1_714_908_000),
        (datetime(1969, 12, 31, 23, 59, 59, 500_000, tzinfo=UTC), -1),
    ],
)
def test_unix_seconds_are_those_that_have_passed(runtime: Runtime, instant: datetime, seconds: int) -> None:
    with runtime.autocommit() as connection:
        assert connection.scalar(select(UnixSeconds(literal(instant, UTCDateTime())))) == seconds
