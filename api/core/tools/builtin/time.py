"""Time: what the clock says anywhere, and what a time is elsewhere."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from api.core.ports import JSONObject
from api.core.tools.provider import provide
from api.core.tools.tool import (
    TextMessage,
    ToolContext,
    ToolFailed,
    ToolMessage,
    ToolParameter,
    ToolProviderSchema,
    ToolSchema,
    Words,
)

FORMAT = "%Y-%m-%d %H:%M:%S"
MAX_FORMAT_CHARS = 200
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

TIME = provide(
    ToolProviderSchema(
        id="time",
        label=Words("Time", "时间"),
        description=Words("The current time, time zones and days of the week.", "当前时间、时区转换与星期。"),
        icon_svg='<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" stroke="#1570EF"'
        ' stroke-width="2" stroke-linecap="round"><circle cx="12" cy="12" r="9"/>'
        '<path d="M12 7v5l3 3"/></svg>',
        labels=("utilities",),
    )
)


def _zone_of(name: str, label: Words, *, is_for_models: bool = True) -> ToolParameter:
    return ToolParameter(
        name=name,
        label=label,
        human_description=Words("A zone such as Asia/Shanghai.", "时区，例如 Asia/Shanghai。"),
        llm_description="An IANA time zone such as Asia/Shanghai.",
        form="llm" if is_for_models else "form",
        default="UTC",
    )


FORMAT_PARAMETER = ToolParameter(
    name="format",
    label=Words("Format", "格式"),
    human_description=Words("How to write the time, as strftime does.", "时间格式，遵循 strftime。"),
    form="form",
    default=FORMAT,
)
LOCAL_TIME = Words("Local time", "本地时间")
LOCAL_TIME_HELP = Words("Such as 2024-01-31 08:00:00.", "例如 2024-01-31 08:00:00。")


@TIME.tool(
    ToolSchema(
        name="current_time",
        label=Words("Current time", "获取当前时间"),
        description=Words("Tells the current time.", "获取当前时间。"),
        llm_description="Returns the current date and time.",
        parameters=(
            FORMAT_PARAMETER,
            _zone_of("timezone", Words("Time zone", "时区"), is_for_models=False),
        ),
    )
)
def current_time(arguments: JSONObject, _context: ToolContext) -> Iterator[ToolMessage]:
    """Yield the time it is in a zone."""
    now = datetime.now(UTC).astimezone(_zone(arguments["timezone"]))
    yield TextMessage(_written(now, str(arguments["format"])))


@TIME.tool(
    ToolSchema(
        name="localtime_to_timestamp",
        label=Words("Local time to timestamp", "本地时间转时间戳"),
        description=Words("Tells the Unix timestamp of a local time.", "将本地时间转换为 Unix 时间戳。"),
        llm_description="Converts a local date and time to a Unix timestamp in seconds.",
        parameters=(
            ToolParameter(
                name="localtime",
                label=LOCAL_TIME,
                human_description=LOCAL_TIME_HELP,
                llm_description="Local time, such as 2024-01-31 08:00:00.",
                is_required=True,
            ),
            _zone_of("timezone", Words("Time zone", "时区")),
        ),
    )
)
def localtime_to_timestamp(arguments: JSONObject, _context: ToolContext) -> Iterator[ToolMessage]:
    """Yield the seconds since 1970 of a time in a zone."""
    moment = _read(str(arguments["localtime"]), _zone(arguments["timezone"]))
    yield TextMessage(str(int(moment.timestamp())))


@TIME.tool(
    ToolSchema(
        name="timestamp_to_localtime",
        label=Words("Timestamp to local time", "时间戳转本地时间"),
        description=Words("Tells the local time of a Unix timestamp.", "将 Unix 时间戳转换为本地时间。"),
        llm_description="Converts a Unix timestamp in seconds to a local date and time.",
        parameters=(
            ToolParameter(
                name="timestamp",
                label=Words("Timestamp", "时间戳"),
                human_description=Words("Seconds since 1970.", "自 1970 年起的秒数。"),
                llm_description="Seconds since 1970-01-01 00:00:00 UTC.",
                type="number",
                is_required=True,
            ),
            _zone_of("timezone", Words("Time zone", "时区")),
        ),
    )
)
def timestamp_to_localtime(arguments: JSONObject, _context: ToolContext) -> Iterator[ToolMessage]:
    """Yield the time in a zone at some second."""
    seconds = arguments["timestamp"]
    assert isinstance(seconds, int | float)
    try:
        moment = datetime.fromtimestamp(seconds, UTC).astimezone(_zone(arguments["timezone"]))
    except (OverflowError, ValueError, OSError) as exc:
        raise ToolFailed(f"There is no time {seconds:g} s after 1970.") from exc
    yield TextMessage(_written(moment, FORMAT))


@TIME.tool(
    ToolSchema(
        name="timezone_conversion",
        label=Words("Time zone conversion", "时区转换"),
        description=Words("Tells what a local time is in another zone.", "将时间转换到另一个时区。"),
        llm_description="Converts a local date and time from one time zone to another.",
        parameters=(
            ToolParameter(
                name="current_time",
                label=LOCAL_TIME,
                human_description=LOCAL_TIME_HELP,
                llm_description="Local time in the current zone, such as 2024-01-31 08:00:00.",
                is_required=True,
            ),
            _zone_of("current_timezone", Words("Its time zone", "当前时区")),
            _zone_of("target_timezone", Words("Target time zone", "目标时区")),
        ),
    )
)
def timezone_conversion(arguments: JSONObject, _context: ToolContext) -> Iterator[ToolMessage]:
    """Yield a time of one zone as another writes it."""
    moment = _read(str(arguments["current_time"]), _zone(arguments["current_timezone"]))
    try:
        moved = moment.astimezone(_zone(arguments["target_timezone"]))
    except OverflowError as exc:
        raise ToolFailed("That time lies beyond the calendar in the other zone.") from exc
    yield TextMessage(_written(moved, FORMAT))


@TIME.tool(
    ToolSchema(
        name="weekday",
        label=Words("Day of the week", "星期几"),
        description=Words("Tells which day of the week a date is.", "计算某一天是星期几。"),
        llm_description="Returns the day of the week of a date.",
        parameters=tuple(
            ToolParameter(
                name=name,
                label=label,
                human_description=label,
                llm_description=f"The {name} as a number.",
                type="number",
                is_required=True,
                minimum=1,
                maximum=maximum,
            )
            for name, label, maximum in (
                ("year", Words("Year", "年"), 9999),
                ("month", Words("Month", "月"), 12),
                ("day", Words("Day", "日"), 31),
            )
        ),
    )
)
def weekday(arguments: JSONObject, _context: ToolContext) -> Iterator[ToolMessage]:
    """Yield the name of a day."""
    year, month, day = (int(str(arguments[name]).partition(".")[0]) for name in ("year", "month", "day"))
    try:
        found = date(year, month, day)
    except ValueError as exc:
        raise ToolFailed(f"There is no day {year}-{month}-{day}.") from exc
    yield TextMessage(f"{found.isoformat()} is a {DAYS[found.weekday()]}.")


def _zone(name: object) -> ZoneInfo:
    try:
        return ZoneInfo(str(name).strip() or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
        raise ToolFailed(f"There is no time zone {str(name)[:64]!r}.") from exc


def _read(text: str, zone: ZoneInfo) -> datetime:
    """Return the moment a text names; a zone it names itself counts first."""
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError as exc:
        raise ToolFailed(f"{text[:64]!r} is no time like 2024-01-31 08:00:00.") from exc
    return found if found.tzinfo else found.replace(tzinfo=zone)


def _written(moment: datetime, form: str) -> str:
    if len(form) > MAX_FORMAT_CHARS:
        raise ToolFailed(f"A format has at most {MAX_FORMAT_CHARS} characters.")
    try:
        return moment.strftime(form or FORMAT)
    except ValueError as exc:
        raise ToolFailed(f"{form!r} is no format of times.") from exc
