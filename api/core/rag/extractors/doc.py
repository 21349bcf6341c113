"""Word documents of the format before 2007: their text, read from the piece table.

Word opens rich text under this extension too, so such files are about.

Standard: [MS-DOC] 2.4.1, retrieving text. The header (FIB) at the beginning of
the stream ``WordDocument`` tells where in ``0Table`` or ``1Table`` the pieces
are listed that make up the text, in order.
"""

import re
import struct
from collections.abc import Iterator
from typing import BinaryIO

from api.core.rag import ole, rtf
from api.core.rag.extraction import ExtractionFailed, extractor

RTF_MAGIC = rb"{\rtf"
MAGIC = 0xA5EC
WORD_97 = 0x00C1
ENCRYPTED_FLAG = 0x0100
SECOND_TABLE_FLAG = 0x0200
FLAGS_AT = 0x0A
CLX_AT = 0x01A2
COMPRESSED_FLAG = 0x4000_0000
PROPERTIES_MARK, PIECES_MARK = 1, 2

# A field is its instruction (dropped), a separator and what it shows.
FIELD = re.compile("\x13[^\x13\x14\x15]*\x14([^\x13\x14\x15]*)\x15|\x13[^\x13\x14\x15]*\x15")
MAX_FIELD_NESTING = 10
BREAKS = {
    "\r": "\n\n",
    "\x07": "\t",
    "\x0b": "\n",
    "\x0c": "\n\n",
    "\x0e": "\n\n",
    "\x1e": "-",
    "\x1f": "",
    "\xa0": " ",
}
CONTROLS = re.compile("[\x00-\x08\x0e-\x1f]")


@extractor("doc")
def extract(file: BinaryIO) -> str:
    """Return the text of the document with its notes and text boxes, without any markup."""
    is_rich_text = file.read(len(RTF_MAGIC)) == RTF_MAGIC
    file.seek(0)
    return rtf.to_text(file.read()) if is_rich_text else _binary_text(file)


def _binary_text(file: BinaryIO) -> str:
    container = ole.open_ole(file)
    document = ole.read_stream(container, "WordDocument")
    if document is None:
        raise ExtractionFailed("The file holds no Word document; open it in Word and save it as docx.")
    try:
        flags = _check_header(document)
        table = ole.read_stream(container, "1Table" if flags & SECOND_TABLE_FLAG else "0Table") or b""
        text = "".join(_pieces(document, table))
    except (struct.error, IndexError) as exc:
        raise ExtractionFailed("The document is damaged; open it in Word and save it as docx.") from exc
    return _clean(text)


def _check_header(document: bytes) -> int:
    """Return the flags of the header. Raises ExtractionFailed for versions and forms that are not read."""
    magic, version = struct.unpack_from("<HH", document)
    (flags,) = struct.unpack_from("<H", document, FLAGS_AT)
    if magic != MAGIC or version < WORD_97:
        raise ExtractionFailed("The document is older than Word 97; open it in Word and save it as docx.")
    if flags & ENCRYPTED_FLAG:
        raise ExtractionFailed("The document is encrypted; save it without a password.")
    return int(flags)


def _pieces(document: bytes, table: bytes) -> Iterator[str]:
    """Yield the pieces of text in order: the body, then notes, headers, comments and text boxes."""
    pieces = _piece_table(document, table)
    count = (len(pieces) - 4) // 12
    positions = struct.unpack_from(f"<{count + 1}I", pieces)
    for index in range(count):
        (offset,) = struct.unpack_from("<I", pieces, 4 * (count + 1) + 8 * index + 2)
        chars = positions[index + 1] - positions[index]
        if offset & COMPRESSED_FLAG:
            begin = (offset & ~COMPRESSED_FLAG) // 2
            yield document[begin : begin + chars].decode("cp1252", "replace")
        else:
            yield document[offset : offset + 2 * chars].decode("utf-16-le", "replace")


def _piece_table(document: bytes, table: bytes) -> bytes:
    """Return the list of pieces, which follows any number of property lists."""
    begin, size = struct.unpack_from("<II", document, CLX_AT)
    end = begin + size
    while begin < end and table[begin] == PROPERTIES_MARK:
        (property_bytes,) = struct.unpack_from("<H", table, begin + 1)
        begin += 3 + property_bytes
    if table[begin] != PIECES_MARK:
        raise IndexError(begin)
    (size,) = struct.unpack_from("<I", table, begin + 1)
    return table[begin + 5 : begin + 5 + size]


def _clean(text: str) -> str:
    """Return the text as shown: fields by their results, marks of paragraphs and cells as white space."""
    for _ in range(MAX_FIELD_NESTING):
        text, replaced = FIELD.subn(lambda field: field[1] or "", text)
        if not replaced:
            break
    text = re.sub("\x07\x07", "\n", text)  # the end of a row
    text = re.sub("[\r\x07\x0b\x0c\x0e\x1e\x1f\xa0]", lambda mark: BREAKS[mark[0]], text)
    return re.sub(r"\n{3,}", "\n\n", CONTROLS.sub("", text)).strip()
