"""Every error a caller may see, as one tree.

Each leaf carries the word clients branch on (``code``) and its HTTP status;
``controllers/http/errors.py`` is the only place that turns one into JSON.
Leaves that a single service raises live beside that service.

    AppError
    ├── InvalidRequest 400 invalid_param      a parameter is missing or wrong
    │   ├── Duplicate                         a name that must be unique is taken
    │   └── BadRequest bad_request            the request makes no sense in this state
    ├── AppUnavailable 400 app_unavailable    the app has no usable configuration
    ├── ProviderFailure 400                   the model provider stands in the way
    │   ├── ProviderNotConfigured provider_not_initialize
    │   ├── QuotaExceeded provider_quota_exceeded
    │   ├── ModelUnavailable model_currently_not_support
    │   └── CompletionFailed completion_request_error
    ├── SourceFailure 400 source_failed       where documents or passages come from stands in the way
    │   ├── CrawlFailed crawl_failed
    │   ├── NotionFailed notion_failed
    │   └── ExternalKnowledgeFailed external_knowledge_failed
    ├── ExtensionFailed 400 extension_failed  an API-based extension stands in the way
    ├── Unauthorized 401 unauthorized
    ├── Forbidden 403 access_denied
    ├── NotFound 404 not_found
    ├── Conflict 409 conflict
    ├── TooLarge 413 file_too_large
    ├── Unsupported 415 unsupported_file_type
    ├── Unprocessable 422 idempotency_key_reused
    ├── RateLimited 429 rate_limit_exceeded
    ├── Internal 500 internal_error           a bug; the message tells nothing of it
    └── Unavailable 503 service_unavailable   a dependency is down
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

FaultType = Literal[
    "required",
    "invalid_type",
    "invalid_choice",
    "too_long",
    "too_short",
    "out_of_range",
    "invalid_format",
    "invalid_value",
    "duplicate",
]


class AppError(Exception):
    """Base of every error that reaches a caller; raise a leaf, never this.

    ``message`` is one sentence for a person. ``field`` and ``fault`` say which
    parameter is wrong and how; they become ``details`` and ``params`` on the
    wire. ``details`` replaces that pair where more must be said.
    ``retry_after_s`` becomes the ``Retry-After`` header.
    """

    code: str = "internal_error"
    http_status: int = 500
    extra: Mapping[str, object] = MappingProxyType({})
    """What a leaf adds to its body, where clients of one route expect more."""

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        fault: FaultType = "invalid_value",
        details: Mapping[str, object] | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.fault = fault
        self.details = details
        self.retry_after_s = retry_after_s


class InvalidRequest(AppError):
    """A parameter is missing or has a value that is not allowed."""

    code = "invalid_param"
    http_status = 400


class Duplicate(InvalidRequest):
    """A value that must be unique is already taken."""

    def __init__(self, message: str, *, field: str) -> None:
        super().__init__(message, field=field, fault="duplicate")


class BadRequest(AppError):
    """The request is well formed but makes no sense in the present state."""

    code = "bad_request"
    http_status = 400


class AppUnavailable(AppError):
    """The app has no usable configuration, or its mode does not fit the route."""

    code = "app_unavailable"
    http_status = 400


class ProviderFailure(AppError):
    """A model provider stands in the way; leaves say how."""

    code = "completion_request_error"
    http_status = 400


class ProviderNotConfigured(ProviderFailure):
    """The workspace has no credentials for the provider the app names."""

    code = "provider_not_initialize"


class QuotaExceeded(ProviderFailure):
    """The provider reports that the account's quota is used up."""

    code = "provider_quota_exceeded"


class ModelUnavailable(ProviderFailure):
    """The provider does not offer the model, or not for this use."""

    code = "model_currently_not_support"


class CompletionFailed(ProviderFailure):
    """The call to the model failed; the message is the provider's, scrubbed of secrets."""

    code = "completion_request_error"


class SourceFailure(AppError):
    """Something that documents or passages come from stands in the way; leaves say what."""

    code = "source_failed"
    http_status = 400


class CrawlFailed(SourceFailure):
    """A website cannot be read, or does not want to be."""

    code = "crawl_failed"


class NotionFailed(SourceFailure):
    """Notion refuses, does not answer, or holds more than is read at once."""

    code = "notion_failed"


class ExternalKnowledgeFailed(SourceFailure):
    """An external knowledge API refuses, does not answer, or answers in another shape."""

    code = "external_knowledge_failed"


class ExtensionFailed(AppError):
    """An API-based extension refuses, does not answer, or answers in another shape."""

    code = "extension_failed"
    http_status = 400


class Unauthorized(AppError):
    """The caller did not prove who it is."""

    code = "unauthorized"
    http_status = 401


class Forbidden(AppError):
    """The caller is known and may not do this."""

    code = "access_denied"
    http_status = 403


class NotFound(AppError):
    """There is no such thing, or it belongs to someone else."""

    code = "not_found"
    http_status = 404


class Conflict(AppError):
    """The request collides with the present state of the resource."""

    code = "conflict"
    http_status = 409


class TooLarge(AppError):
    """The body or file is over its limit."""

    code = "file_too_large"
    http_status = 413


class Unsupported(AppError):
    """The kind of file or media is not accepted."""

    code = "unsupported_file_type"
    http_status = 415


class Unprocessable(AppError):
    """An idempotency key came back with another body."""

    code = "idempotency_key_reused"
    http_status = 422


class RateLimited(AppError):
    """The caller is over a limit; ``retry_after_s`` says when to come back."""

    code = "rate_limit_exceeded"
    http_status = 429


class Internal(AppError):
    """Something broke on our side; the log, not the caller, gets the reason."""


class Unavailable(AppError):
    """A dependency is down or busy; the same request may work soon."""

    code = "service_unavailable"
    http_status = 503

    def __init__(self, message: str, *, retry_after_s: int = 5) -> None:
        super().__init__(message, retry_after_s=retry_after_s)
