"""Mails as Outlook saves them.

Standard: [MS-OXMSG]. Every property of the mail is a stream whose name ends in
the property's id and type; a mail carries its body as text, HTML or packed RTF.
"""

import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, BinaryIO

from api.core.rag import charsets, html_text, mail_text, ole, packed_rtf, rtf
from api.core.rag.extraction import ExtractionFailed, extractor

if TYPE_CHECKING:
    from olefile import OleFileIO

SUBJECT, BODY, HTML, RTF = "0037", "1000", "1013", "1009"
SENDER_NAME, SENDER_ADDRESS, SENDER_SMTP = "0C1A", "0C1F", "5D01"
TO, CC, BCC = "0E04", "0E03", "0E02"
FILE_NAME, SHORT_FILE_NAME = "3707", "3704"
UNICODE, BYTES_TEXT, BINARY = "001F", "001E", "0102"
CODE_PAGE_TAG, INTERNET_CODE_PAGE_TAG, SENT_TAG, RECEIVED_TAG = 0x3FFD0003, 0x3FDE0003, 0x00390040, 0x0E060040
PROPERTIES = "__properties_version1.0"
PROPERTIES_HEADER_BYTES, PROPERTY_BYTES = 32, 16
EPOCH = datetime(1601, 1, 1, tzinfo=UTC)


@extractor("msg")
def extract(file: BinaryIO) -> str:
    """Return the mail with its best body, attachments by name."""
    container = ole.open_ole(file)
    properties = ole.read_stream(container, PROPERTIES)
    if properties is None:
        raise ExtractionFailed("The file holds no mail; save it again from Outlook.")
    message = _Message(container, dict(_fixed_values(properties)))
    return mail_text.render(
        mail_text.Mail(
            subject=message.text(SUBJECT),
            sender=message.sender(),
            to=message.text(TO),
            cc=message.text(CC),
            bcc=message.text(BCC),
            date=message.date(),
            body=message.body(),
            attachments=message.attachments(),
        )
    )


def _fixed_values(properties: bytes) -> Iterator[tuple[int, int]]:
    """Yield tag and value of the properties that are numbers or times."""
    for at in range(PROPERTIES_HEADER_BYTES, len(properties) - PROPERTY_BYTES + 1, PROPERTY_BYTES):
        tag, _flags, value = struct.unpack_from("<IIQ", properties, at)
        yield tag, value


class _Message:
    """The properties of one mail."""

    def __init__(self, container: "OleFileIO", fixed: dict[int, int]) -> None:
        self._container = container
        self._fixed = fixed

    def text(self, prop: str, folder: tuple[str, ...] = ()) -> str:
        """Return a property's text, ``""`` where it has none."""
        wide = self._stream(prop, UNICODE, folder)
        if wide is not None:
            return wide.decode("utf-16-le", "replace").rstrip("\0")
        narrow = self._stream(prop, BYTES_TEXT, folder) or b""
        return charsets.decode(narrow.rstrip(b"\0"), self._encoding(CODE_PAGE_TAG))

    def sender(self) -> str:
        """Return name and address, each where known."""
        address = self.text(SENDER_SMTP) or self.text(SENDER_ADDRESS)
        name = self.text(SENDER_NAME)
        return f"{name} <{address}>" if name and "@" in address and name != address else name or address

    def date(self) -> str:
        """Return when the mail was sent or else received, in UTC."""
        ticks = self._fixed.get(SENT_TAG) or self._fixed.get(RECEIVED_TAG)
        if not ticks:
            return ""
        try:
            return (EPOCH + timedelta(microseconds=ticks // 10)).isoformat(" ", "seconds")
        except OverflowError:
            return ""

    def body(self) -> str:
        """Return the body: as text, or from HTML, or from RTF."""
        if text := self.text(BODY).strip():
            return text
        page = self._stream(HTML, BINARY)
        if page is not None:
            return html_text.to_markdown(charsets.decode(page, self._encoding(INTERNET_CODE_PAGE_TAG)))
        packed = self._stream(RTF, BINARY)
        return rtf.to_text(packed_rtf.unpack(packed)) if packed else ""

    def attachments(self) -> list[str]:
        """Return the names of the attached files."""
        folders = sorted({path[0] for path in self._container.listdir() if path[0].startswith("__attach")})
        names = [self.text(FILE_NAME, (name,)) or self.text(SHORT_FILE_NAME, (name,)) for name in folders]
        return [name for name in names if name]

    def _stream(self, prop: str, kind: str, folder: tuple[str, ...] = ()) -> bytes | None:
        return ole.read_stream(self._container, *folder, f"__substg1.0_{prop}{kind}")

    def _encoding(self, tag: int) -> str | None:
        number = self._fixed.get(tag, 0) & 0xFFFFFFFF
        return charsets.code_page(number) if number else None
