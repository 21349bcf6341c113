"""A collector of traces that takes OTLP over HTTP on this machine, and tells what it was sent."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.servers import Reply, ScriptedServer, Seen


@dataclass(frozen=True, kw_only=True)
class Told:
    """A span as it came."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: int
    took_s: float
    is_error: bool
    facts: Mapping[str, Any] = field(hash=False)


class Collector(ScriptedServer):
    """Takes what it is sent, unless it is told to answer otherwise."""

    def __init__(self) -> None:
        super().__init__(Reply(headers={"Content-Type": "application/x-protobuf"}))

    @property
    def raw(self) -> bytes:
        """All that was sent, for whoever looks for what must not be there."""
        return b"".join(seen.body for seen in self.seen)

    @property
    def spans(self) -> list[Told]:
        """The spans that were sent."""
        return [span for seen in self.seen for span in _spans(seen)]

    @property
    def resource(self) -> Mapping[str, Any]:
        """What the first of them told of the program."""
        sent = ExportTraceServiceRequest.FromString(self.seen[0].body)
        return _facts(sent.resource_spans[0].resource.attributes)


def _spans(seen: Seen) -> list[Told]:
    sent = ExportTraceServiceRequest.FromString(seen.body)
    return [
        Told(
            trace_id=span.trace_id.hex(),
            span_id=span.span_id.hex(),
            parent_id=span.parent_span_id.hex(),
            name=span.name,
            kind=span.kind,
            took_s=(span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
            is_error=span.status.code == 2,
            facts=_facts(span.attributes),
        )
        for resource in sent.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def _facts(attributes: Any) -> dict[str, Any]:
    return {item.key: getattr(item.value, item.value.WhichOneof("value")) for item in attributes}
