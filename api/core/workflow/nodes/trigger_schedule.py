"""Schedule trigger: the clock begins the run."""

from api.core.workflow.node import NodeContext, given, node
from api.core.workflow.timetable import ScheduleConfig
from api.core.workflow.work import NodeResult


@node(
    "trigger-schedule",
    defaults={
        "mode": "visual",
        "frequency": "daily",
        "visual_config": {"time": "12:00 AM", "on_minute": 0, "weekdays": ["sun"], "monthly_days": [1]},
        "timezone": "UTC",
    },
)
class ScheduleTrigger:
    """When it fires is for ``timetable.py`` to say."""

    Config = ScheduleConfig

    def run(self, _config: ScheduleConfig, ctx: NodeContext) -> NodeResult:
        """Return the system variables: there is nothing else to know."""
        return given(ctx)
