"""The vocabulary of talking to models: messages in, chunks out, usage and prices.

Boundary: values only, shared by every provider; knows no vendor and no wire.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
from typing import Literal

from api.core.ports import JSONObject, JSONValue

IdStyle = Literal["long", "short"]


class ModelType(StrEnum):
    """What a model does, in the words of the console API."""

    LLM = "llm"
    TEXT_EMBEDDING = "text-embedding"
    RERANK = "rerank"
    SPEECH2TEXT = "speech2text"
    TTS = "tts"
    MODERATION = "moderation"


class Role(StrEnum):
    """Who speaks in a prompt."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


@dataclass(frozen=True, slots=True)
class TextPart:
    """A piece of text."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePart:
    """An image for a vision model: its bytes, or a public URL the provider fetches itself."""

    mime_type: str
    data: bytes | None = None
    url: str | None = None
    detail: Literal["low", "high"] = "high"


Part = TextPart | ImagePart


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A call the model asks for; ``arguments`` is the JSON text as the model wrote it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message of a prompt. A TOOL message answers the call named by ``tool_call_id``."""

    role: Role
    parts: tuple[Part, ...]
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None

    @classmethod
    def of(cls, role: Role, text: str) -> "Message":
        """Return a message of one text."""
        return cls(role=role, parts=(TextPart(text),))

    @property
    def text(self) -> str:
        """The text parts, joined by newlines."""
        return "\n".join(part.text for part in self.parts if isinstance(part, TextPart))


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSpec:
    """A tool the model may call; ``parameters`` is a JSON schema of type object."""

    name: str
    description: str
    parameters: JSONObject


@dataclass(frozen=True, slots=True)
class ModelRef:
    """A model of a provider, by the provider's short id (``"openai"``)."""

    provider: str
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """One call of a chat model.

    ``parameters`` are the completion parameters of the app (``temperature``,
    ``top_p``, ``max_tokens``, ``stop`` …). A provider drops the tuning knobs its
    models lack, and raises ModelUnavailable for a feature they lack (tools,
    images). With ``joins`` it may yield as one chunk what came together: nobody
    watches the answer come.
    """

    model: str
    messages: tuple[Message, ...]
    parameters: Mapping[str, JSONValue] = field(default_factory=dict)
    stop: tuple[str, ...] = ()
    tools: tuple[ToolSpec, ...] = ()
    user: str | None = None
    joins: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PastTurn:
    """One earlier question and its answer, oldest first in a list of them."""

    query: str
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCount:
    """Tokens as the provider reported them, or as we counted where it reported none."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    is_estimate: bool = False

    def __add__(self, other: "TokenCount") -> "TokenCount":
        """Return what two calls took together."""
        return TokenCount(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            is_estimate=self.is_estimate or other.is_estimate,
        )


NO_TOKENS = TokenCount()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatChunk:
    """One step of a chat model's stream.

    ``text`` is a delta of the answer, ``reasoning`` a delta of the model's
    thinking, which never becomes part of the answer. ``tool_calls`` come whole,
    once. ``tokens`` is what the call took so far, wherever the provider reports
    it; at the beginning some tell those of the prompt alone, as an estimate.
    """

    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tokens: TokenCount | None = None
    finish_reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPiece(ChatChunk):
    """A step in which a piece of a tool call came, of ``chars`` characters; the call comes whole, later."""

    chars: int


SILENCE = ChatChunk()
"""A step that tells nothing: the vendor sent what is no part of an answer, such as a ping."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Prices of a model: ``input`` and ``output`` per ``unit`` tokens (0.000001 = per million)."""

    input: Decimal
    output: Decimal
    unit: Decimal = Decimal("0.000001")
    currency: str = "USD"


