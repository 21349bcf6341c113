"""One event of a run."""

import base64
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Chunk:
    """One event of a run: ``event`` says which; all it came with is in ``raw``.

    ``number`` counts the events of a run from 1; None where the server does not number them.
    """

    event: str
    raw: dict[str, Any]
    number: int | None = None

    @property
    def answer(self) -> str:
        """The next piece of the answer, of a workflow's text too; empty in other events."""
        return str(self.raw.get("answer") or self.data.get("text") or "")

    @property
    def audio(self) -> bytes:
        """The next piece of the answer read aloud, MP3 cut anywhere; empty in other events."""
        return base64.b64decode(self.raw.get("audio") or "")

    @property
    def metadata(self) -> dict[str, Any]:
        """Usage and citations, which come with ``message_end``; empty in other events."""
        return dict(self.raw.get("metadata") or {})

    @property
    def data(self) -> dict[str, Any]:
        """What events of workflows and their nodes tell; empty in other events."""
        return dict(self.raw.get("data") or {})

    @property
    def task_id(self) -> str:
        """What stops the run."""
        return self._id("task_id")

    @property
    def message_id(self) -> str:
        """The message that the run answers with; empty in workflows."""
        return self._id("message_id")

    @property
    def conversation_id(self) -> str:
        """What the next message of the conversation is sent with."""
        return self._id("conversation_id")

    @property
    def workflow_run_id(self) -> str:
        """The run of a workflow or a chatflow."""
        return self._id("workflow_run_id")

    def _id(self, key: str) -> str:
        return str(self.raw.get(key) or "")
