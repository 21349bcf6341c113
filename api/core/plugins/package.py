"""A plugin's package: an archive, or a directory in its place, known by the hash of what is in it.

The hash is that of ``sha256sum``'s lines over all files, sorted by path, so a
directory and every archive made of it have one identity; the file SIGNATURE is
left out, as it signs that hash. What must stay true: nothing is read of an
archive before its limits are checked (api/core/rag/zip_limits.py).
"""

import base64
import binascii
import hashlib
import io
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from zipfile import BadZipFile, ZipFile, ZipInfo

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from api.core.plugins.declarations import BadPackage
from api.core.plugins.manifest import IDENTIFIER, MANIFEST, Manifest, read_manifest
from api.core.rag.extraction import ExtractionFailed
from api.core.rag.zip_limits import open_zip

MB = 1024 * 1024
MAX_PACKAGE_BYTES = 15 * MB
MAX_ICON_BYTES = 256 * 1024
MAX_DECLARATION_BYTES = MB
SIGNATURE = ".signature"
IGNORED = frozenset({"__pycache__", ".git", ".venv"})
EPOCH = (1980, 1, 1, 0, 0, 0)
ICON_TYPES: Mapping[str, str] = {
    "svg": "image/svg+xml",
    "png": "image/png",
    "jpg": "image/jpeg",
    "webp": "image/webp",
}


@dataclass(frozen=True, slots=True)
class PluginName:
    """``author/name:version@sha256``, which names one package and no other."""

    plugin_id: str
    version: str
    digest: str

    def __str__(self) -> str:
        return f"{self.plugin_id}:{self.version}@{self.digest}"


def to_name(identifier: str) -> PluginName | None:
    """Return what an identifier says, None for one that is malformed."""
    found = IDENTIFIER.fullmatch(identifier)
    return PluginName(*found.groups()) if found else None


@dataclass(frozen=True, kw_only=True)
class Package:
    """A package that was read: what it says of itself, and its bytes as an archive."""

    manifest: Manifest
    digest: str
    icon: bytes = field(repr=False)
    signature: bytes | None = field(repr=False)
    content: bytes = field(repr=False)

    @cached_property
    def name(self) -> PluginName:
        """Its identity."""
        return PluginName(self.manifest.plugin_id, self.manifest.version, self.digest)

    def is_signed_by(self, public_key: str) -> bool:
        """Tell whether it was signed with the secret to a public key, which is 32 bytes in base64."""
        if self.signature is None:
            return False
        try:
            Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key)).verify(
                base64.b64decode(self.signature), self.digest.encode()
            )
        except (InvalidSignature, binascii.Error, ValueError):
            return False
        return True


def read_package(content: bytes) -> Package:
    """Return the package in an archive. Raises BadPackage with what is wrong with it."""
    if len(content) > MAX_PACKAGE_BYTES:
        raise BadPackage(f"The package has more than {MAX_PACKAGE_BYTES // MB} MB.")
    try:
        with open_zip(io.BytesIO(content)) as archive:
            entries = _entries(archive)

            def read(path: str) -> bytes:
                return _read(archive, entries, path)

            manifest = read_manifest(read, entries)
            return Package(
                manifest=manifest,
                digest=_digest(archive, entries),
                icon=_icon(manifest, entries, read),
                signature=_read(archive, entries, SIGNATURE) if SIGNATURE in entries else None,
                content=content,
            )
    except ExtractionFailed as exc:
        raise BadPackage(exc.message) from exc
    except (BadZipFile, EOFError, NotImplementedError, RuntimeError) as exc:
        raise BadPackage("The package is damaged.") from exc


def pack(directory: Path) -> bytes:
    """Return a directory as an archive. Raises BadPackage for links, or more than a package may have."""
    target = io.BytesIO()
    with ZipFile(target, "w") as archive:
        for path in sorted(directory.rglob("*")):
            if IGNORED & set(path.relative_to(directory).parts):
                continue
            if path.is_symlink():
                raise BadPackage(f"{path.name!r} is a link; a package holds none.")
            if path.is_file():
                info = ZipInfo(path.relative_to(directory).as_posix(), EPOCH)
                archive.writestr(info, path.read_bytes())
            if target.tell() > MAX_PACKAGE_BYTES:
                raise BadPackage(f"The package has more than {MAX_PACKAGE_BYTES // MB} MB.")
    return target.getvalue()


