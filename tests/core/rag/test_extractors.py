"""What each format gives; documents are made here."""

import struct
from email.message import EmailMessage

import pytest

from api.core.rag import packed_rtf
from api.core.rag.extraction import EXTRACTORS, ExtractionFailed
from tests.core.rag import documents
from tests.core.rag.documents import read

INDEXABLE = (
    "txt md markdown mdx pdf html htm xlsx xls docx doc csv vtt properties json xml eml msg pptx ppt epub "
    "py js ts java cpp c h go rs rb php sh sql yaml yml css"
)


def wide(text: str) -> bytes:
    return text.encode("utf-16-le")


def test_extractors_cover_every_indexable_extension() -> None:
    assert set(INDEXABLE.split()) == set(EXTRACTORS)


def test_text_comes_as_it_is_with_plain_line_ends() -> None:
    assert read("\ufeff# 标题\r\n\r\nтекст\r\n".encode(), "md") == "# 标题\n\nтекст"


def test_code_keeps_its_indentation() -> None:
    assert read(b"def f():\n    return 1\n", "py") == "def f():\n    return 1"


def test_pdf_tells_which_pages_cannot_be_read_and_gives_the_others() -> None:
    content = documents.make_pages("One", None, "Three", None, None, "Six")
    assert read(content, "pdf").split("\n\n") == [
        "One",
        "[Page 2 could not be read.]",
        "Three",
        "[Pages 4 to 5 could not be read.]",
        "Six",
    ]


def test_pdf_gives_its_lines() -> None:
    assert read(documents.make_pdf("Hello world", "second line"), "pdf") == "Hello world\nsecond line"


def test_docx_gives_headings_lists_and_tables_in_order() -> None:
    assert read(documents.make_docx(), "docx") == (
        "# 年度报告\n\nBefore the table.\n\n| Name | Wert |\n| --- | --- |\n| a\\|b | 2 |\n\n"
        "## Findings\n\n- first point\n\nConfidential"
    )


def test_doc_gives_pieces_of_both_widths_and_the_results_of_fields() -> None:
    content = documents.make_doc(
        "Hello café\r", "see \x13 HYPERLINK http://x \x14世界\x15\r", "a\x07b\x07\x07"
    )
    assert read(content, "doc") == "Hello café\n\nsee 世界\n\na\tb"


@pytest.mark.parametrize(
    ("older", "newer", "content"),
    [
        ("doc", "docx", documents.make_docx()),
        ("xls", "xlsx", documents.make_xlsx({"Staff": [["name", "age"], ["Ann", 31]]})),
        ("ppt", "pptx", documents.make_pptx()),
    ],
)
def test_file_of_the_newer_format_is_read_under_the_older_extension(
    older: str, newer: str, content: bytes
) -> None:
    assert read(content, older) == read(content, newer) != ""


def test_rich_text_is_read_under_the_extension_of_word() -> None:
    assert read(rb"{\rtf1\ansi{\fonttbl{\f0 Arial;}}caf\'e9\par two}", "doc").split() == ["café", "two"]


def test_xlsx_rows_name_their_columns() -> None:
    sheets: dict[str, list[list[object]]] = {
        "人员": [["Staff 2024"], [None], ["name", "age", None], ["Ann", 31.0, "note"], [None, 7.5]],
        "Empty": [],
        "One": [["alone", "here"]],
    }
    assert read(documents.make_xlsx(sheets), "xlsx") == (
        '# 人员\n\nStaff 2024\n"name":"Ann";"age":"31";"note"\n"age":"7.5"\n\n# One\n\n"alone";"here"'
    )


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "gb18030"])
def test_csv_is_read_with_any_delimiter_and_encoding(delimiter: str, encoding: str) -> None:
    rows = [("问题", "答案"), ("为什么，怎么", '"two\nlines"'), ("其中的内容", "好")]
    content = "\n".join(delimiter.join(row) for row in rows).encode(encoding)
    assert read(content, "csv") == '"问题":"为什么，怎么";"答案":"two lines"\n"问题":"其中的内容";"答案":"好"'


