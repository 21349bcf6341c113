"""What stands before the run of a workflow, and looks at what it says: moderation and annotations."""

import time
from collections.abc import Callable, Iterator
from functools import partial

from api.core.apps.moderation import Asked
from api.core.apps.speech import Lines
from api.core.events import Event, RunFinished, RunStarted
from api.core.model_runtime.runtime import ModelRuntime
from api.core.ports import Cancel
from api.core.workflow.variables import SYSTEM, VariablePool
from api.services import annotation_replies, moderation
from api.services.annotation_replies import Inquiry
from api.services.flow_call import Begun, FlowCall
from api.services.moderation import Moderation


def screened(
    call: FlowCall,
    begun: Begun,
    variables: VariablePool,
    models: ModelRuntime,
    cancel: Cancel,
    begin: Callable[[], Iterator[Event]],
    *,
    lines: Lines | None = None,
) -> Iterator[Event]:
    """Return the events of a run, moderated, or those of an answer that needs none.

    What was asked was looked at before a run began; one that goes on only answers.
    What may be read aloud of it goes to ``lines`` as well.
    """
    root_id, is_first = call.root.id, begun.behind is None
    asked = Asked(inputs=begun.pool[root_id], query=call.ask.query) if is_first else Asked(inputs={})

    def run(allowed: Asked) -> Iterator[Event]:
        if allowed != asked:
            variables.put(root_id, allowed.inputs)
            variables.put(SYSTEM, {"query": allowed.query} if call.is_chat else {})
        if not call.is_chat or not is_first:
            return begin()
        return annotation_replies.answer_or(_inquiry(call, begun, allowed.query, models, cancel), begin)

    wanted = Moderation(
        runtime=call.runtime,
        tenant_id=call.app.tenant_id,
        app_id=call.app.id,
        avoidance=call.flow.features.sensitive_word_avoidance,
        models=models,
    )
    refuse = None if call.is_chat else partial(_refuse, begun)
    return moderation.moderated(wanted, cancel, asked, run, refuse, lines=lines)


def _refuse(begun: Begun, preset: str) -> Iterator[Event]:
    """Yield a run of a workflow that does not begin, for what it was to run with."""
    now = begun.header.created_at
    yield RunStarted(inputs=begun.shown, created_at=now)
    yield RunFinished(
        status="stopped",
        error=preset,
        outputs={},
        created_at=now,
        finished_at=int(time.time()),
        elapsed_s=max(0.0, time.time() - now),
        total_tokens=0,
        total_steps=0,
    )


def _inquiry(call: FlowCall, begun: Begun, query: str, models: ModelRuntime, cancel: Cancel) -> Inquiry:
    return Inquiry(
        runtime=call.runtime,
        app=call.app,
        header=begun.header,
        principal=call.principal,
        query=query,
        invoke_from=call.ask.invoke_from,
        models=models,
        cancel=cancel,
    )
