import bz2
import random
import zlib

import pytest

from api.core.rag import charsets
from api.core.rag.html import decode_html

CHINESE = "知识库是从真实文档到带引用的回答。中文编码很多，需要正确识别。"
TRADITIONAL = "知識庫是從真實文件到帶引用的回答。中文編碼很多，需要正確辨識。"
JAPANESE = "これは日本語の文書です。文字コードを正しく判別する必要があります。"
KOREAN = "이것은 한국어 문서입니다. 문자 인코딩을 올바르게 판별해야 합니다."
FRENCH = "L’été dernier, nous avons dîné à la crêperie. Garçon, où êtes-vous ?"
GERMAN = "Die Prüfung der Größe übernimmt Herr Müller – schön, nicht wahr?"
RUSSIAN = "Это документ на русском языке. Кодировку нужно определить правильно."
GREEK = "Αυτό είναι ένα έγγραφο στα ελληνικά. Η κωδικοποίηση πρέπει να βρεθεί."
NOISE = random.Random(7).randbytes(4000)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        *((CHINESE, name) for name in ("utf-8", "utf-8-sig", "utf-16", "utf-32", "gb18030", "gbk")),
        *((CHINESE + "\n", name) for name in ("utf-16-le", "utf-16-be")),
        *((CHINESE[:8], name) for name in ("gb18030", "gb2312")),
        *((text, "big5") for text in (TRADITIONAL, TRADITIONAL[:8])),
        *((JAPANESE, name) for name in ("shift_jis", "euc_jp", "iso2022_jp")),
        *((JAPANESE[:10], name) for name in ("shift_jis", "euc_jp")),
        *((text, "euc_kr") for text in (KOREAN, KOREAN[:8])),
        *((text, "cp1252") for text in (FRENCH, GERMAN, GERMAN[:16], "naïve café")),
        *((RUSSIAN, name) for name in ("cp1251", "koi8-r")),
        (GREEK, "cp1253"),
        ("plain ASCII", "ascii"),
    ],
)
def test_decode_text_without_declaration_reads_it(text: str, encoding: str) -> None:
    assert charsets.decode(text.encode(encoding)) == text


def test_decode_declared_encoding_is_believed() -> None:
    assert charsets.decode("ŁÓDŹ".encode("cp1250"), "windows-1250") == "ŁÓDŹ"


@pytest.mark.parametrize("declared", ["no-such-charset", "big5", ""])
def test_decode_wrong_declaration_is_not_believed(declared: str) -> None:
    data = CHINESE.encode("gb18030")
    assert charsets.decode(data, declared) == CHINESE


@pytest.mark.parametrize(
    ("declared", "data"),
    [
        ("bz2", bz2.compress(NOISE)),
        ("zip", zlib.compress(NOISE)),
        ("hex", b"caf\xe9"),
        ("rot13", b"caf\xe9"),
        ("punycode", b"a" * 200 + b"\0-9ca"),
        ("unicode_escape", b"caf\xe9\\n"),
        ("utf-8\0", b"caf\xe9"),
    ],
)
def test_decode_what_is_no_encoding_of_documents_is_not_believed(declared: str, data: bytes) -> None:
    assert charsets.decode(data, declared) == charsets.decode(data)
    assert decode_html(data, declared) == decode_html(data)


def test_decode_declared_gb2312_is_read_as_its_superset() -> None:
    assert charsets.decode("朱镕基".encode("gbk"), "gb2312") == "朱镕基"


def test_decode_utf8_with_a_broken_byte_stays_utf8() -> None:
    data = (CHINESE * 20).encode() + b"\xff" + CHINESE.encode()
    assert charsets.decode(data) == CHINESE * 20 + "\ufffd" + CHINESE


def test_decode_long_text_is_judged_by_its_beginning_and_read_whole() -> None:
    text = CHINESE * 3000
    assert charsets.decode(text.encode("gb18030")) == text


def test_decode_arbitrary_bytes_never_fails() -> None:
    assert isinstance(charsets.decode(bytes(range(256)) * 300), str)


@pytest.mark.parametrize(("number", "encoding"), [(936, "gb18030"), (65001, "utf-8"), (99999, "cp1252")])
def test_code_page_is_named_as_a_codec(number: int, encoding: str) -> None:
    assert charsets.code_page(number) == encoding
