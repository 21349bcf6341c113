"""How a gunicorn worker of this program stops, and what it answers without the program.

Loaded by gunicorn's parent process too, which opens nothing; see gunicorn.conf.py.
"""

import logging
import threading
import time
import uuid
from functools import partial
from typing import Any

import gevent
import orjson
from gevent.server import StreamServer
from gunicorn.http import errors as faults
from gunicorn.util import write_nonblock
from gunicorn.workers.ggevent import GeventWorker
from werkzeug.http import HTTP_STATUS_CODES

from api.controllers.http.errors import Refused, dialect_code
from api.errors import AppError, BadRequest, Internal
from api.services.shutdown import RESERVED_S, Shutdown

logger = logging.getLogger(__name__)

POLL_S = 0.5
LAST_REQUEST_S = 1.0
"""How long a connection may bring one more request once the server is told to stop."""
REFUSALS: dict[type[Exception], AppError] = {
    faults.LimitRequestLine: Refused(414, "The request line is too long."),
    faults.LimitRequestHeaders: Refused(431, "The request's headers are too large."),
    faults.ExpectationFailed: Refused(417, "The request expects what this server does not do."),
    faults.UnsupportedTransferCoding: Refused(501, "The request's transfer coding is not supported."),
}


class Listener(StreamServer):  # type: ignore[misc]  # gevent is untyped
    """A listener that takes in who came before it closes: the kernel would reset their connections."""

    def __init__(self, listener: Any, *, worker: "Server", spawn: object) -> None:
        self._address = listener.getsockname()
        super().__init__(listener, handle=partial(worker.handle, self), spawn=spawn)
        if worker.cfg.workers > 1:
            self.max_accept = 1  # leave the next one to another worker

    def getsockname(self) -> object:
        """Return the address, of a listener that has closed too: connections are handled after that."""
        return self._address

    def close(self) -> None:
        """Take in who waits, and close."""
        while not (self.closed or self.full()) and (came := self.do_read()):
            self.do_handle(*came)
        super().close()


class Server(GeventWorker):  # type: ignore[misc]  # gunicorn is untyped
    """A gevent worker that ends its work before it ends, and whose own answers are as any other."""

    def server_class(self, listener: object, *, spawn: object, **_: object) -> Listener:
        """Return what takes in connections; gunicorn's way of asking for another than gevent's."""
        return Listener(listener, worker=self, spawn=spawn)

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

    def timeout_ctx(self) -> gevent.Timeout:
        """Bound the wait for a connection's next request.

        What was answered before the stop was told that it may bring another, which is then the last one.
        """
        return gevent.Timeout(self.cfg.keepalive if self.alive else LAST_REQUEST_S, False)

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
