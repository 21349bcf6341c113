"""Starts runs of workflows and chatflows: checks what was asked, writes the rows, lets the engine go.

Everything that can be refused is refused before the run has a row; from then on
whatever happens is told by its events.
"""

import threading
import time
from collections.abc import Generator, Iterator
from dataclasses import replace
from typing import cast

from sqlalchemy import Connection, select
from sqlalchemy.orm import Session

from api import traces
from api.core.apps import flow as flow_app
from api.core.apps.config import FileUpload
from api.core.apps.inputs import check_inputs
from api.core.apps.prompting import fill
from api.core.apps.spec import AppMode, AppSpec
from api.core.events import (
    ErrorOccurred,
    Event,
    EventLog,
    RunFinished,
    RunHeader,
)
from api.core.model_runtime.runtime import ModelRuntime
from api.core.model_runtime.types import Usage
from api.core.ports import Cancel, JSONObject
from api.core.workflow.deps import FlowFacts
from api.core.workflow.engine import FlowEnd, FlowRun
from api.core.workflow.graph import is_root
from api.core.workflow.variables import CONVERSATION, ENVIRONMENT, SYSTEM, VariablePool
from api.errors import AppError, BadRequest, Internal
from api.models.account import Account
from api.models.base import new_id
from api.principal import ActorKind, Principal
from api.services import (
    conversations,
    files,
    flow_deps,
    flow_files,
    flow_rows,
    idempotency,
    limits,
    messages,
    providers,
    read_aloud,
    run_threads,
    workflow_runs,
)
from api.services.asks import Repeated
from api.services.conversations import Recalled
from api.services.draft_rows import Drafts
from api.services.flow_call import Begun, FlowCall
from api.services.flow_recorder import FlowRecorder
from api.services.flow_screening import screened
from api.services.ledger import Tally
from api.services.nested_flows import NestedFlows
from api.services.read_aloud import ReadAloud
from api.services.recorder import Recorder

MAX_FILES = 10


class NotWorkflowApp(BadRequest):
    """The route is for workflow apps and the app is another."""

    code = "not_workflow_app"


def check_workflow_mode(app: AppSpec) -> None:
    """Raise NotWorkflowApp unless the app is a workflow app."""
    if app.mode is not AppMode.WORKFLOW:
        raise NotWorkflowApp("Please check if your app mode matches the right API route.")


def generate_flow(call: FlowCall) -> EventLog:
    """Start a run of a workflow and return its log; what can be refused is refused before it starts.

    Raises the AppError of the fault: unknown conversation, bad inputs or files,
    no start node, no free slot.
    """
    return begin_flow(call, limits.take_slots(call.runtime, call.app, call.ask.key_id))


def begin_flow(call: FlowCall, slots: tuple[limits.Slot, ...]) -> EventLog:
    """Start a run that has its slots, as ``generate_flow`` does; refused, it gives them back."""
    try:
        return launch(call, _begin(call), slots)
    except Repeated as again:
        limits.free_slots(call.runtime, slots)
        return _first_run(call, again.made)
    except BaseException:
        limits.free_slots(call.runtime, slots)
        raise


def launch(call: FlowCall, begun: Begun, slots: tuple[limits.Slot, ...]) -> EventLog:
    """Let the engine go on a run that has its rows; return its log."""
    runtime, variables, tally = call.runtime, _variables(call, begun), _tally(call)
    reading = None
    if begun.alone is None and begun.behind is None and call.trigger_id is None:
        reading = read_aloud.wanted(tally, call.app, call.ask, call.flow.features.text_to_speech)

    def begin(cancel: Cancel) -> Iterator[Event]:
        models = providers.model_runtime(tally, call.app.providers_version, is_watched=call.ask.is_watched)

        def begin_graph() -> Iterator[Event]:
            return _graph(call, begun, variables, models, cancel)

        if begun.alone is not None:
            return begin_graph()
        lines = reading.lines if reading else None
        return screened(call, begun, variables, models, cancel, begin_graph, lines=lines)

    recorder = _recorder(call, begun, variables, tally, reading)
    return run_threads.launch(runtime, begun.header, begin, recorder, slots, reading=reading)


