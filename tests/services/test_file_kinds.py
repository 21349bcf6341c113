"""Names and contents of files: what is cleaned, what is told apart."""

import codecs
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.errors import Unsupported
from api.services import file_kinds
from tests import uploads


@given(st.text(st.characters(exclude_characters=file_kinds.NOT_IN_NAMES), max_size=400))
def test_accept_name_gives_a_short_clean_name(raw: str) -> None:
    name = file_kinds.accept_name(f"x{raw}.txt")

    assert name.extension == "txt"
    assert name.text.startswith("x")
    assert name.text.endswith(".txt")
    assert len(name.text) <= 200
    assert not set(name.text) & {"\r", "\n", "\x00", *file_kinds.BIDI_MARKS}


@pytest.mark.parametrize(
    ("raw", "extension"),
    [
        ("a.PNG", "png"),
        ("a.tar.txt", "txt"),
        ("a.png.", "png"),
        ("a.p\u200fng", "png"),
        ("\u202ea.txt", "txt"),
    ],
)
def test_accept_name_reads_the_extension_of_the_cleaned_name(raw: str, extension: str) -> None:
    assert file_kinds.accept_name(raw).extension == extension


@pytest.mark.parametrize(
    "encoding", ["utf-8", "gb18030", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"]
)
@pytest.mark.parametrize("text", ["Call me Ishmael.\n", "一条鲸鱼\n二条船\n" * 400])
def test_check_content_takes_text_in_any_encoding(text: str, encoding: str) -> None:
    data = text.encode(encoding)
    marked = codecs.BOM_UTF32_BE + data if encoding == "utf-32-be" else data

    file_kinds.check_content(file_kinds.accept_name("a.txt"), marked[:4096])


@pytest.mark.parametrize(
    "head", [uploads.PNG, uploads.JPEG, uploads.PDF, uploads.ZIP, uploads.OLE, uploads.MP4, uploads.WAV]
)
def test_check_content_takes_no_other_kind_for_text(head: bytes) -> None:
    with pytest.raises(Unsupported):
        file_kinds.check_content(file_kinds.accept_name("a.txt"), head)


@pytest.mark.parametrize("start", [b"a\0", b"\0a"])
def test_check_content_takes_no_noise_for_text_of_two_bytes(start: bytes) -> None:
    with pytest.raises(Unsupported):
        file_kinds.check_content(file_kinds.accept_name("a.txt"), start + random.Random(7).randbytes(4094))


@pytest.mark.parametrize("name", ["a.exe", "a.ex\u200fe", "a.exe...", "a.BAT", "a.dll "])
def test_accept_name_sees_through_disguises(name: str) -> None:
    with pytest.raises(file_kinds.FileExtensionBlocked):
        file_kinds.accept_name(name)


@pytest.mark.parametrize(
    ("head", "mime_type"),
    [
        (uploads.PNG, "image/png"),
        (uploads.JPEG, "image/jpeg"),
        (uploads.GIF, "image/gif"),
        (uploads.WEBP, "image/webp"),
        (uploads.SVG, None),
        (uploads.WAV, None),
        (uploads.HTML, None),
        (b"", None),
    ],
)
def test_find_raster_type_goes_by_content(head: bytes, mime_type: str | None) -> None:
    found = file_kinds.find_raster_type(head)

    assert (found and found.mime_type) == mime_type


def test_largest_size_depends_on_the_kind_of_the_name() -> None:
    limits = {"image": 1, "document": 2, "audio": 3, "video": 4}

    sizes = [
        file_kinds.max_bytes(limits, f"a.{name}") for name in ("png", "png. ", "py", "mp3", "mp4", "unknown")
    ]

    assert sizes == [1, 1, 2, 3, 4, 4]
