"""The demo's workflow: a form, a code node, a branch and two templates, without any model."""

from sqlalchemy.orm import Session

from api.core.ports import JSONObject, JSONValue
from api.principal import Principal
from api.runtime import Runtime
from api.services import apps, tokens, workflows
from api.services.workflows import DraftChanges

NAME = "Slipway demo workflow"
MANY_WORDS = "8"
TEXT = "A run belongs to the server, so a lost client changes nothing."
"""What is counted for a caller that does not know the form, as the samples of the SDKs do not."""
FIELD: JSONObject = {
    "variable": "text",
    "label": "Text",
    "type": "paragraph",
    "required": False,
    "default": TEXT,
}
CODE = """def main(text: str) -> dict:
    words = [word.strip(".,;:!?") for word in text.split()]
    return {"count": len(words), "longest": max(words, key=len) if words else ""}
"""


def make_workflow(runtime: Runtime, session: Session, principal: Principal) -> str:
    """Make and publish the demo's workflow app; return its key."""
    app = apps.create_app(
        runtime,
        session,
        principal,
        name=NAME,
        mode="workflow",
        description="Counts the words of a text.",
        is_demo=True,
    )
    workflows.save_draft(runtime, session, principal, app.id, DraftChanges(graph=_graph()))
    workflows.publish(runtime, session, principal, app.id, name="", comment="")
    _, key = tokens.create_token(session, principal, name="demo", app_id=app.id)
    return key


def _graph() -> JSONObject:
    counted = _variables(count=["words", "count"], longest=["words", "longest"])
    condition: JSONObject = {
        "variable_selector": ["words", "count"],
        "comparison_operator": "≥",
        "value": MANY_WORDS,
    }
    output: JSONObject = {"type": "number"}
    nodes: list[JSONValue] = [
        _node(0, "start", "start", title="Start", variables=[{**FIELD}]),
        _node(
            1,
            "words",
            "code",
            title="Count",
            code_language="python3",
            code=CODE,
            variables=_variables(text=["start", "text"]),
            outputs={"count": output, "longest": {"type": "string"}},
        ),
        _node(
            2,
            "length",
            "if-else",
            title="Long?",
            cases=[{"case_id": "long", "logical_operator": "and", "conditions": [condition]}],
        ),
        _node(
            3,
            "long",
            "template-transform",
            title="Long",
            template="A text of {{ count }} words; the longest is {{ longest }}.",
            variables=counted,
        ),
        _node(
            3,
            "short",
            "template-transform",
            title="Short",
            template="Only {{ count }} words.",
            variables=counted,
        ),
        _node(
            4,
            "told",
            "variable-aggregator",
            title="Either",
            output_type="string",
            variables=[["long", "output"], ["short", "output"]],
        ),
        _node(5, "end", "end", title="End", outputs=_variables(result=["told", "output"])),
    ]
    ways = ("start words", "words length", "long told", "short told", "told end")
    branches = ("length long long", "length short false")
    edges: list[JSONValue] = [_edge(*way.split()) for way in (*ways, *branches)]
    return {"nodes": nodes, "edges": edges}


def _node(column: int, node_id: str, node_type: str, **data: JSONValue) -> JSONObject:
    row = 1 if node_id == "short" else 0
    return {
        "id": node_id,
        "type": "custom",
        "position": {"x": 320 * column, "y": 160 * row},
        "data": {"type": node_type, **data},
    }


def _edge(source: str, target: str, handle: str = "source") -> JSONObject:
    return {
        "id": f"{source}-{target}",
        "type": "custom",
        "source": source,
        "sourceHandle": handle,
        "target": target,
        "targetHandle": "target",
    }


def _variables(**selectors: list[str]) -> list[JSONValue]:
    return [{"variable": name, "value_selector": [*selector]} for name, selector in selectors.items()]
