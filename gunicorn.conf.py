"""How gunicorn serves: one gevent worker, and no time-out that would cut a stream.

Read by gunicorn's parent process before it forks; what serves is opened in the
worker, after the patch. How a worker stops stands in api/server.py.
"""

import api.gevent_boot  # noqa: F401  # isort: skip  # the patch comes before everything it patches

import sys

from api.settings import SettingsError, load_settings

try:
    settings = load_settings()
except SettingsError as error:
    sys.exit(str(error))

wsgi_app = "api.wsgi:app"
bind = f"[{settings.host}]:{settings.port}" if ":" in settings.host else f"{settings.host}:{settings.port}"
workers = settings.workers
worker_class = "api.server.Server"
worker_connections = settings.worker_connections
preload_app = False
control_socket_disable = True

timeout = 360
graceful_timeout = settings.graceful_timeout_s
keepalive = 5

# A longer request line or header is answered with 4xx.
limit_request_line = 8190
limit_request_fields = 100
limit_request_field_size = 16_380

# Requests are logged by the program itself.
accesslog = None
errorlog = "-"
loglevel = settings.log_level.lower()
