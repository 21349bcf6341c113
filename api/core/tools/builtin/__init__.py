"""Collects the built-in tools: importing this package fills ``TOOL_PROVIDERS``."""

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