def test_csv_of_one_column_has_the_first_row_as_header() -> None:
    assert read(b"word\none\ntwo\n", "csv") == '"word":"one"\n"word":"two"'


def test_pptx_gives_slides_with_titles_tables_groups_and_notes() -> None:
    assert read(documents.make_pptx(), "pptx") == (
        "# Quarterly numbers\n\nSales grew.\n\n| Q1 | 42 |\n| --- | --- |\n\nin a group\n\nSay it slowly."
    )


def test_html_gives_content_without_what_surrounds_it() -> None:
    page = (
        "<html><head><title>T</title><style>p{}</style></head><body><nav>Home</nav><h2>Kopf</h2>"
        '<p>See <a href="http://x/">this_page</a>.<script>alert(1)</script></p><p hidden>secret</p>'
        "<table><tr><th>a</th></tr><tr><td>1</td></tr></table><ul><li>one</li></ul></body></html>"
    )
    assert read(page.encode(), "html") == "T\n\n## Kopf\n\nSee this_page.\n\n| a |\n| --- |\n| 1 |\n\n- one"


@pytest.mark.parametrize("encoding", ["gb2312", "big5", "utf-8"])
def test_html_declared_encoding_is_believed(encoding: str) -> None:
    page = f'<meta http-equiv="Content-Type" content="text/html; charset={encoding}"><p>中文</p>'
    assert read(page.encode(encoding), "htm") == "中文"


def test_epub_gives_chapters_in_the_order_of_the_spine() -> None:
    chapters = {
        "b": "<html><h1>First</h1></html>",
        "a": "<html><p>Second</p></html>",
    }
    assert read(documents.make_epub(chapters), "epub") == "# First\n\nSecond"


def test_epub_with_locked_chapters_is_refused() -> None:
    lock = '<encryption><CipherReference URI="OPS/a.xhtml"/></encryption>'
    content = documents.make_epub({"a": "<html/>"}, **{"META-INF/encryption.xml": lock})
    with pytest.raises(ExtractionFailed, match="copy protection"):
        read(content, "epub")


def make_mail(**headers: str) -> EmailMessage:
    mail = EmailMessage()
    for name, value in headers.items():
        mail[name] = value
    return mail


def test_eml_gives_headers_body_and_names_of_attachments() -> None:
    inner = make_mail(Subject="Inner")
    inner.set_content("inner body")
    mail = make_mail(Subject="Größe 你好", From="Ann <a@example.com>", To="b@example.com")
    mail.set_content("plain body")
    mail.add_alternative("<p>html body</p>", subtype="html")
    mail.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="plan.pdf")
    mail.add_attachment(inner)
    assert read(mail.as_bytes(), "eml") == (
        "# Größe 你好\n\nFrom: Ann <a@example.com>\nTo: b@example.com\nAttachments: plan.pdf\n\n"
        "plain body\n\n# Inner\n\ninner body"
    )


def test_eml_with_only_html_gives_its_content() -> None:
    mail = make_mail(Subject="S")
    mail.set_content("<h1>Neu</h1><p>表</p>", subtype="html", charset="gb18030")
    assert read(mail.as_bytes(), "eml") == "# S\n\n# Neu\n\n表"


def test_eml_encrypted_is_refused() -> None:
    content = b"Subject: s\nContent-Type: application/pkcs7-mime; smime-type=enveloped-data\n\nMIAG"
    with pytest.raises(ExtractionFailed, match="encrypted"):
        read(content, "eml")


