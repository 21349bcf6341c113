"""The only mapping from an exception to an HTTP answer.

Every error on every route, known or not, leaves as
``{code, message, status, details?, params?}`` (Wire: docs/wire/errors.md).
The public API is served under two dialects; only the ``code`` differs.
"""

import logging
from http import HTTPStatus

import orjson
from flask import Flask, Response, current_app, request
from flask_restx import Api
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.http import HTTP_STATUS_CODES

from api.errors import AppError, BadRequest, Internal, InvalidRequest, NotFound, TooLarge, Unsupported

logger = logging.getLogger(__name__)

DIFY_CODES = {
    "access_denied": "forbidden",
    "rate_limit_exceeded": "too_many_requests",
    "internal_error": "internal_server_error",
}
SEED_CODES = {"bad_request": "invalid_param"}
PASSED_ON = ("Allow", "Retry-After", "Content-Range")
"""Headers of a framework's refusal that its answer keeps."""


class BodyTooLarge(TooLarge):
    """The request body is over the limit of its route."""

    code = "request_entity_too_large"


class MediaTypeUnsupported(Unsupported):
    """The body's content type is not one the route reads."""

    code = "unsupported_media_type"


class Refused(AppError):
    """The framework refused the request (405, 406, 431 …); coded by the status's standard phrase."""

    def __init__(self, status: int, message: str | None) -> None:
        phrase = HTTP_STATUS_CODES.get(status, "refused")
        super().__init__(message or phrase)
        self.code = phrase.lower().replace(" ", "_")
        self.http_status = status


class HouseApi(Api):
    """A flask-restx Api that leaves error answers to this module."""

    def handle_error(self, e: Exception) -> Response:
        """Answer for an exception raised by one of its resources."""
        return error_response(e)


def install_error_handlers(app: Flask) -> None:
    """Answer for everything raised outside a resource: unknown paths, wrong methods, early refusals."""
    app.register_error_handler(Exception, error_response)


def error_response(exc: Exception) -> Response:
    """Return the answer for an exception; re-raise a bug while testing, so that the test shows it."""
    if isinstance(exc, HTTPException) and exc.response is not None and exc.code is None:
        return exc.response  # type: ignore[return-value]  # a ready answer, for example a redirect
    error = exc if isinstance(exc, AppError) else _translate(exc)
    if isinstance(error, Internal):
        if current_app.testing:
            raise exc
        logger.error("unhandled exception", exc_info=exc)
    response = Response(
        orjson.dumps(error_body(error)), error.http_status, content_type="application/json; charset=utf-8"
    )
    if isinstance(exc, HTTPException):
        response.headers.extend((k, v) for k, v in exc.get_headers() if k in PASSED_ON)
    if error.retry_after_s is not None:
        response.headers["Retry-After"] = str(error.retry_after_s)
    if error.http_status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = 'Bearer realm="api"'
    return response


def error_body(error: AppError) -> dict[str, object]:
    """Return the JSON object that tells a client of an error."""
    body: dict[str, object] = {
        "code": dialect_code(error.code, request.blueprint),
        "message": error.message,
        "status": error.http_status,
        **error.extra,
    }
    if error.details is not None:
        body["details"] = dict(error.details)
    elif error.field is not None:
        body["details"] = {"field": error.field, "type": error.fault}
        body["params"] = error.field
    return body


def dialect_code(code: str, dialect: str | None) -> str:
    """Return the word for an error code in a dialect: ``dify`` is the mount at /v1, all else the seed's."""
    return (DIFY_CODES if dialect == "dify" else SEED_CODES).get(code, code)


def _translate(exc: Exception) -> AppError:
    """Turn a framework's exception into ours; anything unknown is our bug."""
    match exc:
        case RequestEntityTooLarge():
            error: AppError = BodyTooLarge("The request body is too large.")
        case HTTPException(code=404):
            error = NotFound("The requested URL was not found.")
        case HTTPException(code=415):
            error = MediaTypeUnsupported("The request's Content-Type must be application/json.")
        case HTTPException(code=400):
            error = BadRequest(exc.description or "The request cannot be read.")
        case HTTPException(code=int(status)) if status < 500:
            error = Refused(status, exc.description)
        case UnicodeError():
            error = InvalidRequest("The request holds text that is not valid Unicode.")
        case _:
            error = Internal("Internal Server Error, please contact support.")
    return error
