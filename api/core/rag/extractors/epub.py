"""Electronic books."""

import posixpath
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import unquote
from zipfile import BadZipFile, ZipFile

from api.core.rag import html_text, safe_xml, zip_limits
from api.core.rag.extraction import ExtractionFailed, extractor

if TYPE_CHECKING:
    from lxml.etree import _Element

CONTAINER = "META-INF/container.xml"
ENCRYPTION = "META-INF/encryption.xml"


@extractor("epub")
def extract(file: BinaryIO) -> str:
    """Return the chapters in reading order."""
    with zip_limits.open_zip(file) as archive:
        try:
            chapters = _chapters(archive)
            _check_readable(archive, chapters)
            pages = [html_text.decode(archive.read(chapter)) for chapter in chapters]
        except (KeyError, BadZipFile) as exc:
            raise ExtractionFailed("The book is damaged: a part it names is missing or broken.") from exc
    return "\n\n".join(text for text in map(html_text.to_markdown, pages) if text)


def _chapters(archive: ZipFile) -> list[str]:
    """Return the entries of the book's spine, in order; tables of contents left out."""
    package_path = _parse(archive, CONTAINER).xpath("string(//*[local-name()='rootfile']/@full-path)")
    package = _parse(archive, package_path)
    items = {item.get("id"): item for item in package.xpath("//*[local-name()='item']")}
    spine = [items[name] for name in package.xpath("//*[local-name()='itemref']/@idref")]
    folder = posixpath.dirname(package_path)
    return [
        posixpath.normpath(posixpath.join(folder, unquote(item.get("href", ""))))
        for item in spine
        if "html" in item.get("media-type", "") and "nav" not in item.get("properties", "").split()
    ]


def _check_readable(archive: ZipFile, chapters: list[str]) -> None:
    """Raise ExtractionFailed where chapters are encrypted; fonts may be."""
    if ENCRYPTION not in archive.namelist():
        return
    locked = _parse(archive, ENCRYPTION).xpath("//*[local-name()='CipherReference']/@URI")
    if set(chapters) & {unquote(path) for path in locked}:
        raise ExtractionFailed("The book is locked by copy protection and cannot be read.")


def _parse(archive: ZipFile, name: str) -> "_Element":
    with archive.open(name) as content:
        return safe_xml.parse(content)
