"""Built-in tools of time."""

from datetime import UTC, datetime

import pytest

from api.core.ports import JSONValue
from api.core.tools.tool import ToolFailed
from tests.tools import use


def test_current_time_is_that_of_the_zone() -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    text = use("time", "current_time", timezone="UTC").text
    told = datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    assert before <= told <= datetime.now(UTC)
    assert use("time", "current_time", format="%Z", timezone="Asia/Shanghai").text == "CST"
    assert use("time", "current_time", format="", timezone="").text[:3] == text[:3]


@pytest.mark.parametrize(
    ("name", "given", "text"),
    [
        (
            "localtime_to_timestamp",
            {"localtime": "2024-01-31 08:00:00", "timezone": "Asia/Shanghai"},
            "1706659200",
        ),
        ("localtime_to_timestamp", {"localtime": "2024-01-31T00:00:00Z"}, "1706659200"),
        (
            "timestamp_to_localtime",
            {"timestamp": "1706659200", "timezone": "Asia/Shanghai"},
            "2024-01-31 08:00:00",
        ),
        (
            "timezone_conversion",
            {
                "current_time": "2024-07-01 12:00:00",
                "current_timezone": "America/New_York",
                "target_timezone": "Asia/Tokyo",
            },
            "2024-07-02 01:00:00",
        ),
        ("weekday", {"year": 2024, "month": 2, "day": 29}, "2024-02-29 is a Thursday."),
    ],
)
def test_times_are_converted(name: str, given: dict[str, JSONValue], text: str) -> None:
    assert use("time", name, **given).text == text


@pytest.mark.parametrize(
    ("name", "given", "fault"),
    [
        ("current_time", {"timezone": "Mars/Base"}, "no time zone"),
        ("current_time", {"timezone": "../../etc/passwd"}, "no time zone"),
        ("current_time", {"format": "x" * 201}, "at most 200"),
        ("localtime_to_timestamp", {"localtime": "yesterday"}, "is no time"),
        ("timestamp_to_localtime", {"timestamp": 1e300}, "There is no time"),
        ("weekday", {"year": 2023, "month": 2, "day": 29}, "There is no day 2023-2-29"),
        (
            "timezone_conversion",
            {"current_time": "0001-01-01 00:00:00", "target_timezone": "America/New_York"},
            "beyond the calendar",
        ),
    ],
)
def test_what_is_no_time_is_said(name: str, given: dict[str, JSONValue], fault: str) -> None:
    with pytest.raises(ToolFailed, match=fault):
        use("time", name, **given)
