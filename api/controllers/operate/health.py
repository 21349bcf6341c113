"""Doors for whoever operates the program: is it alive, can it work."""

import os

from flask import Blueprint, Response

from api import __version__
from api.controllers.http.door import public, render, runtime
from api.services import health

blueprint = Blueprint("operate", __name__)


@blueprint.get("/health")
@public
def alive() -> Response:
    """Say that the process is alive; touches nothing."""
    return render({"pid": os.getpid(), "status": "ok", "version": __version__})


@blueprint.get("/ready")
@public
def ready() -> Response:
    """Say whether each part works: 200 when all do, else 503."""
    readiness = health.check_readiness(runtime())
    status = "ok" if readiness.is_ready else "unavailable"
    return render({"status": status, "parts": readiness.parts}, 200 if readiness.is_ready else 503)
