"""How the runs of the different apps are read."""

from typing import Any

from dify_client.call import Call, get, given, path_of
from dify_client.progress import Reading

PAUSE = "workflow_paused"
SOUND_END = "tts_message_end"
MESSAGE_ENDINGS = frozenset(("message_end", SOUND_END, "error", PAUSE))
WORKFLOW_ENDINGS = frozenset(("workflow_finished", SOUND_END, "error", PAUSE))


def reading_of_message(start: Call, folder: str, user: str) -> Reading:
    """Return how a run that answers a message is read; ``folder`` is that of its kind of app."""
    return Reading(
        start=start, folder=folder, id_key="task_id", endings=MESSAGE_ENDINGS, query={"user": user}
    )


def joining_of_message(folder: str, task_id: str, user: str, after: int | None) -> Reading:
    """Return how a run that has started already is read, from its first event on or after a number."""
    return reading_of_message(_join(path_of(folder, task_id, "events"), after, user=user), folder, user)


def reading_of_workflow(start: Call, user: str) -> Reading:
    """Return how a run of a workflow is read."""
    return Reading(
        start=start,
        folder="workflow",
        id_key="workflow_run_id",
        endings=WORKFLOW_ENDINGS,
        query={"user": user},
    )


def joining_of_workflow(run_id: str, user: str, after: int | None, *, goes_on: bool) -> Reading:
    """Return how a run of a workflow that has started already is read; ``goes_on`` beyond its pauses."""
    query = given(user=user, continue_on_pause="true" if goes_on else None)
    return Reading(
        start=_join(path_of("workflow", run_id, "events"), after, **query),
        folder="workflow",
        id_key="workflow_run_id",
        endings=WORKFLOW_ENDINGS - {PAUSE} if goes_on else WORKFLOW_ENDINGS,
        query=query,
    )


def _join(path: str, after: int | None, **query: Any) -> Call:
    return get(path, **query).streamed(**({} if after is None else {"Last-Event-ID": str(after)}))
