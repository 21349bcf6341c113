"""How a dataset of another service is searched: the wire's external_retrieval_model, validated."""

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from api.core.ports import JSONObject
from api.core.rag.external import ExternalQuery
from api.core.rag.faults import to_invalid_request
from api.core.rag.retrieval_model import DEFAULT_TOP_K, MAX_TOP_K, Share


class ExternalRetrievalModel(BaseModel):
    """How much to ask of a service; made without arguments it is the default."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    top_k: int = Field(DEFAULT_TOP_K, ge=1, le=MAX_TOP_K)
    score_threshold: Share = 0.0
    score_threshold_enabled: bool = False

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, raw: object) -> object:
        """Drop nulls, which stand for what is not set, and switch on a threshold given without its switch."""
        if not isinstance(raw, dict):
            return raw
        kept = {key: value for key, value in raw.items() if value is not None}
        return {"score_threshold_enabled": "score_threshold" in kept, **kept}

    def to_query(self, knowledge_id: str, query: str) -> ExternalQuery:
        """Return what to ask the service."""
        threshold = self.score_threshold if self.score_threshold_enabled else 0.0
        return ExternalQuery(
            knowledge_id=knowledge_id, query=query, top_k=self.top_k, score_threshold=threshold
        )

    def to_wire(self) -> JSONObject:
        """Return what the dataset routes show, and :func:`load_external_model` takes back."""
        return self.model_dump(mode="json")


def load_external_model(
    raw: JSONObject | None, field: str = "external_retrieval_model"
) -> ExternalRetrievalModel:
    """Return checked settings, the default for None; raises InvalidRequest naming the key at fault."""
    try:
        return ExternalRetrievalModel.model_validate({} if raw is None else raw)
    except ValidationError as exc:
        raise to_invalid_request(exc, field) from None
