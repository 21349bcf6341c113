"""How a dataset is searched: the wire's RetrievalModel, validated.

Takes what both dialects and both consoles send: weights as the flat pair or
nested, names of the rerank model in either form, a threshold without its switch.
Wire: ``retrieval_model`` of the knowledge API, and of the console.
"""

from typing import Annotated, Literal, TypeAlias

from pydantic import (
    AliasChoices,
    AliasPath,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from api.core.model_runtime.provider import short_id
from api.core.model_runtime.types import ModelRef
from api.core.ports import JSONObject
from api.core.rag.faults import to_invalid_request
from api.core.rag.metadata_filter import MetadataFilter

SearchMethod: TypeAlias = Literal["semantic_search", "full_text_search", "hybrid_search", "keyword_search"]

MAX_TOP_K = 100
DEFAULT_TOP_K = 4

# With these a hybrid search finds more than either of its parts on every set with relevance judgements
# (docs/benchmarks.md); with 0.7 for the meaning it finds less than words alone on three of them.
DEFAULT_SEMANTIC_WEIGHT = 0.4
DEFAULT_KEYWORD_WEIGHT = 0.6
SUM_TOLERANCE = 1e-6

Share = Annotated[float, Field(ge=0.0, le=1.0)]


class RerankModelName(BaseModel):
    """Which model reranks; the console sends empty names for none."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    provider: str = Field("", validation_alias=AliasChoices("reranking_provider_name", "provider"))
    model: str = Field("", validation_alias=AliasChoices("reranking_model_name", "model"))


class Weights(BaseModel):
    """What the two parts of a hybrid search count for, and what the console keeps beside that."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    semantic_weight: Share = Field(
        validation_alias=AliasChoices(AliasPath("vector_setting", "vector_weight"), "semantic_weight")
    )
    keyword_weight: Share = Field(
        validation_alias=AliasChoices(AliasPath("keyword_setting", "keyword_weight"), "keyword_weight")
    )
    weight_type: Literal["semantic_first", "keyword_first", "customized"] | None = None
    embedding_provider_name: str | None = Field(
        None, validation_alias=AliasPath("vector_setting", "embedding_provider_name")
    )
    embedding_model_name: str | None = Field(
        None, validation_alias=AliasPath("vector_setting", "embedding_model_name")
    )

    @model_validator(mode="after")
    def _count_for_something(self) -> "Weights":
        if self.semantic_weight + self.keyword_weight == 0:
            raise ValueError("one of the weights must be above 0")
        return self

    @property
    def shares(self) -> tuple[float, float]:
        """The weights of the semantic and the keyword part, which together are 1."""
        total = self.semantic_weight + self.keyword_weight
        if abs(total - 1.0) <= SUM_TOLERANCE:
            return self.semantic_weight, self.keyword_weight
        return self.semantic_weight / total, self.keyword_weight / total

    def to_wire(self) -> JSONObject:
        """Return the nested form."""
        semantic, keyword = self.shares
        return {
            "weight_type": self.weight_type or "customized",
            "vector_setting": {
                "vector_weight": semantic,
                "embedding_provider_name": self.embedding_provider_name or "",
                "embedding_model_name": self.embedding_model_name or "",
            },
            "keyword_setting": {"keyword_weight": keyword},
        }


class RetrievalModel(BaseModel):
    """The whole choice; made without arguments it is the default."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    search_method: SearchMethod = "semantic_search"
    reranking_enable: bool = False
    reranking_mode: Literal["reranking_model", "weighted_score"] | None = None
    reranking_model: RerankModelName = RerankModelName()
    top_k: int = Field(DEFAULT_TOP_K, ge=1, le=MAX_TOP_K)
    score_threshold_enabled: bool = False
    score_threshold: Share | None = None
    weights: Weights | None = None
    metadata_filtering_conditions: MetadataFilter | None = None

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, raw: object) -> object:
        """Drop nulls, which stand for what is not set, and switch on a threshold given without its switch."""
        if not isinstance(raw, dict):
            return raw
        kept = {key: value for key, value in raw.items() if value is not None}
        return {"score_threshold_enabled": "score_threshold" in kept, **kept}

    @property
    def threshold(self) -> float:
        """The least score of what is returned, 0 where there is no limit."""
        return self.score_threshold or 0.0 if self.score_threshold_enabled else 0.0

    @property
    def shares(self) -> tuple[float, float]:
        """What the semantic and the keyword part of a hybrid search count for; together 1."""
        return self.weights.shares if self.weights else (DEFAULT_SEMANTIC_WEIGHT, DEFAULT_KEYWORD_WEIGHT)

    @property
    def rerank_ref(self) -> ModelRef | None:
        """The model that reranks; None where weights do, or where reranking is off or names no model."""
        named = self.reranking_model
        if not self.reranking_enable or self.reranking_mode == "weighted_score":
            return None
        return ModelRef(short_id(named.provider), named.model) if named.provider and named.model else None

    def to_wire(self) -> JSONObject:
        """Return what the dataset routes show, and :func:`load_retrieval_model` takes back."""
        found: JSONObject = {
            "search_method": self.search_method,
            "reranking_enable": self.reranking_enable,
            "reranking_mode": self.reranking_mode,
            "reranking_model": {
                "reranking_provider_name": self.reranking_model.provider,
                "reranking_model_name": self.reranking_model.model,
            },
            "weights": self.weights.to_wire() if self.weights else None,
            "top_k": self.top_k,
            "score_threshold_enabled": self.score_threshold_enabled,
            "score_threshold": self.score_threshold,
        }
        if self.metadata_filtering_conditions is not None:
            found["metadata_filtering_conditions"] = self.metadata_filtering_conditions.model_dump(
                mode="json"
            )
        return found


def load_retrieval_model(raw: JSONObject | None, field: str = "retrieval_model") -> RetrievalModel:
    """Return a checked choice, the default for None; what is left out has its default.

    Raises InvalidRequest naming the key at fault, such as ``retrieval_model.top_k``.
    """
    try:
        return RetrievalModel.model_validate({} if raw is None else raw)
    except ValidationError as exc:
        raise to_invalid_request(exc, field) from None
