"""Bytes to text in whatever encoding they are.

Order: byte order mark, UTF-8, UTF-16 without a mark, what the document declares,
then the likeliest of the encodings below, judged by whether the characters they
give are common ones in the languages they were made for.
"""

import codecs
import re
from collections.abc import Callable

SAMPLE_BYTES = 64 * 1024
MAX_BROKEN = 0.01
MIN_SCORE = 0.7

MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Browsers read these names as their supersets, and so do the files that bear them.
SUPERSETS = {
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "iso8859-1": "cp1252",
    "ascii": "cp1252",
    "shift_jis": "cp932",
}

# Encodings of host names and of source code, which no document is in; those of names take quadratic time.
FOREIGN = frozenset({"idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined"})

# How ISO-2022-JP, whose every byte is ASCII, changes to Japanese.
JAPANESE_ESCAPES = (b"\x1b$B", b"\x1b$@")
# The most frequent letters; small ones, because KOI8-R read as Windows-1251 turns small into capital.
RUSSIAN = "оеаинтсрвлкмдпуя"
KANA = re.compile(r"[\u3040-\u30ff]")
HANGUL = re.compile(r"[\uac00-\ud7a3]")
# Letters and signs of Western European texts that stand in or beside words written in ASCII.
WESTERN = re.compile(
    r"(?<=[A-Za-z ])[À-ÖØ-öø-ÿŠšŽžŒœ]|[À-ÖØ-öø-ÿŠšŽžŒœ](?=[A-Za-z])|[‘’“”–—…•€£©®°§«»¿¡\u00a0™]"
)


def decode(data: bytes, declared: str | None = None) -> str:
    """Return the text of some bytes; ``declared`` is the encoding a document names, if any.

    Never fails: bytes that fit nowhere become U+FFFD.
    """
    for mark, encoding in MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace")
    if any(escape in data for escape in JAPANESE_ESCAPES):
        return data.decode("iso2022_jp", "replace")
    if (text := _as_utf8(data)) is not None:
        return text
    encoding = _unmarked_utf16(data) or _known(declared, data) or guess(data[:SAMPLE_BYTES])
    return data.decode(encoding, "replace")


def code_page(number: int) -> str:
    """Return the codec of a Windows code page; Western European where it is unknown."""
    try:
        return codecs.lookup(
            {65001: "utf-8", 20127: "cp1252", 936: "gb18030"}.get(number, f"cp{number}")
        ).name
    except LookupError:
        return "cp1252"


def text_codec(declared: str) -> str | None:
    """Return the codec to read a declared encoding with; None where there is none, or it is not one of texts.

    Python's codecs also inflate bytes (``bz2``, ``zlib``): a few kilobytes could fill the memory.
    """
    try:
        name = codecs.lookup(declared.strip()).name
        "".encode(name)  # raises LookupError for a codec from bytes to bytes, or from text to text
    except (LookupError, ValueError):  # ValueError: a NUL within the name
        return None
    return None if name in FOREIGN else SUPERSETS.get(name, name)


def guess(sample: bytes) -> str:
    """Return the likeliest encoding of some bytes that are not UTF-8."""
    scores = {encoding: score(sample) for encoding, score in SCORES.items()}
    best = max(scores, key=lambda encoding: scores[encoding])
    if scores[best] >= MIN_SCORE:
        return best
    from charset_normalizer import from_bytes  # takes a while to load; only for the rare rest

    found = from_bytes(sample).best()
    return found.encoding if found else "cp1252"


def _as_utf8(data: bytes) -> str | None:
    """Return the text if the bytes are UTF-8; few broken ones among many do not make it another encoding."""
    try:
        return data.decode("utf-8") if b"\0" not in data[:SAMPLE_BYTES] else None
    except UnicodeDecodeError:
        text = data.decode("utf-8", "replace")
    foreign = len(text) - len(text.encode("ascii", "ignore"))
    return text if text.count("\ufffd") <= foreign * MAX_BROKEN else None