def unpack(content: bytes, directory: Path, digest: str) -> None:
    """Write a package's files under a directory that does not exist yet. Raises BadPackage for another's."""
    with open_zip(io.BytesIO(content)) as archive:
        entries = _entries(archive)
        if _digest(archive, entries) != digest:
            raise BadPackage("The package is not the one that was installed.")
        directory.mkdir(mode=0o700, parents=True)
        for path, entry in entries.items():
            target = directory / path
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with archive.open(entry) as source, target.open("wb") as file:
                shutil.copyfileobj(source, file)


def is_intact(directory: Path, digest: str) -> bool:
    """Tell whether a directory holds a package's files and no others."""
    files = (path for path in directory.rglob("*") if not path.is_dir())
    try:
        sums = {path.relative_to(directory).as_posix(): _sum(path.read_bytes) for path in files}
    except OSError:
        return False
    return bool(sums) and _total(sums) == digest


def read_file(content: bytes, path: str) -> bytes | None:
    """Return a file of a package by its path, None where there is none or it is too large to be shown."""
    with open_zip(io.BytesIO(content)) as archive:
        entry = next((each for each in archive.infolist() if each.filename == path), None)
        if entry is None or entry.is_dir() or entry.file_size > MAX_DECLARATION_BYTES:
            return None
        return archive.read(entry)


def _entries(archive: ZipFile) -> dict[str, ZipInfo]:
    """Return the files of an archive by their paths. Raises BadPackage for a path that is there twice."""
    files = [entry for entry in archive.infolist() if not entry.is_dir()]
    entries = {entry.filename: entry for entry in files}
    if len(entries) != len(files):
        raise BadPackage("The package holds two files of one path.")
    for path in entries:
        if "\\" in path or path != "/".join(part for part in path.split("/") if part not in ("", ".")):
            raise BadPackage(f"The package holds a path that is not plain: {path[:200]!r}.")
    if MANIFEST not in entries:
        raise BadPackage(f"The package has no {MANIFEST} at its top.")
    return entries


def _read(archive: ZipFile, entries: Mapping[str, ZipInfo], path: str) -> bytes:
    entry = entries.get(path)
    if entry is None:
        raise BadPackage(f"The package has no {path[:200]!r}, which it names.")
    if entry.file_size > MAX_DECLARATION_BYTES:
        raise BadPackage(f"{path[:200]} of the package has more than {MAX_DECLARATION_BYTES // MB} MB.")
    return archive.read(entry)


def _icon(manifest: Manifest, entries: Mapping[str, ZipInfo], read: Callable[[str], bytes]) -> bytes:
    """Return the picture; the manifest names it as it lies, or within ``_assets``."""
    if not manifest.icon:
        return b""
    if manifest.icon.rpartition(".")[2].lower() not in ICON_TYPES:
        raise BadPackage(f"The icon must be one of: {', '.join(ICON_TYPES)}.")
    place = f"_assets/{manifest.icon}"
    icon = read(place if place in entries else manifest.icon)
    if len(icon) > MAX_ICON_BYTES:
        raise BadPackage(f"The icon has more than {MAX_ICON_BYTES // 1024} KB.")
    return icon


def _digest(archive: ZipFile, entries: Mapping[str, ZipInfo]) -> str:
    sums = {}
    for path, entry in entries.items():
        with archive.open(entry) as content:
            sums[path] = hashlib.file_digest(content, "sha256").hexdigest()  # type: ignore[arg-type]  # ZipExtFile reads as files do
    return _total(sums)


def _sum(read: Callable[[], bytes]) -> str:
    return hashlib.sha256(read()).hexdigest()


def _total(sums: Mapping[str, str]) -> str:
    lines = [f"{sums[path]}  {path}\n" for path in sorted(sums) if path != SIGNATURE]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
