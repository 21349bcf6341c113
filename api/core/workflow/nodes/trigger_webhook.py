"""Webhook trigger: a request from outside begins the run."""

from api.core.workflow.node import NodeContext, given, node
from api.core.workflow.webhooks import WebhookConfig
from api.core.workflow.work import NodeResult


@node(
    "trigger-webhook",
    defaults={
        "method": "post",
        "content_type": "application/json",
        "headers": [],
        "params": [],
        "body": [],
        "async_mode": True,
        "status_code": 200,
        "response_body": "",
        "timeout": 30,
    },
)
class WebhookTrigger:
    """The pool holds what ``webhooks.py`` made of the request before it runs."""

    Config = WebhookConfig

    def run(self, _config: WebhookConfig, ctx: NodeContext) -> NodeResult:
        """Return what the request gave."""
        return given(ctx)