def _unmarked_utf16(data: bytes) -> str | None:
    """Return which UTF-16 text without a byte order mark is in: spaces and line ends have a zero byte."""
    sample = data[:SAMPLE_BYTES]
    little, big = sample[1::2].count(0), sample[0::2].count(0)
    if max(little, big) * 50 < len(sample):
        return None
    return "utf-16-le" if little > big else "utf-16-be"


def _known(declared: str | None, data: bytes) -> str | None:
    """Return the codec of a declared encoding if there is one and the bytes are in it."""
    encoding = text_codec(declared or "")
    try:
        return encoding if encoding and _decode_sample(data[:SAMPLE_BYTES], encoding) else None
    except UnicodeError:
        return None


def _decode_sample(sample: bytes, encoding: str) -> str:
    """Return the text of bytes that may be cut within a character. Raises UnicodeDecodeError."""
    return codecs.getincrementaldecoder(encoding)().decode(sample)


def _share(encoding: str, is_common: Callable[[str], bool]) -> Callable[[bytes], float]:
    """Return a score of an encoding: the share of common characters among those beyond ASCII."""

    def score(sample: bytes) -> float:
        try:
            foreign = [char for char in _decode_sample(sample, encoding) if char > "\x7f"]
        except UnicodeDecodeError:
            return 0.0
        return sum(map(is_common, foreign)) / max(len(foreign), 1)

    return score


def _leads(encoding: str, *ranges: tuple[int, int]) -> Callable[[str], bool]:
    """Return a test for characters whose first byte in ``encoding`` lies in a range: its common ones."""

    def is_common(char: str) -> bool:
        code = char.encode(encoding, "ignore")
        return len(code) == 2 and any(first <= code[0] <= last for first, last in ranges)

    return is_common


def _japanese(encoding: str) -> Callable[[bytes], float]:
    """Return a score of an encoding of Japanese, which is never without kana."""
    common = _share(encoding, _leads("euc_jp", (0xA1, 0xA5), (0xB0, 0xCF)))
    kana = _share(encoding, lambda char: bool(KANA.match(char)))
    # The bonus decides against GB 18030, which has kana at the same place as EUC-JP.
    return lambda sample: common(sample) + 0.05 if kana(sample) > 0.2 else 0.0


def _korean(sample: bytes) -> float:
    """Score EUC-KR, whose every syllable is also a common character of GB 18030."""
    score = _share("cp949", lambda char: bool(HANGUL.match(char)) or _is_cjk_sign(char))(sample)
    return score + 0.05 if score > 0.9 else 0.0


def _is_cjk_sign(char: str) -> bool:
    return "\u3000" <= char <= "\u303f" or "\uff00" <= char <= "\uff5e"


def _western(sample: bytes) -> float:
    """Score Windows-1252: signs and accented letters in the midst of ASCII words."""
    try:
        text = sample.decode("cp1252")
    except UnicodeDecodeError:
        return 0.0
    foreign = sum(char > "\x7f" for char in text)
    # Above the others at equal share: a lone pair of accents is also some Chinese character.
    return len(WESTERN.findall(text)) / max(foreign, 1) * 1.2


# Level 1 of each national standard, in its first rows, holds the characters in common use.
SCORES: dict[str, Callable[[bytes], float]] = {
    "gb18030": _share("gb18030", _leads("gb2312", (0xA1, 0xA3), (0xB0, 0xD7))),
    "big5": _share("cp950", _leads("big5", (0xA1, 0xA3), (0xA4, 0xC6))),
    "cp932": _japanese("cp932"),
    "euc_jp": _japanese("euc_jp"),
    "cp949": _korean,
    "cp1252": _western,
    "cp1251": _share("cp1251", lambda char: char in RUSSIAN),
    "koi8_r": _share("koi8_r", lambda char: char in RUSSIAN),
}
