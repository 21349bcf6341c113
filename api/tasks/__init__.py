"""Doors of the worker: one-line calls into services. Importing it fills the registry."""

from api.tasks import cleanup, datasets, messages, runs, websites

MODULES = (cleanup, datasets, messages, runs, websites)
