"""What hostile, broken and empty documents end as: a sentence, and nothing else."""

import io
import zipfile

import pytest

from api.core.rag import safe_xml, zip_limits
from api.core.rag.extraction import EXTRACTORS, ExtractionFailed
from tests.core.rag import documents
from tests.core.rag.documents import make_zip, read
from tests.core.rag.ole_files import make_ole

ZIPPED = ("docx", "xlsx", "pptx", "epub")
BOMB = (
    '<?xml version="1.0"?><!DOCTYPE r [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">'
    '<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]><r>&c;</r>'
)
FILE_ENTITY = '<!DOCTYPE r [<!ENTITY f SYSTEM "file:///etc/hostname">]><r>&f;</r>'
FAR_ENTITY = '<!DOCTYPE r [<!ENTITY % f SYSTEM "http://192.0.2.1/x"> %f;]><r/>'


def refusal(content: bytes, extension: str) -> str:
    """Return the sentence a document is refused with."""
    with pytest.raises(ExtractionFailed) as caught:
        read(content, extension)
    return caught.value.message


def with_entries(content: bytes, entries: dict[str, bytes]) -> bytes:
    """Return an archive with more entries."""
    buffer = io.BytesIO(content)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, entry in entries.items():
            archive.writestr(name, entry)
    return buffer.getvalue()


@pytest.mark.parametrize("extension", ZIPPED)
def test_archive_that_unpacks_to_a_thousand_times_its_size_is_refused(extension: str) -> None:
    content = with_entries(documents.make_docx(), {"word/media/a.bin": bytes(60 * 1024 * 1024)})
    assert "more than 100 times its size" in refusal(content, extension)


def test_archive_over_the_total_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zip_limits, "MAX_TOTAL_BYTES", 100_000)
    content = with_entries(documents.make_docx(), {"a.bin": bytes(range(256)) * 4000})
    assert "unpacks to more than" in refusal(content, "docx")


def test_archive_of_a_hundred_thousand_entries_is_refused() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        entry = zipfile.ZipInfo("a")
        archive.writestr(entry, b"x")
        archive.filelist *= 100_000
    assert "more than 10000 entries" in refusal(buffer.getvalue(), "docx")


@pytest.mark.parametrize(
    "name", ["../evil.xml", "word/../../evil", "/etc/passwd", "\\server\\x", "C:\\x", "a\\..\\x"]
)
def test_archive_with_paths_out_of_it_is_refused(name: str) -> None:
    assert "paths that lead out of it" in refusal(with_entries(documents.make_docx(), {name: b"x"}), "docx")


def test_archive_with_a_link_is_refused() -> None:
    link = zipfile.ZipInfo("word/link")
    link.external_attr = 0o120777 << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(link, "/etc/passwd")
    assert "holds links" in refusal(buffer.getvalue(), "xlsx")


def test_archive_with_an_encrypted_entry_is_refused() -> None:
    content = bytearray(make_zip({"a": b"x"}))
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    assert "encrypted" in refusal(bytes(content), "epub")


def nested(levels: int) -> bytes:
    content = make_zip({"x": b"x"})
    for _ in range(levels):
        content = make_zip({"inner.bin": content})
    return content


def test_archive_nested_deeper_than_two_is_refused() -> None:
    content = with_entries(documents.make_docx(), {"word/embeddings/a.xlsx": nested(1)})
    assert "nested more than 2 deep" in refusal(content, "docx")


def test_archive_with_an_embedded_workbook_is_read() -> None:
    workbook = documents.make_xlsx({"S": [["a"]]})
    content = with_entries(documents.make_docx(), {"word/embeddings/a.xlsx": workbook})
    assert "Before the table." in read(content, "docx")


def test_archive_whose_inner_one_is_a_bomb_is_refused() -> None:
    inner = make_zip({"zeros": bytes(3_000_000)})
    content = with_entries(documents.make_docx(), {"word/embeddings/a.xlsx": inner})
    assert "more than 100 times its size" in refusal(content, "docx")