def test_msg_gives_headers_body_and_names_of_attachments() -> None:
    content = documents.make_msg(
        {
            "0037001F": wide("主题"),
            "1000001E": "正文内容".encode("gbk"),
            "0C1A001F": wide("Ann"),
            "0C1F001F": wide("ann@example.com"),
            "0E04001F": wide("Bob"),
        },
        attachment="plan.pdf",
    )
    assert read(content, "msg") == (
        "# 主题\n\nFrom: Ann <ann@example.com>\nTo: Bob\nDate: 2024-03-01 12:00:00+00:00\n"
        "Attachments: plan.pdf\n\n正文内容"
    )


def test_msg_with_only_html_gives_its_content() -> None:
    page = "<p>nur HTML</p>".ljust(5000).encode()
    assert read(documents.make_msg({"10130102": page}), "msg").endswith("nur HTML")


# The examples of [MS-OXRTFCP]: one with references into the preset text, one whose run overlaps itself.
PACKED_PRESET = (
    "2d0000002b0000004c5a4675f1c5c7a703000a007263706731323542320af32068656c090020627705b06c647d0a800fa0"
)
PACKED_RUN = "1a0000001c0000004c5a4675e2d44b51410004205758595a0d6e7d010eb0"


@pytest.mark.parametrize(("packed", "text"), [(PACKED_PRESET, "hello world"), (PACKED_RUN, "WXYZ" * 5)])
def test_msg_with_only_packed_rtf_gives_its_text(packed: str, text: str) -> None:
    content = documents.make_msg({"10090102": bytes.fromhex(packed)})
    assert read(content, "msg").endswith(f"\n\n{text}")


def test_msg_with_plain_rtf_resolves_its_escapes_and_drops_what_is_hidden() -> None:
    body = (
        rb"{\rtf1\ansi\ansicpg936\fromhtml1{\fonttbl{\f0 Arial;}}{\*\generator x;}"
        rb"\uc1 \u20320?\'ba\'c3 a\{b\par \u-10179?\u-8704?{\htmlrtf skipped\htmlrtf0}\lquote x\rquote}"
    )
    header = struct.pack("<IIII", len(body) + 12, len(body), 0x414C454D, 0)
    content = documents.make_msg({"10090102": header + body})
    assert read(content, "msg").endswith("\n\n你好 a{b\n😀‘x’")


@pytest.mark.parametrize("packed", [b"", b"x" * 40, bytes(16)])
def test_msg_with_damaged_rtf_is_refused(packed: bytes) -> None:
    with pytest.raises(ExtractionFailed, match="damaged"):
        packed_rtf.unpack(packed)


def test_vtt_gives_what_is_said() -> None:
    content = (
        "WEBVTT\n\nNOTE made by hand\n\n1\n00:00.000 --> 00:01.000 align:start\n<v Ann>Hi <b>there</b>\nBob"
        "\n\n00:02.000 --> 00:03.000\n你好\n"
    )
    assert read(content.encode(), "vtt") == "Ann: Hi there Bob\n你好"


def test_properties_resolve_their_escapes() -> None:
    assert read(rb"title=\u4f60\u597d \ud83d\ude00 C:\\temp", "properties") == "title=你好 😀 C:\\\\temp"


def test_json_is_indented_with_whole_words() -> None:
    assert read(b'{"a":["\\u4f60"],"b":1}', "json") == '{\n  "a": [\n    "你"\n  ],\n  "b": 1\n}'


@pytest.mark.parametrize("content", ['{"a": 1}\n{"a": 2}', '{"cut": [1, 2', "[" * 200_000])
def test_json_that_is_no_single_value_comes_as_it_is(content: str) -> None:
    assert read(content.encode(), "json") == content


def test_xml_gives_texts_and_attributes_by_name() -> None:
    content = (
        '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE r SYSTEM "http://example.com/r.dtd">'
        '<r xmlns="urn:x"><!-- no --><item id="7">Wert <b>fett</b> danach</item>'
        "<d>&lt;p&gt;feed&lt;/p&gt;</d></r>"
    )
    assert read(content.encode("utf-16"), "xml") == "item id: 7\nitem: Wert\nb: fett\ndanach\nd: feed"
