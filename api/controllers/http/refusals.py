"""What is answered to a request the program never saw, because the server could not read it."""

import logging
import uuid

import orjson
from gunicorn.http import errors as faults
from werkzeug.http import HTTP_STATUS_CODES

from api.controllers.http.errors import Refused, dialect_code
from api.errors import AppError, BadRequest, Internal

logger = logging.getLogger(__name__)

REFUSALS: dict[type[Exception], AppError] = {
    faults.LimitRequestLine: Refused(414, "The request line is too long."),
    faults.LimitRequestHeaders: Refused(431, "The request's headers are too large."),
    faults.ExpectationFailed: Refused(417, "The request expects what this server does not do."),
    faults.UnsupportedTransferCoding: Refused(501, "The request's transfer coding is not supported."),
}


def refusal(exc: BaseException) -> bytes:
    """Return the whole answer for what the server could not do, and log it. Wire: docs/wire/errors.md."""
    request_id = uuid.uuid4().hex
    error = _to_error(exc)
    if isinstance(error, Internal):
        logger.error("unhandled exception", exc_info=exc, extra={"request_id": request_id})
    else:
        fault = type(exc).__name__
        logger.info("request refused", extra={"request_id": request_id, "fault": fault})
    return _answer(error, request_id)


def _to_error(exc: BaseException) -> AppError:
    if isinstance(exc, faults.ParseException) and not isinstance(exc, faults.ConfigurationProblem):
        return REFUSALS.get(type(exc)) or BadRequest("The request cannot be read.")
    return Internal("Internal Server Error, please contact support.")


def _answer(error: AppError, request_id: str) -> bytes:
    """Return the whole answer; the connection ends with it, for nobody knows where a next request starts."""
    status = error.http_status
    body = orjson.dumps({"code": dialect_code(error.code, None), "message": error.message, "status": status})
    head = (
        f"HTTP/1.1 {status} {HTTP_STATUS_CODES[status]}\r\n"
        "Connection: close\r\n"
        "Content-Type: application/json; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\n"
        f"X-Request-Id: {request_id}\r\n\r\n"
    )
    return head.encode() + body