@pytest.mark.parametrize("bomb", [BOMB, FILE_ENTITY, FAR_ENTITY])
@pytest.mark.parametrize(
    ("extension", "part"),
    [("docx", "word/document.xml"), ("xlsx", "xl/workbook.xml"), ("pptx", "ppt/x.rels"), ("epub", "a.xhtml")],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_in_an_archive_are_refused(bomb: str, extension: str, part: str, encoding: str) -> None:
    assert "declares entities" in refusal(make_zip({part: bomb.encode(encoding)}), extension)


@pytest.mark.parametrize("bomb", [BOMB, FILE_ENTITY, FAR_ENTITY])
def test_entities_in_xml_are_refused(bomb: str) -> None:
    assert "declares entities" in refusal(bomb.encode(), "xml")


def test_entities_behind_a_long_prolog_are_refused() -> None:
    padded = BOMB.replace("<!DOCTYPE", f"<!--{'x' * 300_000}--><!DOCTYPE")
    assert "declares entities" in refusal(padded.encode(), "xml")


def test_xml_with_a_plain_doctype_is_read() -> None:
    safe_xml.check_entities(io.BytesIO(b"<!DOCTYPE html><html/>"))


@pytest.mark.parametrize(
    ("content", "extension"),
    [
        (documents.make_pdf("x", password="secret"), "pdf"),
        (make_ole({"EncryptionInfo": b"x", "EncryptedPackage": b"x"}), "docx"),
        (make_ole({"EncryptionInfo": b"x", "EncryptedPackage": b"x"}), "xls"),
        (documents.make_doc("x", flags=0x0300), "doc"),
    ],
)
def test_encrypted_document_is_refused_as_such(content: bytes, extension: str) -> None:
    message = refusal(content, extension)
    assert "encrypted" in message
    assert "password" in message


def test_document_older_than_word_97_is_refused_with_what_to_do() -> None:
    assert "save it as docx" in refusal(documents.make_doc("x", version=0x65), "doc")


def test_ppt_is_refused_with_what_to_do() -> None:
    assert "save the file as pptx" in refusal(b"\xd0\xcf\x11\xe0", "ppt")


def test_pdf_of_pictures_is_refused_with_what_to_do() -> None:
    assert "OCR" in refusal(documents.make_pdf(), "pdf")


def test_pdf_without_a_page_that_can_be_read_is_refused() -> None:
    assert "No page" in refusal(documents.make_pages(None, None), "pdf")


def test_extension_nobody_reads_is_refused() -> None:
    assert "'exe'" in refusal(b"MZ", "exe")


@pytest.mark.parametrize("extension", sorted(EXTRACTORS))
def test_empty_document_is_refused(extension: str) -> None:
    assert refusal(b"", extension) == "The file is empty."


@pytest.mark.parametrize("extension", ["txt", "md", "csv", "html", "properties", "vtt"])
def test_document_of_white_space_is_refused(extension: str) -> None:
    assert refusal(b" \r\n\t\n", extension) == "The file holds no text."


WHOLE = {
    "docx": documents.make_docx(),
    "pptx": documents.make_pptx(),
    "xlsx": documents.make_xlsx({"S": [["a", "b"], [1, 2]]}),
    "epub": documents.make_epub({"a": "<html><body>x</body></html>"}),
    "doc": documents.make_doc("text " * 2000),
    "msg": documents.make_msg({"1000001F": b"x\0" * 9000}),
}


@pytest.mark.parametrize("extension", sorted(WHOLE))
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.97])
def test_truncated_document_is_refused_or_gives_what_is_left(extension: str, share: float) -> None:
    content = WHOLE[extension]
    try:
        told = read(content[: int(len(content) * share)], extension)
    except ExtractionFailed as refused:
        told = refused.message
    assert told
