"""What the nodes of one run may use, put together from this process's backends and the caller's rights."""

from dataclasses import replace
from functools import partial

from api.core.apps.flow import FlowSpec
from api.core.apps.spec import AppSpec
from api.core.events import FormAsked
from api.core.model_runtime.runtime import ModelRuntime
from api.core.model_runtime.types import PastTurn
from api.core.tools.tool import Flows
from api.core.workflow.deps import FlowDeps, FlowFacts
from api.core.workflow.work import NodeFailed
from api.principal import Principal
from api.runtime import Runtime
from api.services import flow_rows
from api.services.flow_agents import FlowAgents
from api.services.flow_files import FlowFiles
from api.services.flow_knowledge import FlowKnowledge
from api.services.flow_tools import FlowTools
from api.services.forms import KeptForms


class NoForms:
    """Nobody could be asked where a node runs alone: there is no run to go on."""

    def ask(self, asked: FormAsked, _facts: FlowFacts) -> FormAsked:
        """Raise NodeFailed: there is nobody to ask."""
        raise NodeFailed(f"Node {asked.title!r} has nobody to ask in this run.", error_type="NobodyToAsk")


def make_deps(
    runtime: Runtime,
    app: AppSpec,
    flow: FlowSpec,
    principal: Principal,
    models: ModelRuntime,
    *,
    flows: Flows,
    home_app_id: str | None = None,
    conversation_id: str | None = None,
    history: tuple[PastTurn, ...] = (),
) -> FlowDeps:
    """Return what nodes may use. Conversation variables are kept where there is a conversation.

    Files are those of ``home_app_id``, where the run is one inside that app's.
    """
    files = FlowFiles(runtime, principal, home_app_id or app.id)
    deps = FlowDeps(
        models=models,
        sandbox=runtime.sandbox,
        http=runtime.http,
        files=files,
        knowledge=FlowKnowledge(runtime, app, principal, models),
        tools=FlowTools(runtime, principal, files, flows),
        forms=KeptForms(runtime),
        agents=FlowAgents(runtime, app, principal, models, files, flows, history),
        history=history,
        limits=runtime.limits.flow,
        conversation_types={item.name: item.value_type for item in flow.conversation_variables},
    )
    if conversation_id is None:
        return deps
    keep = partial(flow_rows.keep_conversation_variable, runtime, app, flow, conversation_id)
    return replace(deps, assign=keep)
