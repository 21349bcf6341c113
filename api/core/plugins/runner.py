"""What runs plugins, as a protocol, and the code it is given."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from api.core.http import Timeouts
from api.core.ports import Cancel, JSONObject
from api.core.tools.tool import ToolFailed

Answer = Callable[[JSONObject], JSONObject]
"""Answers what a plugin asks of the server within a call. Raises Cancelled."""
CALLED_BACK: JSONObject = {}
"""A step of a call in which the plugin told nothing, but asked and was answered."""


class PluginFailed(ToolFailed):
    """A plugin failed, or its process did; the message says how.

    ``said`` is all the plugin says of its failure; None where its process failed.
    """

    def __init__(
        self, message: str, *, error_type: str = "PluginError", said: JSONObject | None = None
    ) -> None:
        super().__init__(message, error_type=error_type)
        self.said = said


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginCode:
    """A plugin of a workspace, as it is run. ``fetch`` gives its package; calls of it need no session.

    Two are the same where workspace and ``digest`` are.
    """

    tenant_id: str
    digest: str
    entrypoint: str = field(compare=False)
    memory_bytes: int = field(compare=False)
    fetch: Callable[[], bytes] = field(compare=False, repr=False)


class PluginRunner(Protocol):
    """Runs plugins apart from the server, each in processes of its own, and keeps these warm."""

    def call(
        self,
        code: PluginCode,
        request: JSONObject,
        *,
        max_bytes: int,
        cancel: Cancel,
        answer: Answer,
        timeouts: Timeouts | None = None,
    ) -> Iterator[JSONObject]:
        """Yield what a plugin streams for a request, until it ends; at most ``max_bytes`` in all.

        What it asks meanwhile is answered by ``answer``, and CALLED_BACK yielded.
        With ``timeouts`` it may be silent for ``first_byte_s`` before its first
        step and for ``idle_s`` between two. Raises PluginFailed where the plugin
        says that it failed, its process crashes, sends what is no answer or too
        much, or is not done when ``cancel`` is overdue; Cancelled within 300 ms
        when that is set; and Unavailable where no process can be started. Whatever one call does, the
        next one is answered.
        """
        ...

    def drop(self, tenant_id: str, digest: str) -> None:
        """End the processes of a plugin that do nothing; those of other servers end when idle."""
        ...

    def close_idle(self) -> None:
        """End processes that were not called for a while, and free what was not used for days."""
        ...

    def stop(self) -> None:
        """End all processes; calls that go on fail."""
        ...