def run_inside(call: FlowCall, cancel: Cancel) -> tuple[RunFinished, Usage | None]:
    """Run a workflow on the caller's own thread and return how it ended and what it used, secrets masked.

    It has rows as any other run, and its own moderation, but no log: nobody reads
    it. What ends it early is ``cancel``, or its moderation, which ends nothing
    else. Raises the AppError of what is refused, or ended it outside of its graph.
    """
    begun = _begin(call)
    variables = _variables(call, begun)
    tally = _tally(call)
    models = providers.model_runtime(tally, call.app.providers_version)
    recorder = _recorder(call, begun, variables, tally)
    inner = Cancel(cancel.remaining_s())
    ended: list[RunFinished] = []
    ends: list[FlowEnd] = []
    span = traces.begin(f"run {begun.header.mode}", run_threads.run_facts(begun.header))

    def begin_graph() -> Iterator[Event]:
        ends.append((yield from _graph(call, begun, variables, models, inner)))

    forget = cancel.on_cancel(lambda: inner.set(cancel.failure))
    try:
        with traces.ending(span), traces.within(span):
            told = recorder.watch(screened(call, begun, variables, models, inner, begin_graph))
            ended.extend(event for event in told if isinstance(event, RunFinished))
            run_threads.tell_end(span, ended[-1] if ended else None)
    except AppError as exc:
        recorder.fail(ErrorOccurred(status=exc.http_status, code=exc.code, message=exc.message))
        raise
    except BaseException:
        error = Internal("The run ended by a fault of the server.")
        recorder.fail(ErrorOccurred(status=error.http_status, code=error.code, message=error.message))
        raise
    finally:
        forget()
        if recorder.is_stored:
            tally.end()
        else:
            threading.Thread(target=recorder.store_later, name="store-run", daemon=True).start()
    return ended[0], ends[0].usage if ends else None


def _tally(call: FlowCall) -> Tally:
    return Tally(
        runtime=call.runtime,
        wait=True,
        tenant_id=call.app.tenant_id,
        app_id=call.app.id,
        actor_id=call.principal.id,
        key_id=call.ask.key_id,
    )


def _variables(call: FlowCall, begun: Begun) -> VariablePool:
    max_bytes = call.runtime.limits.flow.max_variable_bytes
    return VariablePool(begun.pool, secrets=call.flow.secrets, max_bytes=max_bytes)


def _graph(
    call: FlowCall, begun: Begun, variables: VariablePool, models: ModelRuntime, cancel: Cancel
) -> Generator[Event, None, FlowEnd]:
    """Return the events of a run's graph, which ends with what the run came to."""
    flow, behind = call.flow, begun.behind
    deps = flow_deps.make_deps(
        call.runtime,
        call.app,
        flow,
        call.principal,
        models,
        flows=NestedFlows(
            runtime=call.runtime,
            principal=call.principal,
            app_id=call.home_app_id or call.app.id,
            invoke_from=call.ask.invoke_from,
            key_id=call.ask.key_id,
            depth=call.depth,
            run_inside=run_inside,
        ),
        home_app_id=call.home_app_id,
        conversation_id=begun.header.conversation_id,
        history=begun.history,
    )
    if begun.alone is not None or call.depth:
        deps = replace(deps, forms=flow_deps.NoForms())
    run = FlowRun(
        graph=flow.graph,
        root=(begun.alone or call.root).id,
        variables=variables,
        inputs=begun.shown,
        facts=_facts(call, begun.header),
        configs=flow.configs,
        done=begun.done,
    )
    if behind is not None:
        run = replace(
            run,
            told_chars=behind.told_chars,
            earlier=behind.paused,
            closed=behind.closed,
            waiting=behind.waiting,
        )
    return flow_app.run(flow, run, deps, cancel)


