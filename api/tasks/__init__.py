"""Doors of the worker: one-line calls into services. Importing it fills the registry."""

from api.tasks import annotations, cleanup, datasets, mail, messages, runs, websites

MODULES = (annotations, cleanup, datasets, mail, messages, runs, websites)
