"""Makes small documents of every format, for tests."""

import io
import struct
import zipfile
from collections.abc import Callable, Mapping, Sequence

import docx
import openpyxl
import pptx
from pptx.util import Inches

from api.core.rag import extractors as extractors  # noqa: PLC0414  # importing it fills EXTRACTORS
from api.core.rag.extract_child import read_document
from tests.core.rag.ole_files import make_ole


def read(content: bytes, extension: str) -> str:
    """Return what is extracted, without the child process."""
    return read_document(io.BytesIO(content), extension)


def saved(save: Callable[[io.BytesIO], object]) -> bytes:
    """Return what ``save`` writes to a file."""
    buffer = io.BytesIO()
    save(buffer)
    return buffer.getvalue()


def make_docx() -> bytes:
    """A heading, paragraphs, a list and a table."""
    document = docx.Document()
    document.add_heading("年度报告", level=1)
    document.add_paragraph("Before the table.")
    table = document.add_table(rows=2, cols=2)
    for cell, text in zip(
        [cell for row in table.rows for cell in row.cells], ["Name", "Wert", "a|b", "2"], strict=True
    ):
        cell.text = text
    document.add_heading("Findings", level=2)
    document.add_paragraph("first point", style="List Bullet")
    document.sections[0].header.paragraphs[0].text = "Confidential"
    return saved(document.save)


def make_xlsx(sheets: Mapping[str, Sequence[Sequence[object]]]) -> bytes:
    """A workbook of these rows by sheet."""
    workbook = openpyxl.Workbook()
    workbook.remove(workbook.worksheets[0])
    for name, rows in sheets.items():
        sheet = workbook.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
    return saved(workbook.save)


def make_pptx() -> bytes:
    """A slide with a title, a text, a table, a group and notes."""
    presentation = pptx.Presentation()
    slide = presentation.slides.add_slide(presentation.slide_layouts[1])
    slide.shapes.title.text = "Quarterly numbers"
    slide.placeholders[1].text = "Sales grew."
    table = slide.shapes.add_table(1, 2, Inches(1), Inches(1), Inches(4), Inches(1)).table
    table.cell(0, 0).text, table.cell(0, 1).text = "Q1", "42"
    group = slide.shapes.add_group_shape()
    group.shapes.add_textbox(Inches(1), Inches(1), Inches(1), Inches(1)).text_frame.text = "in a group"
    slide.notes_slide.notes_text_frame.text = "Say it slowly."
    return saved(presentation.save)


def make_zip(entries: Mapping[str, bytes | str]) -> bytes:
    """An archive of these entries."""

    def save(buffer: io.BytesIO) -> None:
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in entries.items():
                archive.writestr(name, content)

    return saved(save)


def make_epub(chapters: Mapping[str, str], **more: str) -> bytes:
    """A book whose spine names the chapters in order."""
    items = "".join(
        f'<item id="{name}" href="{name}.xhtml" media-type="application/xhtml+xml"/>' for name in chapters
    )
    spine = "".join(f'<itemref idref="{name}"/>' for name in chapters)
    return make_zip(
        {
            "META-INF/container.xml": '<container><rootfile full-path="OPS/book.opf"/></container>',
            "OPS/book.opf": f"<package><manifest>{items}</manifest><spine>{spine}</spine></package>",
            **{f"OPS/{name}.xhtml": text for name, text in sorted(chapters.items())},
            **more,
        }
    )


def make_pdf(*lines: str, password: str = "") -> bytes:
    """A page with these lines; with a password, encrypted."""
    from pypdf import PdfReader, PdfWriter

    shown = " ".join(f"({line}) Tj T*" for line in lines)
    content = f"BT /F1 12 Tf 14 TL 72 720 Td {shown} ET".encode()
    plain = (
        b"%%PDF-1.4\n1 0 obj <</Type /Catalog /Pages 2 0 R>> endobj\n"
        b"2 0 obj <</Type /Pages /Kids [3 0 R] /Count 1>> endobj\n"
        b"3 0 obj <</Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
        b"/Resources <</Font <</F1 5 0 R>>>>>> endobj\n"
        b"4 0 obj <</Length %d>>\nstream\n%b\nendstream endobj\n"
        b"5 0 obj <</Type /Font /Subtype /Type1 /BaseFont /Helvetica>> endobj\n"
        b"trailer <</Size 6 /Root 1 0 R>>\n" % (len(content), content)
    )
    if not password:
        return plain
    writer = PdfWriter(PdfReader(io.BytesIO(plain + b"startxref\n0\n%%EOF\n")))
    writer.encrypt(password, algorithm="AES-256")
    return saved(writer.write)


def make_pages(*pages: str | None) -> bytes:
    """A PDF of pages with one line each; None is a page whose content is packed in a way nobody knows."""
    from pypdf import PdfReader, PdfWriter
    from pypdf.generic import NameObject, StreamObject

    writer = PdfWriter()
    for text in pages:
        writer.append(PdfReader(io.BytesIO(make_pdf(text or "x") + b"startxref\n0\n%%EOF\n")))
        if text is None:
            content = StreamObject()
            content[NameObject("/Filter")] = NameObject("/NobodyKnows")
            content.set_data(b"x")
            writer.pages[-1][NameObject("/Contents")] = writer._add_object(content)  # no public way
    return saved(writer.write)


def make_doc(*pieces: str, version: int = 0xC1, flags: int = 0x0200) -> bytes:
    """A Word 97 document; pieces of one byte a character where Windows-1252 has all of them."""
    stream = bytearray(0x400)
    struct.pack_into("<HH", stream, 0, 0xA5EC, version)
    struct.pack_into("<H", stream, 0x0A, flags)
    positions, descriptors = [0], b""
    for piece in pieces:
        try:
            encoded, offset = piece.encode("cp1252"), len(stream) * 2 | 0x4000_0000
        except UnicodeEncodeError:
            encoded, offset = piece.encode("utf-16-le"), len(stream)
        stream += encoded
        positions.append(positions[-1] + len(piece))
        descriptors += struct.pack("<HIH", 0, offset, 0)
    table = struct.pack(f"<{len(positions)}I", *positions) + descriptors
    clx = b"\x01\x02\x00\xaa\xaa" + b"\x02" + struct.pack("<I", len(table)) + table
    struct.pack_into("<II", stream, 0x01A2, 16, len(clx))
    return make_ole({"WordDocument": bytes(stream), "1Table": bytes(16) + clx})


def make_msg(streams: Mapping[str, bytes], *, attachment: str = "") -> bytes:
    """A mail of these properties, named by id and type; sent at noon on the first of March 2024."""
    sent = 133_537_680_000_000_000
    properties = (
        bytes(32) + struct.pack("<IIQ", 0x00390040, 6, sent) + struct.pack("<IIQ", 0x3FFD0003, 6, 936)
    )
    named = {f"__substg1.0_{name}": content for name, content in streams.items()}
    if attachment:
        named["__attach_version1.0_#00000000/__substg1.0_3707001F"] = attachment.encode("utf-16-le")
    return make_ole({"__properties_version1.0": properties, **named})
