"""Jinja2 templates of a workflow's author, rendered in the sandbox, where they can do no harm."""

from api.core.ports import CodeFailed, JSONObject
from api.core.workflow.node import NodeContext
from api.core.workflow.work import NodeFailed

RENDER_S = 1.0


def render_jinja(template: str, variables: JSONObject, ctx: NodeContext) -> str:
    """Return the rendered template. Raises NodeFailed for one that fails or gives too much text."""
    try:
        text = ctx.deps.sandbox.render(template, variables, timeout_s=RENDER_S, cancel=ctx.cancel)
    except CodeFailed as exc:
        raise NodeFailed(str(exc), error_type="TemplateError") from exc
    if len(text) > ctx.deps.limits.max_text_chars:
        raise NodeFailed(f"The text has more than {ctx.deps.limits.max_text_chars:,} characters.")
    return text
