"""Jobs that follow messages."""

from api.runtime import Runtime
from api.services import conversations, titles
from api.services.jobs import Job, Lease
from api.tasks.registry import task


@task(Job.NAME_CONVERSATION)
def name_conversation(runtime: Runtime, lease: Lease) -> None:
    """Let the app's model name a new conversation."""
    titles.name_conversation(runtime, lease)


@task(Job.PURGE_CONVERSATION)
def purge_conversation(runtime: Runtime, lease: Lease) -> None:
    """Remove what a deleted conversation left."""
    conversations.purge_conversation(runtime, lease)
