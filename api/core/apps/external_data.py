"""Variables of a prompt that another service fills in, when an app runs.

Boundary: how a service is asked is handed in. What must stay true: what a service
said is text for a variable, and never looked at for variables itself; where one
cannot be asked there is no answer, for the prompt would lack what it stands on.
"""

from collections.abc import Callable
from functools import partial

from api.core.apps.config import ExternalDataTool, ModelConfig
from api.core.http import Cancelled
from api.core.parallel import run_all
from api.core.ports import Cancel, JSONObject

MAX_AT_ONCE = 5

Query = Callable[[ExternalDataTool, Cancel], str]
"""Returns what a tool's service says; raises the AppError of what stands in the way, or Cancelled."""


def fill_in(config: ModelConfig, inputs: JSONObject, query: Query, cancel: Cancel) -> JSONObject:
    """Return the inputs with the variables of the app's external data tools, asked side by side.

    The inputs alone where the run was stopped, which then ends as stopped.
    """
    tools = config.data_tools
    if not tools:
        return inputs
    try:
        said = run_all([partial(query, tool) for tool in tools], cancel, max_threads=MAX_AT_ONCE)
    except Cancelled:
        if not cancel.is_set():
            raise
        return inputs
    return {**inputs, **{tool.variable: text for tool, text in zip(tools, said, strict=True)}}