def _begin(call: FlowCall) -> Begun:
    """Check the request against the workflow and its conversation, and write the rows of the run."""
    ask = call.ask
    runtime, principal = call.runtime, call.principal
    with runtime.autocommit() if _writes_once(call) else runtime.transaction() as opened:
        connection = opened.connection() if isinstance(opened, Session) else opened
        recalled = None
        if ask.conversation_id is not None:
            recalled = conversations.recall(connection, call.principal, call.app.id, ask.conversation_id)
        inputs = ask.inputs  # those of a trigger are checked by its own rules
        if call.trigger_id is None:
            inputs = check_inputs(call.flow.form, ask.inputs, recalled.inputs if recalled else None)
        header = new_header(connection, call, recalled)
        attached: tuple[files.AttachedFile, ...] = ()
        values = inputs
        if isinstance(opened, Session):
            attached = files.attach(opened, principal, file_policy(call), ask.files)
            # What calls from inside a run gives files as variables hold them.
            form = call.flow.form if call.trigger_id is None and not call.depth else ()
            values = flow_files.attach_values(runtime, opened, principal, form, inputs)
            _claim(opened, ask.claim, header)
            flow_rows.keep_snapshot(runtime, opened, call.app, call.flow)
        system = system_variables(call, header, recalled, attached)
        if call.is_chat:
            turn = flow_rows.FlowTurn(
                header=header,
                query=ask.query,
                inputs=inputs,
                attached=attached,
                introduction=fill(call.flow.features.opening_statement, inputs),
                is_new=recalled is None,
            )
            flow_rows.insert_turn(
                connection, principal, turn, owner=runtime.owner, invoke_from=ask.invoke_from
            )
        flow_rows.insert_run(connection, call, header, columns(call, values, system))
        kept = _kept_variables(call, connection, recalled)
    return Begun(
        header=header,
        pool=pool(call, values, system, kept),
        shown=shown(values, system),
        history=recalled.turns if recalled else (),
        is_new=recalled is None,
    )


def _writes_once(call: FlowCall) -> bool:
    """Tell whether one statement writes all of a run's beginning."""
    takes_files = call.ask.files or any(item.kind in files.FILE_KINDS for item in call.flow.form)
    is_alone = not call.is_chat and call.flow.snapshot is None and call.ask.claim is None
    return is_alone and not takes_files


def columns(call: FlowCall, values: JSONObject, system: JSONObject) -> dict[str, object]:
    """Return what a run's row holds of its caller."""
    masked = VariablePool(secrets=call.flow.secrets).masked(values)
    return {
        "inputs": masked,
        "system": system,
        "triggered_from": call.triggered_from,
        "invoke_from": call.ask.invoke_from,
        "owner": call.runtime.owner,
        "root": call.trigger_id,
    }


def pool(call: FlowCall, values: JSONObject, system: JSONObject, kept: JSONObject) -> dict[str, JSONObject]:
    """Return the variables a run begins with, by node."""
    begun: dict[str, JSONObject] = {call.root.id: values, SYSTEM: system, ENVIRONMENT: call.flow.environment}
    if call.is_chat:
        declared = call.flow.conversation_variables
        begun[CONVERSATION] = {item.name: kept.get(item.name, item.value) for item in declared}
    return begun


def shown(values: JSONObject, system: JSONObject) -> JSONObject:
    """Return the inputs as ``workflow_started`` tells them."""
    told = {f"{SYSTEM}.{name}": value for name, value in system.items() if name != "conversation_id"}
    return {**values, **told}


def _kept_variables(call: FlowCall, connection: Connection, recalled: Recalled | None) -> JSONObject:
    if recalled is None or not call.flow.conversation_variables:
        return {}
    return flow_rows.load_conversation_variables(connection, call.app.tenant_id, recalled.conversation_id)


def new_header(connection: Connection, call: FlowCall, recalled: Recalled | None = None) -> RunHeader:
    """Return the header of a new run, in a new conversation unless one is ``recalled``."""
    principal = call.principal
    conversation_id = recalled.conversation_id if recalled else new_id()
    return RunHeader(
        task_id=new_id(),
        tenant_id=call.app.tenant_id,
        app_id=call.app.id,
        mode=call.app.mode.value,
        principal_id=principal.id,
        created_at=int(time.time()),
        total_s=call.runtime.limits.run_timeout_s,
        conversation_id=conversation_id if call.is_chat else None,
        message_id=new_id() if call.is_chat else None,
        workflow_run_id=call.run_id or new_id(),
        workflow_id=call.flow.workflow_id,
        created_by=_creator(connection, principal),
    )


