"""Searches of knowledge that another service keeps, by Dify's External Knowledge API.

Boundary: a query out, records in; the service is trusted with neither time nor
size. What must stay true: the key leaves only for the endpoint, and is in no
message. Wire: ``POST {endpoint}/retrieval``; refusals are ``{error_code, error_msg}``.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr, ValidationError

from api import traces
from api.core.http import HTTPClient, HTTPFailure, HTTPReply, Timeouts
from api.core.ports import Cancel, JSONObject, JSONValue
from api.core.rag.waiting import within
from api.errors import ExternalKnowledgeFailed, InvalidRequest

TIMEOUTS = Timeouts(connect_s=5.0, first_byte_s=20.0, idle_s=10.0)
TOTAL_S = 30.0
MAX_REPLY_BYTES = 8 * 1024 * 1024
MAX_MESSAGE_CHARS = 500

# The codes the protocol names.
BAD_KEY_FORMAT, BAD_KEY, UNKNOWN_KNOWLEDGE = 1001, 1002, 2001


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalAPI:
    """Where the service answers, without ``/retrieval``, and the key it knows us by."""

    name: str
    endpoint: str
    api_key: SecretStr


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalCondition:
    """A condition on metadata, any of the fields ``names``; the service defines what the operators do."""

    names: Sequence[str]
    comparison_operator: str
    value: JSONValue = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalQuery:
    """What is looked for, in which knowledge of the service. ``score_threshold`` is 0..1."""

    knowledge_id: str
    query: str
    top_k: int = 4
    score_threshold: float = 0.0
    conditions: Sequence[ExternalCondition] = ()
    logical_operator: Literal["and", "or"] = "and"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalRecord:
    """A passage the service found. ``score`` is the service's, by custom 0..1, higher is nearer."""

    content: str
    score: float
    title: str
    metadata: Mapping[str, JSONValue]


def check_endpoint(endpoint: str) -> str:
    """Return an endpoint as it is stored, without a final slash. Raises InvalidRequest."""
    try:
        parts = urlsplit(endpoint.strip())
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url or parts.query or parts.fragment or parts.username:
        message = f"{endpoint!r} is not the address of an API: http(s)://host/path, without a query."
        raise InvalidRequest(message, field="endpoint")
    return endpoint.strip().rstrip("/")


def check_api(api: ExternalAPI, http: HTTPClient, cancel: Cancel) -> None:
    """Raise ExternalKnowledgeFailed where the service does not answer, or not to this key; or EgressDenied.

    Asks for a knowledge that need not exist: any answer of the protocol will do.
    """
    reply = _post(api, ExternalQuery(knowledge_id="", query="ping", top_k=1), http, cancel)
    code = _refusal(reply).error_code
    is_refused = code in (BAD_KEY_FORMAT, BAD_KEY) or reply.status in (401, 403)
    if is_refused or (code is None and reply.status not in (200, 400, 422)):
        raise _to_failure(api, "", reply)


def retrieve(
    api: ExternalAPI, query: ExternalQuery, http: HTTPClient, cancel: Cancel
) -> list[ExternalRecord]:
    """Return what the service finds, best first: at most ``top_k``, none below the threshold.

    Takes 30 s at most. Raises ExternalKnowledgeFailed with a sentence to act on
    (a wrong key, an unknown knowledge, an answer of another shape),
    EgressDenied, and Cancelled when ``cancel`` is set.
    """
    facts = {"gen_ai.operation.name": "retrieval", "slipway.search_method": "external"}
    with traces.span("retrieval", facts) as span:
        found = _answered(api, query, http, cancel)
        span.tell({"slipway.found": len(found)})
    return found


