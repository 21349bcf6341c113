"""How a gunicorn worker of this program takes in connections, and how it stops.

Loaded by gunicorn's parent process too, which reads nothing of the program:
what a worker needs of it hangs on the program it serves (api/wsgi.py).
"""

import logging
import threading
import time
from functools import partial
from typing import Any

import gevent
from gevent.server import StreamServer
from gunicorn.util import write_nonblock
from gunicorn.workers.ggevent import GeventWorker

logger = logging.getLogger(__name__)

POLL_S = 0.5
LAST_REQUEST_S = 1.0
"""How long a connection may bring one more request once the server is told to stop."""


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
        self.shutdown = self.wsgi.extensions["shutdown"]
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
        self.shutdown.begin_within(self.cfg.graceful_timeout)
        self.shutdown.end_work(lambda: self.is_serving)

    def timeout_ctx(self) -> gevent.Timeout:
        """Bound the wait for a connection's next request.

        What was answered before the stop was told that it may bring another, which is then the last one.
        """
        return gevent.Timeout(self.cfg.keepalive if self.alive else LAST_REQUEST_S, False)

    def handle_error(self, req: object, client: object, addr: object, exc: BaseException) -> None:
        """Answer a request the program never saw, or could not be told of, as the program says."""
        del req, addr
        try:
            write_nonblock(client, self.wsgi.extensions["refusal"](exc))
        except OSError:
            logger.debug("the client left before its answer")
