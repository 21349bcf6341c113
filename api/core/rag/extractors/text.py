"""Plain text, Markdown and source code, in any encoding."""

from typing import BinaryIO

from api.core.rag import charsets
from api.core.rag.extraction import extractor

PROSE = "txt md markdown mdx"
CODE = "py js ts java cpp c h go rs rb php sh sql yaml yml css"


@extractor(f"{PROSE} {CODE}")
def extract(file: BinaryIO) -> str:
    """Return the text as it is."""
    return charsets.decode(file.read())
