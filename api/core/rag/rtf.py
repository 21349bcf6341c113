"""Rich Text Format to plain text: enough for the bodies of mails."""

import re
from dataclasses import dataclass, replace

from api.core.rag.charsets import code_page

TOKEN = re.compile(
    rb"\\([a-z]{1,32})(-?\d{1,10})? ?|\\'([0-9a-fA-F]{2})|\\([^a-z])|([{}])|([^\\{}\r\n]+)|[\r\n]+",
    re.IGNORECASE,
)
SKIPPED_GROUPS = re.compile(
    "fonttbl|colortbl|stylesheet|info|pict|object|header[lrf]?|footer[lrf]?|listtable|listoverridetable|"
    "rsidtbl|generator|xmlnstbl|themedata|datastore|fldinst"
)
BREAKS = {"par": "\n", "line": "\n", "sect": "\n", "page": "\n", "row": "\n", "tab": "\t", "cell": "\t"}
SIGNS = {
    "lquote": "‘", "rquote": "’", "ldblquote": "“", "rdblquote": "”",
    "bullet": "•", "endash": "–", "emdash": "—",
}  # fmt: skip
LITERALS = {b"~": "\u00a0", b"_": "-", b"\\": "\\", b"{": "{", b"}": "}", b"\n": "\n", b"\r": "\n"}


@dataclass(frozen=True, slots=True)
class _Group:
    """What holds within a group: whether it is text, and how many characters follow a Unicode one."""

    is_skipped: bool = False
    fallback_chars: int = 1


class _Reader:
    """Walks the tokens of one document."""

    def __init__(self) -> None:
        self.encoding = "cp1252"
        self.group = _Group()
        self.groups: list[_Group] = []
        self.to_skip = 0
        self.pieces: list[str] = []
        self.pending = bytearray()

    def read(self, data: bytes) -> str:
        for word, number, code, symbol, brace, text in TOKEN.findall(data):
            if code:
                self._bytes(bytes.fromhex(code.decode()))
            elif text:
                self._bytes(text)
            elif brace:
                self._brace(brace)
            elif symbol:
                self._symbol(symbol)
            elif word:
                self._word(word.decode().lower(), int(number or 1))
        self._flush()
        return "".join(self.pieces)

    def _brace(self, brace: bytes) -> None:
        self._flush()
        if brace == b"{":
            self.groups.append(self.group)
        elif self.groups:
            self.group = self.groups.pop()

    def _symbol(self, symbol: bytes) -> None:
        if symbol == b"*":
            self.group = replace(self.group, is_skipped=True)
        else:
            self._text(LITERALS.get(symbol, ""))

    def _word(self, word: str, number: int) -> None:
        if SKIPPED_GROUPS.fullmatch(word):
            self.group = replace(self.group, is_skipped=True)
        elif word == "ansicpg":
            self.encoding = code_page(number)
        elif word == "uc":
            self.group = replace(self.group, fallback_chars=number)
        elif word == "u":
            self._text(chr(number % 0x10000))
            self.to_skip = self.group.fallback_chars
        elif word == "htmlrtf":  # around what only the RTF form of an HTML mail needs
            self.group = replace(self.group, is_skipped=number != 0)
        else:
            self._text(BREAKS.get(word) or SIGNS.get(word, ""))

    def _bytes(self, data: bytes) -> None:
        skipped, self.to_skip = min(self.to_skip, len(data)), max(self.to_skip - len(data), 0)
        if not self.group.is_skipped:
            self.pending += data[skipped:]

    def _text(self, text: str) -> None:
        self._flush()
        if not self.group.is_skipped:
            self.pieces.append(text)

    def _flush(self) -> None:
        """Decode what has gathered: characters of several bytes come as several tokens."""
        if self.pending:
            self.pieces.append(self.pending.decode(self.encoding, "replace"))
            self.pending.clear()


def to_text(data: bytes) -> str:
    """Return the plain text of an RTF document; never fails."""
    text = _Reader().read(data)
    # Characters beyond the first plane come as the two halves UTF-16 makes of them.
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
