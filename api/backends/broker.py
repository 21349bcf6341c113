"""Where wake-ups travel: the broker of Celery, its queues' names and the bounds of its waits.

Knows the brokers, not Celery, so that naming one costs no import.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from api.core.ports import Queue
from api.settings import Settings

VISIBILITY_TIMEOUT_S = 3600
"""When Redis hands out again what a dead worker held. The sweep is faster; no delay may be longer."""
CONNECT_TIMEOUT_S = 2.0
ANSWER_TIMEOUT_S = 5.0
PREFIX = "slipway."
AMQP_TLS: Mapping[str, Any] = {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": None}
REDIS_TLS: Mapping[str, Any] = {"ssl_cert_reqs": ssl.CERT_REQUIRED}
"""Certificates are checked, which kombu would not do unless told."""
REDIS_TRANSPORT = "api.backends.redis_transport:Transport"


@dataclass(frozen=True, kw_only=True)
class Broker:
    """A broker. Its queues begin with ``prefix``; ``transport`` replaces the one the URL names."""

    url: str
    prefix: str = PREFIX
    transport: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    tls: Mapping[str, Any] | None = None

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Return the broker of BROKER_URL, or of REDIS_URL where that is empty."""
        return cls.from_url(settings.effective_broker_url)

    @classmethod
    def from_url(cls, url: str, prefix: str = PREFIX) -> Self:
        """Return a Redis or a RabbitMQ whose waits are bounded."""
        if url.startswith("amqp"):
            return cls(
                url=url,
                prefix=prefix,
                options={"read_timeout": ANSWER_TIMEOUT_S, "write_timeout": ANSWER_TIMEOUT_S},
                tls=AMQP_TLS if url.startswith("amqps:") else None,
            )
        options = {
            "visibility_timeout": VISIBILITY_TIMEOUT_S,
            "socket_timeout": ANSWER_TIMEOUT_S,
            "socket_connect_timeout": CONNECT_TIMEOUT_S,
            "global_keyprefix": prefix,
        }
        tls = REDIS_TLS if url.startswith("rediss:") else None
        return cls(url=url, prefix=prefix, transport=REDIS_TRANSPORT, options=options, tls=tls)

    def name(self, queue: str) -> str:
        """Return what a queue is called there; one this version does not know is served as the default."""
        known = queue if queue in set(Queue) else Queue.DEFAULT
        return f"{self.prefix}{known}"
