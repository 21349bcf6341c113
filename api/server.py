"""How a gunicorn worker of this program stops, and what it answers without the program.

Loaded by gunicorn's parent process too, which opens nothing; see gunicorn.conf.py.
"""

import logging
import threading
import time
import uuid

import orjson
from gunicorn.http import errors as faults
from gunicorn.util import write_nonblock
from gunicorn.workers.ggevent import GeventWorker
from werkzeug.http import HTTP_STATUS_CODES

from api.controllers.http.errors import Refused, dialect_code
from api.errors import AppError, BadRequest, Internal
from api.services.shutdown import RESERVED_S, Shutdown

logger = logging.getLogger(__name__)

POLL_S = 0.5
REFUSALS: dict[type[Exception], AppError] = {
    faults.LimitRequestLine: Refused(414, "The request line is too long."),
    faults.LimitRequestHeaders: Refused(431, "The request's headers are too large."),
    faults.ExpectationFailed: Refused(417, "The request expects what this server does not do."),
    faults.UnsupportedTransferCoding: Refused(501, "The request's transfer coding is not supported."),
}


class Server(GeventWorker):  # type: ignore[misc]  # gunicorn is untyped
    """A gevent worker that ends its work before it ends, and whose own answers are as any other."""

    def run(self) -> None:
        """Serve until told to stop; then end the runs, while requests are still answered, and close."""
        self.shutdown = Shutdown(self.wsgi.extensions["runtime"])
        self.is_serving = True
        ending = threading.Thread(target=self._end_work, name="shutdown", daemon=True)
        ending.start()
        try:
            super().run()
        except SystemExit:  # told to stop at once, or left by the parent process
            self.shutdown.begin(0.0)
            raise
        finally:
            self.alive = self.is_serving = False
            ending.join()
            self.shutdown.close()

    def _end_work(self) -> None:
        while self.alive:
            time.sleep(POLL_S)
        self.shutdown.begin(self.cfg.graceful_timeout - RESERVED_S)
        self.shutdown.end_work(lambda: self.is_serving)

    def handle_request(self, *request: object) -> None:
        """Answer a request; once told to stop, end its connection instead of waiting for the next."""
        super().handle_request(*request)
        if not self.alive:
            raise StopIteration

    def handle_error(self, req: object, client: object, addr: object, exc: BaseException) -> None:
        """Answer a request the program never saw, or could not be told of. Wire: docs/wire/errors.md."""
        del req, addr
        request_id = uuid.uuid4().hex
        error = _to_error(exc)
        if isinstance(error, Internal):
            logger.error("unhandled exception", exc_info=exc, extra={"request_id": request_id})
        else:
            fault = type(exc).__name__
            logger.info("request refused", extra={"request_id": request_id, "fault": fault})
        try:
            write_nonblock(client, _answer(error, request_id))
        except OSError:
            logger.debug("the client left before its answer")


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