def _creator(connection: Connection, principal: Principal) -> JSONObject:
    """Return who asked, as the end of a run shows it."""
    if principal.kind is not ActorKind.ACCOUNT:
        return {"id": principal.id, "user": principal.user}
    found = connection.execute(
        select(Account.name, Account.email).where(Account.id == principal.id)
    ).one_or_none()
    name, email = found or (None, None)  # the account of a run that waited may be gone
    return {"id": principal.id, "name": name, "email": email}


def file_policy(call: FlowCall) -> FileUpload:
    """Return which files may come with a run; those of a workflow are what its author makes of them."""
    policy = call.flow.features.file_upload
    return policy if call.is_chat or policy.is_on else FileUpload(enabled=True, number_limits=MAX_FILES)


def system_variables(
    call: FlowCall,
    header: RunHeader,
    recalled: Recalled | None,
    attached: tuple[files.AttachedFile, ...],
) -> JSONObject:
    """Return the system variables of a run. Wire: docs/wire/workflows.md#system-variables."""
    system: JSONObject = {
        "files": [flow_files.to_value(call.runtime, call.app.tenant_id, file) for file in attached],
        "user_id": call.user,
        "app_id": call.app.id,
        "workflow_id": call.flow.workflow_id,
        "workflow_run_id": header.workflow_run_id,
    }
    if not call.is_chat:
        return {**system, "timestamp": header.created_at}
    return {
        **system,
        "query": call.ask.query,
        "conversation_id": header.conversation_id,
        "dialogue_count": (recalled.message_count if recalled else 0) + 1,
    }


def _claim(session: Session, claim: idempotency.Claim | None, header: RunHeader) -> None:
    """Take the request's idempotency claim, if any; raises Repeated when an earlier request has it."""
    made = header.message_id or header.workflow_run_id
    first = idempotency.take(session, claim, message_id=made) if claim else None
    if first is not None:
        raise Repeated(str(first.message_id))


def _first_run(call: FlowCall, made: str) -> EventLog:
    """Return the log of the run that an earlier request with the same key started."""
    if call.is_chat:
        return messages.first_run(call.runtime, call.principal, call.app.id, made)
    return workflow_runs.first_run(call.runtime, call.app, call.principal, made)


def _recorder(
    call: FlowCall, begun: Begun, variables: VariablePool, tally: Tally, reading: ReadAloud | None = None
) -> FlowRecorder:
    message = None
    if begun.header.message_id is not None:
        message = Recorder(
            runtime=call.runtime,
            header=begun.header,
            principal=call.principal,
            is_new=begun.is_new,
            wants_title=False,
            tally=tally,
        )
    made = FlowRecorder(
        runtime=call.runtime,
        header=begun.header,
        principal=call.principal,
        message=message,
        drafts=Drafts(variables=variables, only=_left(call, begun)) if call.leaves_variables else None,
        tally=tally,
        is_alone=begun.alone is not None,
        reading=reading,
    )
    behind = begun.behind
    if behind is not None:
        made.order, made.price, made.currency = behind.order, behind.price, behind.currency
        made.told_chars, made.told_events = behind.told_chars, begun.header.told_events
        made.started -= behind.paused.elapsed_s
        if message is not None:
            message.pieces.append(behind.answer)
            message.started = made.started
    return made


def _left(call: FlowCall, begun: Begun) -> frozenset[str] | None:
    """Return the nodes whose variables a test leaves, None for all: those it had itself, not those given."""
    if begun.alone is None:
        return None
    brings = {SYSTEM} if is_root(begun.alone.type) else set()
    writes = {CONVERSATION} if call.flow.graph.of_type("assigner") else set()
    return frozenset({begun.alone.id, *brings, *writes})


def _facts(call: FlowCall, header: RunHeader) -> FlowFacts:
    return FlowFacts(
        tenant_id=call.app.tenant_id,
        app_id=call.app.id,
        workflow_id=call.flow.workflow_id,
        run_id=cast("str", header.workflow_run_id),
        user=call.user,
        invoke_from=call.ask.invoke_from,
        is_chat=call.is_chat,
        conversation_id=header.conversation_id,
        depth=call.depth,
    )
