"""What a call of a model is said to have taken."""

from decimal import Decimal

from api.core.model_runtime.metering import MAX_TOKENS, Meter
from api.core.model_runtime.types import ChatChunk, Message, Price, Role, TokenCount
from api.core.text.tokens import count_tokens

PRICE = Price(input=Decimal(1), output=Decimal(2))
PROMPT = (Message.of(Role.USER, "How many ships?"),)


def test_usage_is_what_the_provider_reports_and_what_was_spent_before() -> None:
    meter = Meter("m", PROMPT)
    meter.see(ChatChunk(text="Two"))
    meter.see(ChatChunk(tokens=TokenCount(prompt_tokens=7, completion_tokens=5)))

    usage = meter.usage(PRICE, TokenCount(prompt_tokens=1, completion_tokens=2))

    assert (usage.prompt_tokens, usage.completion_tokens) == (8, 7)
    assert usage.first_token_s is not None
    assert usage.to_json()["total_price"] == "0.0000220"
    assert usage.to_json()["time_to_generate"] == usage.latency_s - usage.first_token_s


def test_answer_that_was_stopped_is_counted_where_only_its_prompt_was_reported() -> None:
    meter = Meter("m", PROMPT)
    meter.see(ChatChunk(tokens=TokenCount(prompt_tokens=70, completion_tokens=1, is_estimate=True)))
    meter.see(ChatChunk(text="Two", reasoning="Let me see"))

    usage = meter.usage(PRICE)

    assert usage.prompt_tokens == 70
    assert usage.completion_tokens == count_tokens("TwoLet me see", "m")


def test_usage_nobody_reports_is_counted() -> None:
    meter = Meter("m", PROMPT)

    usage = meter.usage(PRICE)

    assert usage.prompt_tokens > 4
    assert usage.completion_tokens == 0
    assert usage.to_json()["time_to_generate"] is None


def test_usage_keeps_what_a_provider_made_up_within_bounds() -> None:
    meter = Meter("m", PROMPT)
    meter.see(ChatChunk(tokens=TokenCount(prompt_tokens=-1, completion_tokens=2**40)))

    usage = meter.usage(PRICE)

    assert (usage.prompt_tokens, usage.completion_tokens) == (0, MAX_TOKENS)
