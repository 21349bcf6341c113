"""Runs of workflows."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, overload

from dify_client.call import Call, get, given, path_of, post
from dify_client.resources.resource import AnswerT, ContentT, EventsT, Resource
from dify_client.resources.runs import joining_of_workflow, reading_of_workflow


class Workflows(Resource[AnswerT, ContentT, EventsT]):
    """Runs of workflows."""

    @overload
    def run(
        self,
        *,
        inputs: Mapping[str, Any],
        user: str,
        response_mode: Literal["blocking"] = "blocking",
        files: Sequence[Mapping[str, Any]] | None = None,
        workflow_id: str | None = None,
        **more: Any,
    ) -> AnswerT: ...

    @overload
    def run(
        self,
        *,
        inputs: Mapping[str, Any],
        user: str,
        response_mode: Literal["streaming"],
        files: Sequence[Mapping[str, Any]] | None = None,
        workflow_id: str | None = None,
        **more: Any,
    ) -> EventsT: ...

    def run(
        self,
        *,
        inputs: Mapping[str, Any],
        user: str,
        response_mode: Literal["blocking", "streaming"] = "blocking",
        files: Sequence[Mapping[str, Any]] | None = None,
        workflow_id: str | None = None,
        **more: Any,
    ) -> AnswerT | EventsT:
        """Run the published version, or that of ``workflow_id``; get how it ended, or its events.

        A run that failed is no error of the call: look at ``["data"]["status"]``.
        """
        start = _run(workflow_id, inputs=inputs, user=user, response_mode=response_mode, files=files, **more)
        if response_mode == "blocking":
            return self._transport.answer(start)
        return self._transport.events(reading_of_workflow(start, user))

    def run_stream(
        self,
        *,
        inputs: Mapping[str, Any],
        user: str,
        files: Sequence[Mapping[str, Any]] | None = None,
        workflow_id: str | None = None,
        **more: Any,
    ) -> EventsT:
        """Run as ``run`` does; get the events up to ``workflow_finished`` or ``workflow_paused``."""
        return self.run(
            inputs=inputs,
            user=user,
            response_mode="streaming",
            files=files,
            workflow_id=workflow_id,
            **more,
        )

    def events(
        self, run_id: str, *, user: str, after: int | None = None, continue_on_pause: bool = False
    ) -> EventsT:
        """Get the events of a run again, from the first on or after the one of a number."""
        return self._transport.events(joining_of_workflow(run_id, user, after, goes_on=continue_on_pause))

    def get(self, run_id: str) -> AnswerT:
        """Get how a run stands, or ended."""
        return self._transport.answer(get(path_of("workflows", "run", run_id)))

    def stop(self, task_id: str, *, user: str) -> AnswerT:
        """End a run of the user."""
        return self._transport.answer(post(path_of("workflows", "tasks", task_id, "stop"), {"user": user}))

    def logs(self, *, page: int | None = None, limit: int | None = None, **filters: Any) -> AnswerT:
        """List what ran, newest first; ``filters`` are those of the API, such as ``status``."""
        return self._transport.answer(get(path_of("workflows", "logs"), page=page, limit=limit, **filters))


def _run(workflow_id: str | None, **fields: Any) -> Call:
    path = path_of("workflows", workflow_id, "run") if workflow_id else path_of("workflows", "run")
    return post(path, given(**fields))
