"""Doors of the worker: one-line calls into services. Importing it fills the registry."""

from api.tasks import cleanup, messages

MODULES = (cleanup, messages)
