"""PowerPoint presentations of the format before 2007."""

from typing import BinaryIO

from api.core.rag.extraction import ExtractionFailed, extractor


@extractor("ppt")
def extract(_file: BinaryIO) -> str:
    """Refuse the format, with what to do instead."""
    raise ExtractionFailed("Presentations of the old ppt format are not read; save the file as pptx.")
