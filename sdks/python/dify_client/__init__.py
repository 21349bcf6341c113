"""Talks to Slipway, and to whatever else speaks Dify's service API.

``Client`` waits for its answers, ``AsyncClient`` is awaited; everything else about them is the same.
"""

from dify_client.chunk import Chunk
from dify_client.client import AsyncClient, Client
from dify_client.errors import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    DifyError,
    InvalidAnswerError,
    ModelError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
    StreamInterruptedError,
)
from dify_client.streams import AsyncStream, Stream

__all__ = [
    "APIConnectionError",
    "APIError",
    "APITimeoutError",
    "AsyncClient",
    "AsyncStream",
    "AuthenticationError",
    "BadRequestError",
    "Chunk",
    "Client",
    "ConflictError",
    "DifyError",
    "InvalidAnswerError",
    "ModelError",
    "NotFoundError",
    "PermissionDeniedError",
    "RateLimitError",
    "ServerError",
    "Stream",
    "StreamInterruptedError",
]
