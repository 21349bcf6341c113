"""Doors of webhooks: open to whoever knows the address; a request begins a run and is answered at once."""

from http import HTTPStatus

import orjson
from flask import Blueprint, Response

from api.controllers.http import limits
from api.controllers.http.door import JSON_TYPE, public, runtime
from api.controllers.triggers.payloads import read_call
from api.core.workflow.webhooks import WebhookConfig
from api.services import trigger_runs

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")  # HEAD comes with GET
NO_BODY = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)

blueprint = Blueprint("triggers", __name__, url_prefix="/triggers")


@blueprint.route("/webhook/<string:webhook_id>", methods=METHODS)
@public
def webhook(webhook_id: str) -> Response:
    """Run the published workflow."""
    return _call(webhook_id, is_draft=False)


@blueprint.route("/webhook-debug/<string:webhook_id>", methods=METHODS)
@public
def webhook_debug(webhook_id: str) -> Response:
    """Run the draft."""
    return _call(webhook_id, is_draft=True)


def _call(webhook_id: str, *, is_draft: bool) -> Response:
    found = trigger_runs.find_webhook(runtime(), webhook_id, is_draft=is_draft)
    limits.count_app(found.app)
    trigger_runs.call_webhook(runtime(), found, read_call())
    return _answer(found.config)


def _answer(config: WebhookConfig) -> Response:
    """Return what the author has a caller answered: JSON where it is, else plain text, never a page."""
    if config.status_code in NO_BODY:
        return Response(status=config.status_code)
    body = config.response_body or '{"status":"success"}'
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        return Response(body, config.status_code, content_type="text/plain; charset=utf-8")
    return Response(body, config.status_code, content_type=JSON_TYPE)
