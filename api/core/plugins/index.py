"""Where an operator keeps packages to install: a directory, or an address with an ``index.json``.

What must stay true: what is listed is only what the index says; what is
installed is a package whose hash is the one that was listed.
"""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urljoin

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from api.core.http import HTTPClient, HTTPFailure
from api.core.plugins.declarations import BadPackage
from api.core.plugins.manifest import MANIFEST, Manifest
from api.core.plugins.package import MAX_PACKAGE_BYTES, Package, pack, read_package, to_name
from api.core.ports import Cancel, Offload
from api.errors import InvalidRequest, NotFound, Unavailable

logger = logging.getLogger(__name__)

ARCHIVES = (".zip", ".difypkg", ".slipwaypkg")
TEMPLATE = "template"
MAX_INDEX_BYTES = 8 * 1024 * 1024
MAX_PACKAGES = 1000
KEPT_S = 60.0
READ_S = 60.0

Known = dict[Path, tuple[float, Package]]
"""Packages by where they lie, and when they were changed last."""


@dataclass(frozen=True, slots=True)
class Listing:
    """One package that can be installed."""

    identifier: str
    manifest: Manifest
    is_verified: bool
    has_icon: bool


class PluginIndex(Protocol):
    """Packages that any workspace may install."""

    def load(self, cancel: Cancel) -> list[Listing]:
        """Return what there is. Raises Unavailable where the index cannot be read."""
        ...

    def icon(self, digest: str) -> bytes:
        """Return the picture of a package that is at hand, empty where there is none. Raises Unavailable."""
        ...

    def fetch(self, identifier: str, cancel: Cancel) -> tuple[Package, bool]:
        """Return a package, and whether its origin vouches for it without a signature.

        Raises NotFound, BadPackage, Unavailable, Cancelled.
        """
        ...


class DirectoryIndex:
    """Implements PluginIndex by a directory: archives, and directories with a manifest (but ``template``).

    ``is_own`` tells that it is the program's own, as trusted as the program.
    """

    def __init__(self, root: Path, offload: Offload, public_key: str, *, is_own: bool) -> None:
        self._root = root
        self._offload = offload
        self._public_key = public_key
        self._is_own = is_own
        self._known: Known = {}

    def load(self, cancel: Cancel) -> list[Listing]:
        """Return what lies there; what is no good package is left out."""
        del cancel
        packages = self._packages()
        return [
            Listing(
                str(each.name),
                each.manifest,
                is_verified=self._is_own or each.is_signed_by(self._public_key),
                has_icon=bool(each.icon),
            )
            for each in packages
        ]

    def icon(self, digest: str) -> bytes:
        """Return the picture of a package; see PluginIndex."""
        packages = self._packages()
        return next((each.icon for each in packages if each.digest == digest), b"")

    def fetch(self, identifier: str, cancel: Cancel) -> tuple[Package, bool]:
        """Return a package; see PluginIndex."""
        del cancel
        for package in self._packages():
            if str(package.name) == identifier:
                return package, self._is_own
        raise NotFound("There is no such plugin here.")

    def _packages(self) -> list[Package]:
        try:
            self._known = self._offload.call(_read_directory, self._root, self._known, timeout_s=READ_S)
        except TimeoutError as exc:
            raise Unavailable("The index of plugins could not be read in time.") from exc
        except OSError as exc:
            raise Unavailable("The index of plugins cannot be read.") from exc
        return [package for _, package in self._known.values()]