FREE = Price(input=Decimal(0), output=Decimal(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What one answer cost: tokens, prices, and seconds measured by us.

    Wire: ``Usage`` of docs/wire/streaming.md; prices are decimal strings there.
    """

    prompt_tokens: int
    completion_tokens: int
    price: Price
    latency_s: float
    first_token_s: float | None

    @property
    def total_tokens(self) -> int:
        """Prompt and completion together."""
        return self.prompt_tokens + self.completion_tokens

    @property
    def prompt_price(self) -> Decimal:
        """Price of the prompt in ``price.currency``."""
        return self.prompt_tokens * self.price.input * self.price.unit

    @property
    def completion_price(self) -> Decimal:
        """Price of the answer in ``price.currency``."""
        return self.completion_tokens * self.price.output * self.price.unit

    @property
    def total_price(self) -> Decimal:
        """Price of prompt and answer in ``price.currency``."""
        return self.prompt_price + self.completion_price

    def plus(self, other: "Usage") -> "Usage":
        """Return what both cost together, one after the other; the price is what they cost on average.

        Amounts of another currency cannot be added: their tokens count, their price does not.
        """
        if other.price.currency != self.price.currency:
            other = replace(other, price=replace(FREE, currency=self.price.currency))
        prompt_tokens = self.prompt_tokens + other.prompt_tokens
        completion_tokens = self.completion_tokens + other.completion_tokens
        unit = self.price.unit
        return Usage(
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            price=Price(
                input=_each(self.prompt_price + other.prompt_price, prompt_tokens, unit),
                output=_each(self.completion_price + other.completion_price, completion_tokens, unit),
                unit=unit,
                currency=self.price.currency,
            ),
            latency_s=self.latency_s + other.latency_s,
            first_token_s=other.first_token_s if self.first_token_s is None else self.first_token_s,
        )

    def to_json(self) -> JSONObject:
        """Return the usage as clients and workflows know it; prices are decimal strings."""
        price, first = self.price, self.first_token_s
        return {
            "prompt_tokens": self.prompt_tokens,
            "prompt_unit_price": f"{price.input:f}",
            "prompt_price_unit": f"{price.unit:f}",
            "prompt_price": f"{self.prompt_price:.7f}",
            "completion_tokens": self.completion_tokens,
            "completion_unit_price": f"{price.output:f}",
            "completion_price_unit": f"{price.unit:f}",
            "completion_price": f"{self.completion_price:.7f}",
            "total_tokens": self.total_tokens,
            "total_price": f"{self.total_price:.7f}",
            "currency": price.currency,
            "latency": self.latency_s,
            "time_to_first_token": first,
            "time_to_generate": None if first is None else self.latency_s - first,
        }


def _each(total: Decimal, tokens: int, unit: Decimal) -> Decimal:
    return total / tokens / unit if tokens else Decimal(0)


class EmbedKind(StrEnum):
    """Which side of a search a text is on; some models embed the two differently."""

    QUERY = "query"
    PASSAGE = "passage"


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Vectors of texts in the order given: n rows of one dimension, each of unit length."""

    vectors: Sequence[Sequence[float]]
    tokens: TokenCount


@dataclass(frozen=True, slots=True)
class Score:
    """How well the text at place ``index`` of a list answers a question: 0..1, higher is better."""

    index: int
    score: float


@dataclass(frozen=True, slots=True)
class Ranking:
    """Texts as a model ranks them, best first."""

    scores: list[Score]
    tokens: TokenCount = NO_TOKENS


@dataclass(frozen=True, slots=True)
class Transcript:
    """What is said in a recording, in its own language; empty where nothing is."""

    text: str
    tokens: TokenCount = NO_TOKENS


@dataclass(frozen=True, slots=True, kw_only=True)
class Audio:
    """A recording; providers know its format by ``extension`` (no dot) and ``mime_type``."""

    extension: str
    mime_type: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSchema:
    """What one model can do, as data.

    ``context_tokens`` bounds prompt and answer together, ``max_output_tokens``
    the answer alone (0 = not known). ``features`` are the console's words
    (``vision``, ``tool-call``, ``multi-tool-call``, ``stream-tool-call``,
    ``agent-thought``, ``structured-output`` …). ``max_chunks`` is how many texts
    one embedding call takes, ``parallel_calls`` how many of them may run at once.
    ``score_floor`` and ``score_ceiling`` are the cosines at which texts have
    nothing, and everything, to do with each other. ``voices`` are those of a
    model that speaks, its default first; none where they are not known. ``rules``
    are its completion parameters where they are not those of its provider.
    """

    model: str
    type: ModelType
    label: str
    context_tokens: int
    max_output_tokens: int = 0
    features: frozenset[str] = frozenset()
    price: Price = FREE
    max_chunks: int = 0
    parallel_calls: int = 4
    score_floor: float = 0.0
    score_ceiling: float = 1.0
    voices: tuple[str, ...] = ()
    rules: tuple["ParameterRule", ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialField:
    """One field of a provider's credential form. SECRET values never leave the server unmasked.

    ``is_address`` marks where the secrets are sent: a stored secret stays with
    the address it was given for.
    """

    variable: str
    label: str
    label_zh: str
    type: Literal["text-input", "secret-input", "select"] = "text-input"
    is_required: bool = False
    default: str | None = None
    options: tuple[str, ...] = ()
    placeholder: str = ""
    is_address: bool = False

    @property
    def is_secret(self) -> bool:
        """Tell whether the value must be masked in every answer."""
        return self.type == "secret-input"


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterRule:
    """One completion parameter a model accepts, as the console's form shows it."""

    name: str
    label: str
    label_zh: str
    type: Literal["float", "int", "string", "boolean", "text"]
    default: JSONValue = None
    min: float | None = None
    max: float | None = None
    precision: int | None = None
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSchema:
    """A provider as data: what the console shows and what the runtime checks against.

    ``id`` is the short id (``"openai"``), ``plugin_id`` the organisation and
    plugin part of Dify's long id (``"langgenius/openai"``), so that the long id
    is ``"langgenius/openai/openai"``. One that a plugin brings has no short id:
    its ``id`` is the long one. ``is_customizable`` providers take models
    by any name; ``needs_credentials`` is False for what runs in this process.
    ``is_generative`` is False where chat models only quote. ``sdk`` names the
    vendor's package, imported at first use or warmed after the start.
    """

    id: str
    plugin_id: str
    label: str
    label_zh: str
    description: str
    description_zh: str
    background: str
    icon_svg: str
    models: tuple[ModelSchema, ...]
    credential_fields: tuple[CredentialField, ...] = ()
    model_credential_fields: tuple[CredentialField, ...] = ()
    parameter_rules: tuple[ParameterRule, ...] = ()
    custom_model_types: frozenset[ModelType] = frozenset()
    is_generative: bool = True
    sdk: str | None = None
    help_url: str | None = None

    @property
    def long_id(self) -> str:
        """Dify's ``organisation/plugin/provider`` form."""
        return self.id if "/" in self.id else f"{self.plugin_id}/{self.id}"

    def named(self, style: IdStyle) -> str:
        """Return the id in the form clients are shown; both forms are taken everywhere."""
        return self.long_id if style == "long" else self.id

    @property
    def is_customizable(self) -> bool:
        """Tell whether models outside ``models`` may be used."""
        return bool(self.custom_model_types)

    @property
    def needs_credentials(self) -> bool:
        """Tell whether the provider is unusable until a workspace configures it."""
        return any(f.is_required for f in self.credential_fields) or bool(self.model_credential_fields)

    @property
    def model_types(self) -> tuple[ModelType, ...]:
        """The kinds of models offered, in a stable order."""
        offered = {model.type for model in self.models} | self.custom_model_types
        return tuple(kind for kind in ModelType if kind in offered)
