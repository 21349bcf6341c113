"""One entry for every app and every door: starts runs, finds them again, stops them.

A run belongs to the server. It goes on its own thread; its events go, numbered,
into its log; the SSE door and the blocking fold only read that log. So a lost
client changes nothing, and a second reader sees the same.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from api.core.apps import agent_chat, chat, completion
from api.core.apps.inputs import check_inputs
from api.core.apps.moderation import Asked
from api.core.apps.spec import CHAT_MODES, FLOW_MODES, AppMode, AppSpec, Deps, Retrieved, Run, Turn
from api.core.apps.speech import Lines
from api.core.events import Event, EventLog, RunHeader
from api.core.model_runtime.runtime import ModelRuntime
from api.core.ports import Cancel, JSONObject
from api.errors import AppUnavailable, BadRequest, NotFound
from api.models.base import new_id
from api.models.types import joins_inserts
from api.principal import ActorKind, Principal
from api.runtime import Runtime
from api.services import (
    agent_tools,
    annotation_replies,
    app_knowledge,
    attached_documents,
    conversations,
    external_data,
    files,
    flow_resumption,
    flows,
    idempotency,
    limits,
    messages,
    moderation,
    providers,
    read_aloud,
    run_rows,
    run_threads,
    titles,
)
from api.services.agent_tools import Workplace
from api.services.annotation_replies import Inquiry
from api.services.app_search import Question
from api.services.asks import Ask, Repeated
from api.services.conversations import Recalled
from api.services.flow_call import FlowCall
from api.services.flow_files import FlowFiles
from api.services.flow_runs import generate_flow, run_inside
from api.services.ledger import Tally
from api.services.moderation import Moderation
from api.services.nested_flows import NestedFlows
from api.services.recorder import Recorder
from api.services.run_rows import Started

RUNNERS: Mapping[AppMode, Run] = {
    AppMode.CHAT: chat.run,
    AppMode.AGENT_CHAT: agent_chat.run,
    AppMode.COMPLETION: completion.run,
}


class NotChatApp(BadRequest):
    """The route is for chat apps and the app is another."""

    code = "not_chat_app"


def check_chat_mode(app: AppSpec) -> None:
    """Raise NotChatApp unless the app is of the chat family."""
    if app.mode not in CHAT_MODES:
        raise NotChatApp("Please check if your app mode matches the right API route.")


def check_completion_mode(app: AppSpec) -> None:
    """Raise AppUnavailable unless the app is a completion app."""
    if app.mode is not AppMode.COMPLETION:
        raise AppUnavailable("Please check if your app mode matches the right API route.")


def generate(runtime: Runtime, app: AppSpec, principal: Principal, ask: Ask) -> EventLog:
    """Start a run and return its log; whatever can be refused is refused before it starts.

    Raises the AppError of the fault: unknown conversation, bad inputs or files,
    no usable model, no free slot. Three SQL statements with the caller's
    authentication; files and an idempotency claim take one more each.
    """
    if app.mode in FLOW_MODES:
        flow = flows.asked_flow(runtime, app, ask.workflow_id)
        return generate_flow(FlowCall(runtime=runtime, app=app, flow=flow, principal=principal, ask=ask))
    tally = Tally(
        runtime=runtime,
        tenant_id=app.tenant_id,
        app_id=app.id,
        actor_id=principal.id,
        key_id=ask.key_id,
        wait=True,
    )
    models = providers.model_runtime(tally, app.providers_version, is_watched=ask.is_watched)
    models.schema(app.tenant_id, app.configured().model.ref)
    slots = limits.take_slots(runtime, app, ask.key_id)
    try:
        started = _begin(runtime, app, principal, ask)
        recorder = Recorder(
            runtime=runtime,
            header=started.header,
            principal=principal,
            is_new=started.is_new,
            wants_title=started.is_new and ask.auto_generate_name and titles.may_be_titled(app),
            tally=tally,
        )

        reading = read_aloud.wanted(tally, app, ask, app.configured().text_to_speech)
        begin = _answering(recorder, app, ask, started, models, lines=reading.lines if reading else None)
        return run_threads.launch(runtime, started.header, begin, recorder, slots, reading=reading)
    except Repeated as again:
        limits.free_slots(runtime, slots)
        return messages.first_run(runtime, principal, app.id, again.made)
    except BaseException:
        limits.free_slots(runtime, slots)
        raise


def _answering(
    recorder: Recorder,
    app: AppSpec,
    ask: Ask,
    started: Started,
    models: ModelRuntime,
    *,
    lines: Lines | None,
) -> run_threads.Begin:
    """Return what makes the events of a run; what may be read aloud of it goes to ``lines`` as well."""
    runtime = recorder.runtime

    def begin(cancel: Cancel) -> Iterator[Event]:
        deps = _deps(recorder, app, ask, models, cancel)

        def answered(asked: Asked) -> Iterator[Event]:
            answer = partial(_events, runtime, app, started, asked, deps)
            if app.mode not in CHAT_MODES or app.annotations is None:
                return answer()
            inquiry = _inquiry(recorder, app, replace(ask, query=asked.query), deps)
            return annotation_replies.answer_or(inquiry, answer)

        wanted = Moderation(
            runtime=runtime,
            tenant_id=app.tenant_id,
            app_id=app.id,
            avoidance=app.configured().sensitive_word_avoidance,
            models=models,
        )
        asked = Asked(inputs=started.turn.inputs, query=ask.query)
        return moderation.moderated(wanted, cancel, asked, answered, lines=lines)

    return begin


def _inquiry(recorder: Recorder, app: AppSpec, ask: Ask, deps: Deps) -> Inquiry:
    return Inquiry(
        runtime=recorder.runtime,
        app=app,
        header=recorder.header,
        principal=recorder.principal,
        query=ask.query,
        invoke_from=ask.invoke_from,
        models=deps.models,
        cancel=deps.cancel,
    )


def _deps(recorder: Recorder, app: AppSpec, ask: Ask, models: ModelRuntime, cancel: Cancel) -> Deps:
    """Return what a run may use."""

    def retrieve(query: str) -> Retrieved:
        question = Question(runtime=recorder.runtime, app=app, models=models, cancel=cancel, text=query)
        return app_knowledge.consult(question, recorder.principal)

    place = Workplace(
        runtime=recorder.runtime,
        app=app,
        principal=recorder.principal,
        models=models,
        user=recorder.principal.user or recorder.principal.id,
        files=FlowFiles(recorder.runtime, recorder.principal, app.id),
        flows=NestedFlows(
            runtime=recorder.runtime,
            principal=recorder.principal,
            app_id=app.id,
            invoke_from=ask.invoke_from,
            key_id=ask.key_id,
            run_inside=run_inside,
        ),
    )
    find_tools = partial(agent_tools.tools_of_app, place)
    return Deps(models=models, cancel=cancel, retrieve=retrieve, find_tools=find_tools)


def find_run(runtime: Runtime, principal: Principal, app_id: str, task_id: str) -> EventLog:
    """Return the log of a run the caller itself started, running or ended within ten minutes.

    Raises NotFound for any other.
    """
    log = runtime.channel.find(task_id)
    if log is None or not _is_own(log.header, principal, app_id):
        raise NotFound("There is no such run, or its events are no longer kept.")
    return log


def stop(runtime: Runtime, principal: Principal, app_id: str, task_id: str) -> None:
    """Stop a run the caller itself started, in whatever process it goes or while it waits for a person.

    Nothing happens for any other.

    Deliberately silent: clients rely on success, and it tells a stranger nothing.
    """
    log = runtime.channel.find(task_id)
    if log is not None and _is_own(log.header, principal, app_id):
        runtime.channel.signal(task_id)
    if log is None or log.header.workflow_run_id is not None:
        flow_resumption.stop_paused(runtime, principal, app_id, task_id)


def _is_own(header: RunHeader, principal: Principal, app_id: str) -> bool:
    is_same_app = header.tenant_id == principal.tenant_id and header.app_id == app_id
    return is_same_app and (header.principal_id == principal.id or principal.kind is ActorKind.ACCOUNT)


def _begin(runtime: Runtime, app: AppSpec, principal: Principal, ask: Ask) -> Started:
    """Check the request against app and conversation, and write the rows of the run."""
    with _opened(runtime, app, ask) as opened:
        connection = opened.connection() if isinstance(opened, Session) else opened
        recalled = None
        if ask.conversation_id is not None:
            recalled = conversations.recall(connection, principal, app.id, ask.conversation_id)
        form = app.configured().user_input_form
        inputs = check_inputs(form, ask.inputs, recalled.inputs if recalled else None)
        started = _started(runtime, app, principal, ask, inputs, recalled)
        if isinstance(opened, Session):
            started = replace(started, attached=_attach(opened, app, principal, ask, inputs))
            _claim(opened, ask.claim, started.header)
        run_rows.insert(connection, app, principal, started, owner=runtime.owner, invoke_from=ask.invoke_from)
    return started


def _started(
    runtime: Runtime,
    app: AppSpec,
    principal: Principal,
    ask: Ask,
    inputs: JSONObject,
    recalled: Recalled | None,
) -> Started:
    """Return a new run, in a new conversation unless one is ``recalled``."""
    return Started(
        header=RunHeader(
            task_id=new_id(),
            tenant_id=app.tenant_id,
            app_id=app.id,
            mode=app.mode.value,
            principal_id=principal.id,
            created_at=int(time.time()),
            total_s=runtime.limits.run_timeout_s,
            conversation_id=recalled.conversation_id if recalled else new_id(),
            message_id=new_id(),
        ),
        turn=Turn(
            query=ask.query,
            inputs=inputs,
            history=recalled.turns if recalled else (),
            user=principal.user or principal.id,
        ),
        earlier=files.still_taken(app.configured().file_upload, recalled.files) if recalled else (),
        is_new=recalled is None,
    )


def _attach(
    session: Session, app: AppSpec, principal: Principal, ask: Ask, inputs: JSONObject
) -> tuple[files.AttachedFile, ...]:
    """Return the files of the question and of its variables, marked as used."""
    config = app.configured()
    attached = files.attach(session, principal, config.file_upload, ask.files)
    return attached + files.attach_inputs(session, principal, config.user_input_form, inputs)


def _opened(runtime: Runtime, app: AppSpec, ask: Ask) -> AbstractContextManager[Session | Connection]:
    """Return what a run's beginning is written with: the least that does."""
    form = app.configured().user_input_form
    if ask.files or ask.claim or any(item.kind in files.FILE_KINDS for item in form):
        return runtime.transaction()
    is_one_insert = ask.conversation_id is not None or joins_inserts(runtime.engine)
    return runtime.autocommit() if is_one_insert else runtime.writing()


def _claim(session: Session, claim: idempotency.Claim | None, header: RunHeader) -> None:
    """Take the request's idempotency claim, if any; raises Repeated when an earlier request has it."""
    first = idempotency.take(session, claim, message_id=header.message_id) if claim else None
    if first is not None:
        raise Repeated(str(first.message_id))


def _events(runtime: Runtime, app: AppSpec, started: Started, asked: Asked, deps: Deps) -> Iterator[Event]:
    """Yield the events of a run's turn; files are read and services asked here, on the run's own time."""
    detail = app.configured().file_upload.image.detail
    images = files.load_images(runtime, started.attached, detail=detail, cancel=deps.cancel)
    documents = attached_documents.load_documents(runtime, started.attached, started.earlier, deps.cancel)
    inputs = external_data.filled(runtime, app, asked, deps.cancel)
    turn = replace(started.turn, inputs=inputs, query=asked.query, images=images, documents=documents)
    yield from RUNNERS[app.mode](app, turn, deps)
