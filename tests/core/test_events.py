"""Events survive their journey through JSON."""

from decimal import Decimal

import pytest

from api.core.events import (
    EVENT_TYPES,
    AgentLogged,
    AgentThought,
    ErrorOccurred,
    Event,
    FileMade,
    FormAsked,
    FormClosed,
    MessageEnd,
    NodeFinished,
    NodeStarted,
    RetrieverResource,
    RoundStarted,
    RunFinished,
    RunPaused,
    RunStarted,
    SpeechChunk,
    SpeechEnd,
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
    MessageEnd(usage=None, annotation_reply={"id": "a", "account": {"id": "b", "name": "Ann"}}),
    ErrorOccurred(status=400, code="completion_request_error", message="no"),
    RunStarted(inputs={"a": [1]}, created_at=1, reason="resumption"),
    NodeStarted(execution_id="x", node_id="n", node_type="llm", title="N", index=1, created_at=1, length=2),
    NodeFinished(
        execution_id="x",
        node_id="n",
        node_type="llm",
        title="N",
        index=1,
        created_at=1,
        finished_at=2,
        elapsed_s=0.5,
        status="exception",
        inputs={},
        process_data={"a": {"b": None}},
        outputs={"text": "é"},
        metadata={"total_tokens": 3},
        error="no",
        retry_index=1,
    ),
    RoundStarted(node_id="l", node_type="loop", title="L", index=1, created_at=1, previous={"n": 1}),
    AgentLogged(node_id="n", execution_id="x", id="i", label="call", status="success", told={"a": 1}),
    AgentThought(id="t", position=1, created_at=1, tool="f", files=({"id": "x"},), calls=({"name": "f"},)),
    FileMade(id="x", kind="image", url="/files/x"),
    FormAsked(
        node_id="n",
        title="N",
        content="?",
        fields=({"type": "paragraph"},),
        actions=({"id": "yes"},),
        defaults={"a": "b"},
        expires_at=9,
        deliveries=({"type": "webapp"},),
    ),
    FormClosed(node_id="n", title="N", action_id="yes", action_text="Yes", content="!"),
    RunPaused(node_ids=("n", "m"), outputs={}, created_at=1, elapsed_s=0.5, total_tokens=1, total_steps=2),
    RunFinished(
        status="partial-succeeded",
        outputs={"a": 1},
        created_at=1,
        finished_at=2,
        elapsed_s=0.5,
        total_tokens=1,
        total_steps=2,
        files=({"id": "f"},),
    ),
    SpeechChunk(audio="SUQz"),
    SpeechEnd(),
]


@pytest.mark.parametrize("event", SAMPLES, ids=lambda event: type(event).__name__)
def test_event_comes_back_equal(event: Event) -> None:
    assert decode(encode(event)) == event
    assert from_json(to_json(event)) == event


def test_every_event_type_has_a_sample() -> None:
    assert {type(event).__name__ for event in SAMPLES} == set(EVENT_TYPES)


def test_usage_prices_are_exact() -> None:
    assert USAGE.total_price == Decimal("0.00005750")
