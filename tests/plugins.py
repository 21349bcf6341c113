"""Plugins for tests: packages made of a few lines of Python, and what runs them."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import yaml

from api.backends.plugins.process import Backend
from api.core.egress import EgressPolicy
from api.core.http import HTTPClient, Timeouts
from api.core.model_runtime.provider import Provider
from api.core.plugins.models import to_provider
from api.core.plugins.package import Package, pack, read_package
from api.core.plugins.runner import PluginCode
from api.core.ports import Cancel, JSONObject
from tests.vendors import InlineOffload

OWN = Path(__file__).parents[1] / "plugins"
VENDOR = Path(__file__).parent / "packages/vendor"
"""A plugin that brings models."""
ICON = '<svg xmlns="http://www.w3.org/2000/svg"/>'
ECHO = """
from slipway_plugin import serve
serve({"say": lambda call: [call.arguments.get("word", ""), {"credentials": call.credentials}]})
"""


def to_files(main: str = ECHO, *, form: JSONObject | None = None, **manifest: Any) -> dict[str, str]:
    """Return the files of a plugin whose one tool is ``say``."""
    said = {
        "type": "plugin",
        "author": "tests",
        "name": "echo",
        "version": "1.0.0",
        "label": {"en_US": "Echo", "zh_Hans": "回声"},
        "description": "Says it again.",
        "icon": "icon.svg",
        "plugins": {"tools": ["provider/echo.yaml"]},
        "meta": {"runner": {"language": "python", "entrypoint": "main"}},
        **manifest,
    }
    provider = {
        "identity": {"name": "echo", "label": "Echo", "tags": ["utilities"]},
        "tools": ["tools/say.yaml"],
        "credentials_for_provider": form or {},
    }
    tool = {
        "identity": {"name": "say", "label": "Say"},
        "description": {"human": "Says it again.", "llm": "Says it again."},
        "parameters": [{"name": "word", "label": "Word", "required": False, "form": "llm"}],
    }
    return {
        "manifest.yaml": yaml.safe_dump(said),
        "provider/echo.yaml": yaml.safe_dump(provider),
        "tools/say.yaml": yaml.safe_dump(tool),
        "main.py": main,
        "icon.svg": ICON,
    }


def to_archive(files: dict[str, str]) -> bytes:
    """Return files as an archive."""
    target = io.BytesIO()
    with ZipFile(target, "w", ZIP_DEFLATED) as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return target.getvalue()


def make_package(main: str = ECHO, **manifest: Any) -> Package:
    """Return a package of a plugin whose one tool is ``say``."""
    return read_package(to_archive(to_files(main, **manifest)))


def make_runner(root: Path, **options: Any) -> Backend:
    """Return what runs plugins as the program does."""
    values = {"memory_mb": 256, "max_processes": 4, "isolation": "preferred", **options}
    return Backend(root, InlineOffload(), **values)  # type: ignore[arg-type]  # offloads all the same


def to_code(package: Package, tenant_id: str = "t") -> PluginCode:
    """Return a package as it is run for a workspace."""
    runner = package.manifest.meta.runner
    code = PluginCode(
        tenant_id=tenant_id, digest=package.digest, entrypoint=runner.entrypoint, memory_bytes=0, fetch=bytes
    )
    return replace(code, fetch=lambda: package.content)


def ask(runner: Backend, code: PluginCode, *, timeout_s: float = 30.0, **arguments: Any) -> list[JSONObject]:
    """Return all that the tool ``say`` streams."""
    request: JSONObject = {
        "action": "invoke_tool",
        "provider": "echo",
        "tool": "say",
        "tool_parameters": arguments,
        "credentials": {},
    }
    call = runner.call(code, request, max_bytes=1_000_000, cancel=Cancel(timeout_s), answer=refuse)
    return list(call)


def refuse(asked: JSONObject) -> JSONObject:
    """Answer no plugin that asks for something."""
    return {"backwards_request_id": asked["backwards_request_id"], "event": "error", "message": "no"}


def make_vendor(runner: Backend, tenant_id: str = "t") -> type[Provider]:
    """Return the provider of models that VENDOR brings, made for a workspace."""
    package = read_package(pack(VENDOR))
    (declared,) = package.manifest.models
    patience = Timeouts(connect_s=20, first_byte_s=20, idle_s=20)
    http = HTTPClient(EgressPolicy(), patience)  # opens nothing, for the manifest names no hosts
    return to_provider(package.manifest, declared, to_code(package, tenant_id), runner, http)
