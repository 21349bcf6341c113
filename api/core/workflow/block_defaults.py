"""What a new node on the canvas begins with, as each node type says itself.

Wire: docs/wire/workflows.md#new-nodes.
"""

from copy import deepcopy

import api.core.workflow.nodes  # noqa: F401  # makes the node types known
from api.core.ports import JSONObject
from api.core.workflow.node import NODES

JAVASCRIPT: JSONObject = {
    "code_language": "javascript",
    "code": "function main({arg1, arg2}) {\n    return {result: arg1 + arg2};\n}\n",
}


def all_defaults() -> list[JSONObject]:
    """Return the type and config of every node type that has defaults."""
    return [
        {"type": kind.type, "config": deepcopy(kind.defaults)}
        for kind in NODES.values()
        if kind.defaults is not None and kind.version == "1"
    ]


def defaults_of(node_type: str, language: str | None = None) -> JSONObject | None:
    """Return the config a new node of the type begins with; None where there is none.

    Code begins in Python, or in the ``language`` that is asked for.
    """
    kind = NODES.get((node_type, "1"))
    if kind is None or kind.defaults is None:
        return None
    is_other = language == JAVASCRIPT["code_language"] and "code_language" in kind.defaults
    return {**deepcopy(kind.defaults), **(JAVASCRIPT if is_other else {})}
