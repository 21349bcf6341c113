"""Events survive their journey through JSON."""

from decimal import Decimal

import pytest

from api.core.events import (
    EVENT_TYPES,
    ErrorOccurred,
    Event,
    MessageEnd,
    RetrieverResource,
    TextChunk,
    TextReplaced,
    decode,
    encode,
    from_json,
    to_json,
)
from api.core.model_runtime.types import Price, Usage

USAGE = Usage(
    prompt_tokens=3,
    completion_tokens=5,
    price=Price(input=Decimal("2.50"), output=Decimal(10)),
    latency_s=0.25,
    first_token_s=0.1,
)
RESOURCE = RetrieverResource(
    position=1,
    dataset_id="d",
    dataset_name="D",
    document_id="o",
    document_name="O",
    data_source_type="upload_file",
    segment_id="s",
    retriever_from="api",
    score=0.5,
    content="text",
)
SAMPLES: list[Event] = [
    TextChunk(text="Grüße 🤖", selector=("llm", "text")),
    TextChunk(text=""),
    TextReplaced(text="all of it", reason="output_moderation"),
    MessageEnd(usage=USAGE, retriever_resources=(RESOURCE,), outcome="stopped"),
    MessageEnd(usage=None),
    ErrorOccurred(status=400, code="completion_request_error", message="no"),
]


@pytest.mark.parametrize("event", SAMPLES, ids=lambda event: type(event).__name__)
def test_event_comes_back_equal(event: Event) -> None:
    assert decode(encode(event)) == event
    assert from_json(to_json(event)) == event


def test_every_event_type_has_a_sample() -> None:
    assert {type(event).__name__ for event in SAMPLES} == set(EVENT_TYPES)


def test_usage_prices_are_exact() -> None:
    assert USAGE.total_price == Decimal("0.00005750")
