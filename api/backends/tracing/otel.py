"""Traces by OpenTelemetry's library, sent to a collector by OTLP over HTTP.

The library comes with the extra ``otel``; this module is imported by an
installation that traces only. It takes none of its settings from the
environment by itself: those the program knows are in api/settings.py.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Self
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
from opentelemetry.trace import SpanKind, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from api import __version__
from api.backends.tracing.sender import SpanSender
from api.core.egress import EgressPolicy
from api.core.http import HTTPClient, Timeouts
from api.core.ports import Cancel
from api.settings import Settings
from api.traces import Facts, Kind, Span

WAIT_S = 5.0
MAX_ANSWER_BYTES = 65_536
KINDS = {
    "internal": SpanKind.INTERNAL,
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "consumer": SpanKind.CONSUMER,
}
PROPAGATOR = TraceContextTextMapPropagator()


class NotTaken(Exception):
    """The collector answered, and did not take what it was sent."""


class Backend:
    """Implements Tracer; ``tracer`` is the library's."""

    def __init__(self, tracer: Any, sender: SpanSender) -> None:
        self._tracer = tracer
        self._sender = sender

    @classmethod
    def from_settings(cls, settings: Settings, *, dropped: Callable[[int], None]) -> Self:
        """Send to OTEL_EXPORTER_OTLP_ENDPOINT; ``dropped`` counts the spans that do not get there."""
        sender = SpanSender(partial(_post, settings, _client(settings)), dropped)
        provider = TracerProvider(
            sampler=ParentBasedTraceIdRatio(settings.otel_traces_sampler_arg),
            resource=Resource(
                {
                    "service.name": settings.otel_service_name,
                    "service.version": __version__,
                    "deployment.environment.name": settings.deploy_env,
                }
            ),
            shutdown_on_exit=False,
        )
        provider.add_span_processor(_Ended(sender))
        return cls(provider.get_tracer("slipway", __version__), sender)

    def begin(self, name: str, kind: Kind, facts: Facts, carrier: Mapping[str, str]) -> Span:
        """Begin a span; see Tracer."""
        return _begin(self._tracer, name, kind, facts, PROPAGATOR.extract(carrier))

    def stop(self, timeout_s: float) -> None:
        """Send what is left; see Tracer."""
        self._sender.stop(timeout_s)


class _OtelSpan:
    """Implements Span by one of the library's."""

    def __init__(self, tracer: Any, begun: Any) -> None:
        self._tracer = tracer
        self._begun = begun

    def child(self, name: str, kind: Kind, facts: Facts) -> Span:
        return _begin(self._tracer, name, kind, facts, set_span_in_context(self._begun))

    def tell(self, facts: Facts) -> None:
        self._begun.set_attributes(_told(facts))

    def fail(self, reason: str) -> None:
        self._begun.set_attribute("error.type", reason)
        self._begun.set_status(StatusCode.ERROR)

    def end(self) -> None:
        self._begun.end()

    def carrier(self) -> Mapping[str, str]:
        carrier: dict[str, str] = {}
        PROPAGATOR.inject(carrier, set_span_in_context(self._begun))
        return carrier


class _Ended(SpanProcessor):  # type: ignore[misc]  # the library need not be installed where types are checked
    """Hands spans that ended to the sender."""

    def __init__(self, sender: SpanSender) -> None:
        self._sender = sender

    def on_end(self, span: Any) -> None:
        if span.context.trace_flags.sampled:
            self._sender.put(span)


def _begin(tracer: Any, name: str, kind: Kind, facts: Facts, context: Any) -> Span:
    begun = tracer.start_span(name, context=context, kind=KINDS[kind], attributes=_told(facts))
    return _OtelSpan(tracer, begun)


def _told(facts: Facts) -> dict[str, str | bool | int | float]:
    return {name: value for name, value in facts.items() if value is not None}


def _client(settings: Settings) -> HTTPClient:
    """Return a client that reaches the collector alone, wherever the operator has it."""
    parts = urlsplit(settings.otel_exporter_otlp_endpoint)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    only = EgressPolicy(endpoints=frozenset({((parts.hostname or "").rstrip("."), port)}))
    return HTTPClient(only, Timeouts(connect_s=WAIT_S, first_byte_s=WAIT_S, idle_s=WAIT_S))


def _post(settings: Settings, http: HTTPClient, spans: Sequence[Any], cancel: Cancel) -> None:
    """Send spans; raises NotTaken, or an HTTPFailure."""
    reply = http.request(
        "POST",
        f"{settings.otel_exporter_otlp_endpoint.rstrip('/')}/v1/traces",
        cancel=cancel,
        max_bytes=MAX_ANSWER_BYTES,
        headers={"content-type": "application/x-protobuf", **settings.otlp_headers},
        content=encode_spans(spans).SerializeToString(),
    )
    if not 200 <= reply.status < 300:
        raise NotTaken(f"status {reply.status}")
