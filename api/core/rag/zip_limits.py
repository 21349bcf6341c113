"""What a ZIP archive must be before anything reads it: bounded, flat, and without tricks.

Boundary: looks, unpacks nothing to disk. What must stay true: every format made
of a ZIP archive (docx, xlsx, pptx, epub) is opened through :func:`open_zip`.
"""

import re
import stat
from typing import BinaryIO
from zipfile import BadZipFile, ZipFile, ZipInfo

from api.core.rag import safe_xml
from api.core.rag.extraction import ExtractionFailed

MAX_TOTAL_BYTES = 200 * 1024 * 1024
MAX_RATIO = 100
MAX_ENTRIES = 10_000
MAX_NESTING = 2

ZIP_MAGIC = b"PK\x03\x04"
OLE_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
ENCRYPTED_FLAG = 0x1
IS_XML = re.compile(r".*\.(?:xml|rels|vml|xhtml|html|htm|opf|ncx)", re.IGNORECASE)
DRIVE = re.compile(r"[A-Za-z]:")


def open_zip(file: BinaryIO) -> ZipFile:
    """Return the archive in a file, checked; the file is left at its beginning for other readers.

    Raises ExtractionFailed for a file that is no archive, is encrypted, is over
    a limit, names a path outside itself, holds links or XML with entities.
    """
    head = file.read(len(OLE_MAGIC))
    if head == OLE_MAGIC:
        # Office wraps an encrypted package in the container of its older formats.
        raise ExtractionFailed("The file is encrypted or of an older format; save it without a password.")
    archive = _open(file)
    _check(archive, level=1, outer_bytes=0)
    file.seek(0)
    return archive


def _open(file: BinaryIO) -> ZipFile:
    try:
        return ZipFile(file)
    except (BadZipFile, ValueError, OSError, NotImplementedError) as exc:
        raise ExtractionFailed(
            "The file is damaged or not what its extension says; save it again with the program that made it."
        ) from exc


def _check(archive: ZipFile, *, level: int, outer_bytes: int) -> int:
    """Check an archive and those within it; return the unpacked bytes of all, ``outer_bytes`` included."""
    if level > MAX_NESTING:
        raise ExtractionFailed(f"The file holds archives nested more than {MAX_NESTING} deep.")
    entries = archive.infolist()
    if len(entries) > MAX_ENTRIES:
        raise ExtractionFailed(f"The file is an archive of more than {MAX_ENTRIES} entries.")
    total_bytes = outer_bytes + _unpacked_bytes(entries)
    for entry in entries:
        _check_entry(entry)
    for entry in entries:
        total_bytes = _check_content(archive, entry, level=level, total_bytes=total_bytes)
    return total_bytes


def _unpacked_bytes(entries: list[ZipInfo]) -> int:
    unpacked = sum(entry.file_size for entry in entries)
    packed = sum(entry.compress_size for entry in entries)
    if unpacked > MAX_RATIO * max(packed, 1):
        raise ExtractionFailed(f"The file unpacks to more than {MAX_RATIO} times its size.")
    _check_total(unpacked)
    return unpacked


def _check_total(total_bytes: int) -> None:
    if total_bytes > MAX_TOTAL_BYTES:
        raise ExtractionFailed(f"The file unpacks to more than {MAX_TOTAL_BYTES // 1024**2} MB.")


def _check_entry(entry: ZipInfo) -> None:
    parts = re.split(r"[/\\]", entry.filename)
    if parts[0] == "" or ".." in parts or DRIVE.match(entry.filename):
        raise ExtractionFailed("The file is an archive with paths that lead out of it.")
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise ExtractionFailed("The file is an archive that holds links.")
    if entry.flag_bits & ENCRYPTED_FLAG:
        raise ExtractionFailed("The file is encrypted; save it without a password.")


def _check_content(archive: ZipFile, entry: ZipInfo, *, level: int, total_bytes: int) -> int:
    """Look into an entry that is an archive or XML; return the unpacked bytes known so far."""
    try:
        with archive.open(entry) as content:
            if IS_XML.fullmatch(entry.filename):
                safe_xml.check_entities(content)
                return total_bytes
            is_archive = content.read(len(ZIP_MAGIC)) == ZIP_MAGIC
        if not is_archive:
            return total_bytes
        with archive.open(entry) as content:
            return _check_inner(content, level=level + 1, total_bytes=total_bytes)  # type: ignore[arg-type]  # ZipExtFile is a BinaryIO in all but name
    except (BadZipFile, EOFError, NotImplementedError):
        # Unreadable parts fail where they are needed; thumbnails and media never are.
        return total_bytes


def _check_inner(content: BinaryIO, *, level: int, total_bytes: int) -> int:
    with ZipFile(content) as inner:
        total_bytes = _check(inner, level=level, outer_bytes=total_bytes)
    _check_total(total_bytes)
    return total_bytes