def _answered(
    api: ExternalAPI, query: ExternalQuery, http: HTTPClient, cancel: Cancel
) -> list[ExternalRecord]:
    reply = _post(api, query, http, cancel)
    if reply.status != 200:
        raise _to_failure(api, query.knowledge_id, reply)
    try:
        records = _Answer.model_validate_json(reply.content).records
    except ValidationError as exc:
        where = ".".join(map(str, exc.errors()[0]["loc"]))
        raise ExternalKnowledgeFailed(
            f"{api.name!r} answered in a shape that is not the protocol's ({where or 'no JSON'}); "
            "it must be an object whose records have content, score, title and metadata."
        ) from exc
    found = [each.to_record() for each in records if each.score >= query.score_threshold]
    return sorted(found, key=lambda record: -record.score)[: query.top_k]


class _Record(BaseModel):
    """A record as it comes; title and metadata are null or missing with many a service."""

    content: str
    score: Annotated[float, Field(allow_inf_nan=False)]
    title: str | None = None
    metadata: dict[str, Any] | None = None

    def to_record(self) -> ExternalRecord:
        return ExternalRecord(
            content=_without_nul(self.content),
            score=self.score,
            title=_without_nul(self.title or ""),
            metadata=_without_nul(self.metadata or {}),
        )


def _without_nul(value: Any) -> Any:
    """Return a value of JSON whose texts are without NUL, which no database column takes."""
    match value:
        case str():
            return value.replace("\0", "")
        case list():
            return [_without_nul(one) for one in value]
        case dict():
            return {_without_nul(key): _without_nul(one) for key, one in value.items()}
    return value


class _Answer(BaseModel):
    records: list[_Record]


class _Refusal(BaseModel):
    error_code: int | None = None
    error_msg: str = ""


def _post(api: ExternalAPI, query: ExternalQuery, http: HTTPClient, cancel: Cancel) -> HTTPReply:
    try:
        with within(TOTAL_S, cancel) as bounded:
            return http.request(
                "POST",
                f"{api.endpoint}/retrieval",
                cancel=bounded,
                max_bytes=MAX_REPLY_BYTES,
                headers={"authorization": f"Bearer {api.api_key.get_secret_value()}"},
                json=_to_body(query),
                timeouts=TIMEOUTS,
            )
    except HTTPFailure as exc:
        raise ExternalKnowledgeFailed(f"{api.name!r} did not answer: {exc}") from exc


def _to_body(query: ExternalQuery) -> JSONObject:
    assert math.isfinite(query.score_threshold)
    body: JSONObject = {
        "knowledge_id": query.knowledge_id,
        "query": query.query,
        "retrieval_setting": {"top_k": query.top_k, "score_threshold": query.score_threshold},
    }
    if query.conditions:
        conditions: list[JSONValue] = [
            {"name": list(each.names), "comparison_operator": each.comparison_operator, "value": each.value}
            for each in query.conditions
        ]
        body["metadata_condition"] = {"logical_operator": query.logical_operator, "conditions": conditions}
    return body


def _refusal(reply: HTTPReply) -> _Refusal:
    """Return what a refusal says; nothing where it speaks another language."""
    try:
        return _Refusal.model_validate_json(reply.content)
    except ValidationError:
        return _Refusal()


def _to_failure(api: ExternalAPI, knowledge_id: str, reply: HTTPReply) -> ExternalKnowledgeFailed:
    """Return what an answer other than 200 means, without the key, which services quote back."""
    refusal = _refusal(reply)
    if refusal.error_code in (BAD_KEY_FORMAT, BAD_KEY) or reply.status in (401, 403):
        return ExternalKnowledgeFailed(
            f"{api.name!r} does not accept the API key; enter the one it gave you."
        )
    if refusal.error_code == UNKNOWN_KNOWLEDGE:
        return ExternalKnowledgeFailed(f"{api.name!r} has no knowledge {knowledge_id!r}; check its id.")
    if reply.status == 404:
        return ExternalKnowledgeFailed(
            f"Nothing of {api.name!r} answers at {api.endpoint}/retrieval; check the endpoint."
        )
    said = refusal.error_msg.replace(api.api_key.get_secret_value(), "***")[:MAX_MESSAGE_CHARS]
    return ExternalKnowledgeFailed(
        f"{api.name!r} refused with status {reply.status}: {said or 'it gave no reason'}"
    )
