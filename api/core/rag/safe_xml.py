"""XML from strangers: no entities of its own, no network, no unbounded depth.

What must stay true: XML is parsed by :func:`parse`, or was seen by
:func:`check_entities` before a library parses it.
"""

from typing import IO, TYPE_CHECKING
from xml.parsers import expat

from api.core.rag.extraction import ExtractionFailed

if TYPE_CHECKING:
    from lxml.etree import _Element

CHUNK_BYTES = 64 * 1024


class _PrologEnds(Exception):
    """The root element begins; nothing can be declared after it."""


def check_entities(content: IO[bytes]) -> None:
    """Raise ExtractionFailed where an XML document declares entities; reads its prolog only.

    What is not XML passes: the parser that needs it says so with its own words.
    """
    parser = expat.ParserCreate()
    parser.EntityDeclHandler = _refuse
    parser.StartElementHandler = _end_prolog
    try:
        while chunk := content.read(CHUNK_BYTES):
            parser.Parse(chunk, False)
    except (_PrologEnds, expat.ExpatError):
        return


def parse(content: IO[bytes]) -> "_Element":
    """Return the root of an XML document. Raises ExtractionFailed where it is none or declares entities."""
    from lxml import etree  # takes a while to load; only some formats are XML

    check_entities(content)
    content.seek(0)
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True)
    try:
        return etree.parse(content, parser).getroot()
    except etree.XMLSyntaxError as exc:
        raise ExtractionFailed(f"The XML of the file is not well formed: {exc.msg}.") from exc


def _refuse(*_declaration: object) -> None:
    raise ExtractionFailed("The XML of the file declares entities, which are not read; remove its DTD.")


def _end_prolog(_name: str, _attributes: dict[str, str]) -> None:
    raise _PrologEnds
