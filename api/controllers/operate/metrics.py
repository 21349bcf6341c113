"""The door for what watches the program: figures as Prometheus reads them.

Open to this machine alone until METRICS_TOKEN is set; then to who sends it.
Wire: docs/wire/operation.md#get-metrics.
"""

from collections.abc import Iterable, Iterator, Mapping

from flask import Blueprint, Response, request

from api import __version__
from api.controllers.http.door import public, runtime
from api.controllers.http.operator_keys import is_sent
from api.errors import Forbidden, Unauthorized
from api.services import measures
from api.services.measures import Family

blueprint = Blueprint("metrics", __name__)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
LOOPBACK = ("127.0.0.1", "::1", "::ffff:127.0.0.1")
FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-Ip")
"""What a proxy on this machine says of a caller that is not."""


@blueprint.get("/metrics")
@public
def metrics() -> Response:
    """Tell what was counted; to the operator alone."""
    check_operator()
    return Response(render_text(measures.measure(runtime())), content_type=CONTENT_TYPE)


def check_operator() -> None:
    """Raise Unauthorized or Forbidden unless the request comes from whoever operates the program."""
    token = runtime().limits.metrics_token
    if token:
        if not is_sent(token):
            raise Unauthorized("This needs the METRICS_TOKEN as a Bearer token.")
    elif request.remote_addr not in LOOPBACK or any(name in request.headers for name in FORWARDED):
        raise Forbidden("Figures are for this machine alone until METRICS_TOKEN is set.")


def render_text(families: Iterable[Family]) -> str:
    """Return Prometheus' text format, version 0.0.4."""
    return "\n".join(_lines(families)) + "\n"


def _lines(families: Iterable[Family]) -> Iterator[str]:
    yield "# TYPE slipway_info gauge"
    yield f"slipway_info{_labels({'version': __version__})} 1"
    for family in families:
        yield f"# HELP {family.name} {family.meaning}"
        yield f"# TYPE {family.name} {family.kind}"
        for sample in family.samples:
            yield f"{family.name}{sample.suffix}{_labels(sample.labels)} {sample.value!r}"


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
