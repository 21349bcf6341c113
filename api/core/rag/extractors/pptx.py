"""PowerPoint presentations."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from api.core.rag import tables, zip_limits
from api.core.rag.extraction import ExtractionFailed, extractor

if TYPE_CHECKING:
    from pptx.shapes.base import BaseShape
    from pptx.slide import Slide


@extractor("pptx")
def extract(file: BinaryIO) -> str:
    """Return each slide under its title as heading, with its notes."""
    from pptx import Presentation  # takes a while to load
    from pptx.exc import PackageNotFoundError

    with zip_limits.open_zip(file):
        pass
    try:
        presentation = Presentation(file)
    except (KeyError, ValueError, PackageNotFoundError) as exc:
        raise ExtractionFailed(
            "The file is damaged or no presentation; open it in PowerPoint and save it as pptx."
        ) from exc
    return "\n\n".join(block for slide in presentation.slides for block in _blocks(slide))


def _blocks(slide: "Slide") -> Iterator[str]:
    title = slide.shapes.title
    if title is not None and (heading := " ".join(title.text_frame.text.split())):
        yield f"# {heading}"
    for shape in slide.shapes:
        if title is None or shape.shape_id != title.shape_id:
            yield from _texts(shape)
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
        yield from filter(None, [slide.notes_slide.notes_text_frame.text.strip()])


def _texts(shape: "BaseShape") -> Iterator[str]:
    """Yield the texts of a shape, those of a group in the group's order."""
    from pptx.shapes.autoshape import Shape  # loaded by now
    from pptx.shapes.graphfrm import GraphicFrame
    from pptx.shapes.group import GroupShape

    match shape:
        case GroupShape():
            for part in shape.shapes:
                yield from _texts(part)
        case GraphicFrame() if shape.has_table:
            rows = ([cell.text for cell in row.cells] for row in shape.table.rows)
            yield from filter(None, [tables.to_markdown(rows)])
        case Shape():
            yield from filter(None, [shape.text_frame.text.replace("\v", "\n").strip()])
