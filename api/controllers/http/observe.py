"""What every answer carries, the one log line of every request, and that it is counted.

The request id comes in as ``X-Request-Id`` or is made here; it goes out on the
answer and stands on each log line of the request and of the run it starts.
"""

import logging
import os
import re
import time

from flask import Flask, Request, Response, g

from api import __version__, traces
from api.controllers.http.door import present_request, runtime, when_sent
from api.logs import request_id
from api.principal import works_for

logger = logging.getLogger("api.access")

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Those that are counted by their name; clients may make up others."""
CARRIER = ("traceparent", "tracestate")
SANE_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


def install_observation(app: Flask) -> None:
    """Give each request an id, each answer its headers, each request one log line."""
    app.before_request(_begin)
    app.after_request(_end)


def _begin() -> None:
    asked = present_request()
    sent = asked.headers.get("X-Request-Id", "")
    here = g._get_current_object()  # noqa: SLF001  # as present_request
    here.started = time.monotonic()
    here.request_id = sent if SANE_ID.fullmatch(sent) else os.urandom(16).hex()
    request_id.set(here.request_id)
    works_for.set("")
    route = asked.url_rule.rule if asked.url_rule else None
    method = _method(asked)
    here.span = runtime().tracer.begin(
        f"{method} {route or 'none'}",
        "server",
        {"http.request.method": method, "http.route": route, "slipway.request_id": here.request_id},
        {name: asked.headers[name] for name in CARRIER if name in asked.headers},
    )
    traces.current.set(here.span)


def _method(asked: Request) -> str:
    return asked.method if asked.method in METHODS else "other"


def _tell(asked: Request, span: traces.Span, response: Response) -> None:
    """Tell the request's span how it came out; a stream is told until its client has all of it, or leaves."""
    traces.current.set(traces.NO_SPAN)
    status = response.status_code
    app_id = (asked.view_args or {}).get("app_id") if status < 400 else None
    span.tell({"http.response.status_code": status, "slipway.app_id": app_id})
    if status >= 500:
        span.fail(str(status))
    when_sent(response, span.end)


def _end(response: Response) -> Response:
    asked = present_request()
    here = runtime()
    headers = response.headers
    headers["X-Request-Id"] = headers["X-Trace-Id"] = g.get("request_id", "")
    headers["X-Version"] = __version__
    headers["X-Env"] = here.limits.deploy_env
    route = asked.url_rule.rule if asked.url_rule else None
    took_s = time.monotonic() - g.get("started", time.monotonic())
    here.metrics.count_request(_method(asked), route or "none", response.status_code, took_s)
    logger.info(
        "request",
        extra={
            "method": asked.method,
            "route": route,
            "status": response.status_code,
            "duration_ms": round(took_s * 1000, 2),
        },
    )
    _tell(asked, g.get("span", traces.NO_SPAN), response)
    return response