class IndexEntry(BaseModel):
    """One package as ``index.json`` tells of it; ``manifest`` is the whole of its declarations."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    plugin_unique_identifier: str
    url: str
    manifest: Manifest


class IndexDocument(BaseModel):
    """What lies at the address of an index."""

    plugins: list[object] = Field(max_length=MAX_PACKAGES)

    def entries(self) -> Iterator[IndexEntry]:
        """Yield the packages; what this program does not understand, as of a later one, is left out."""
        for number, told in enumerate(self.plugins, 1):
            try:
                entry = IndexEntry.model_validate(told)
            except ValidationError as exc:
                logger.warning("entry %s of the index is no plugin: %s", number, exc.errors()[0]["msg"])
                continue
            if to_name(entry.plugin_unique_identifier):
                yield entry


class WebIndex:
    """Implements PluginIndex by an address; what it lists is remembered for a minute."""

    def __init__(self, url: str, http: HTTPClient, offload: Offload) -> None:
        self._url = url
        self._http = http
        self._offload = offload
        self._known: tuple[float, list[IndexEntry]] = (float("-inf"), [])

    def load(self, cancel: Cancel) -> list[Listing]:
        """Return what the document lists; what is no good entry is left out."""
        return [
            Listing(entry.plugin_unique_identifier, entry.manifest, is_verified=False, has_icon=False)
            for entry in self._entries(cancel)
        ]

    def icon(self, digest: str) -> bytes:
        """Return nothing: packages are fetched when they are installed; see PluginIndex."""
        del digest
        return b""

    def fetch(self, identifier: str, cancel: Cancel) -> tuple[Package, bool]:
        """Return a package, checked to be the one that was listed; see PluginIndex."""
        for entry in self._entries(cancel):
            if entry.plugin_unique_identifier == identifier:
                content = self._get(urljoin(self._url, entry.url), MAX_PACKAGE_BYTES, cancel)
                package = self._read(content)
                if str(package.name) != identifier:
                    raise BadPackage("The package is not the one the index names.")
                return package, False
        raise NotFound("There is no such plugin here.")

    def _entries(self, cancel: Cancel) -> list[IndexEntry]:
        read_at, entries = self._known
        if time.monotonic() - read_at < KEPT_S:
            return entries
        content = self._get(self._url, MAX_INDEX_BYTES, cancel)
        try:
            document = IndexDocument.model_validate(orjson.loads(content))
        except (orjson.JSONDecodeError, ValidationError) as exc:
            raise Unavailable("The index of plugins cannot be read.") from exc
        entries = list(document.entries())
        self._known = time.monotonic(), entries
        return entries

    def _read(self, content: bytes) -> Package:
        try:
            return self._offload.call(read_package, content, timeout_s=READ_S)
        except TimeoutError as exc:
            raise Unavailable("The package could not be read in time; try again.") from exc

    def _get(self, url: str, max_bytes: int, cancel: Cancel) -> bytes:
        try:
            reply = self._http.request("GET", url, cancel=cancel, max_bytes=max_bytes, follow=True)
        except (HTTPFailure, InvalidRequest) as exc:
            raise Unavailable(f"The index of plugins does not answer: {exc}") from exc
        if reply.status != 200:
            raise Unavailable(f"The index of plugins answers with {reply.status}.")
        return reply.content


def write_index(directory: Path) -> bytes:
    """Return the ``index.json`` of the archives in a directory, to lie beside them."""
    entries = [
        {
            "plugin_unique_identifier": str(package.name),
            "url": path.name,
            "manifest": package.manifest.to_row(),
        }
        for path, (_, package) in _read_directory(directory, {}).items()
        if path.is_file()
    ]
    return orjson.dumps({"plugins": entries}, option=orjson.OPT_INDENT_2)


def _read_directory(root: Path, known: Known) -> Known:
    """Return the good packages by where they lie; each is read again when something in it changed."""
    found: Known = {}
    for path in sorted(root.iterdir()) if root.is_dir() else []:
        if path.name == TEMPLATE or not (path.suffix in ARCHIVES or (path / MANIFEST).is_file()):
            continue
        changed_at = _changed_at(path)
        if path in known and known[path][0] == changed_at:
            found[path] = known[path]
            continue
        try:
            found[path] = changed_at, read_package(pack(path) if path.is_dir() else path.read_bytes())
        except BadPackage as exc:
            logger.warning("not a plugin: %s: %s", path.name, exc.message)
    return found


def _changed_at(path: Path) -> float:
    """Return when the newest of the files was changed, or one came or went."""
    return max(each.stat().st_mtime for each in (path, *path.rglob("*")))
