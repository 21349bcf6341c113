"""What a call can end in.

::

    DifyError
    ├── APIConnectionError          no answer came
    │   ├── APITimeoutError         … within the time
    │   └── StreamInterruptedError  a stream broke, and could not be read on
    ├── InvalidAnswerError          what answered does not speak this API
    └── APIError                    the server refused, or failed: ``status``, ``code``, ``message``
        ├── BadRequestError         400 and every other 4xx
        │   ├── ModelError          the app's model cannot be asked, or does not answer
        │   ├── AuthenticationError 401
        │   ├── PermissionDeniedError 403
        │   ├── NotFoundError       404
        │   ├── ConflictError       409
        │   └── RateLimitError      429
        └── ServerError             5xx
"""

from collections.abc import Mapping
from typing import Any

MODEL_CODES = frozenset(
    (
        "provider_not_initialize",
        "provider_quota_exceeded",
        "model_currently_not_support",
        "completion_request_error",
    )
)


class DifyError(Exception):
    """Anything that this package raises by itself."""


class APIConnectionError(DifyError):
    """No answer came."""


class APITimeoutError(APIConnectionError):
    """No answer came within the time."""


class StreamInterruptedError(APIConnectionError):
    """A stream broke before its end and could not be read on; the run itself may well have ended."""


class InvalidAnswerError(DifyError):
    """What answered does not speak this API; the base URL may be wrong."""


class APIError(DifyError):
    """The server refused or failed. Branch on ``code``; ``message`` is for people.

    ``details`` names the field at fault, where one is. ``retry_after_s`` is how long the server asks to
    wait. Quote ``request_id`` when asking for help. An error within a stream has neither of the latter.
    """

    def __init__(
        self,
        told: Mapping[str, Any],
        status: int,
        *,
        request_id: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        self.status = status
        self.code = str(told.get("code") or "unknown")
        self.message = str(told.get("message") or f"The server answered with status {status}.")
        self.details: Any = told.get("details")
        self.request_id = request_id
        self.retry_after_s = retry_after_s
        super().__init__(f"{self.message} ({status} {self.code})")


class BadRequestError(APIError):
    """The request cannot be met as it is."""


class ModelError(BadRequestError):
    """The app's model cannot be asked, or does not answer."""


class AuthenticationError(BadRequestError):
    """The API key opens nothing."""


class PermissionDeniedError(BadRequestError):
    """The API key does not open this."""


class NotFoundError(BadRequestError):
    """There is no such thing, or it is somebody else's."""


class ConflictError(BadRequestError):
    """The request collides with what is there."""


class RateLimitError(BadRequestError):
    """Too many calls, or too many runs at once."""


class ServerError(APIError):
    """The server failed, or a part of it is out of reach."""


BY_STATUS: dict[int, type[APIError]] = {
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    429: RateLimitError,
}


def error_class(status: int, code: str) -> type[APIError]:
    """Return the class for a status and a code; the code counts more."""
    if code in MODEL_CODES:
        return ModelError
    if status in BY_STATUS:
        return BY_STATUS[status]
    return ServerError if status >= 500 else BadRequestError
