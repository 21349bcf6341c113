"""Finds the implementations of a protocol, so that a new file joins its suite by being there."""

import pkgutil
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from api.backends import load
from tests.conftest import make_settings, patient_with_redis


def names(kind: str) -> list[str]:
    """Return the modules of ``api.backends.<kind>`` that offer a backend."""
    package = import_module(f"api.backends.{kind}")
    found = [module.name for module in pkgutil.iter_modules(package.__path__)]
    return [name for name in found if hasattr(import_module(f"{package.__name__}.{name}"), "Backend")]


def make_backend(kind: str, name: str, request: pytest.FixtureRequest, data_dir: Path) -> Any:
    """Return a backend built as the program builds it; skips where its server does not answer."""
    values = request.getfixturevalue("s3_values") if name == "s3" else {}
    if name == "redis":
        values = {"redis_url": request.getfixturevalue("redis_url")}
    with patient_with_redis():
        return load(kind, name).from_settings(make_settings(data_dir, **values))
