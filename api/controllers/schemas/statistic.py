"""Statistics of an app: what is asked for, and the shape of the answer."""

from dataclasses import dataclass

from flask_restx import fields

from api.controllers.http.model import Model
from api.controllers.http.parsing import Text, parser, query_field

_TIME_HELP = "YYYY-MM-DD HH:MM in the time zone of the account."


@dataclass(frozen=True, slots=True, kw_only=True)
class StatisticIn:
    """Which days are asked for: local minutes of the caller, both included; None is open."""

    start: str | None = None
    end: str | None = None


STATISTIC = parser(
    query_field("start", Text(max_length=16), help=_TIME_HELP),
    query_field("end", Text(max_length=16), help=f"{_TIME_HELP} That minute is included."),
)
STATISTIC_DAYS = Model(
    "Statistic",
    {
        "data": fields.List(
            fields.Raw(example={"date": "2026-11-26", "message_count": 3}),
            description="The days on which there was something, oldest first.",
        )
    },
)
