"""Doors of the worker: one-line calls into services. Importing it fills the registry."""

from api.tasks import cleanup, datasets, messages, websites

MODULES = (cleanup, datasets, messages, websites)
