"""Mails as mail servers carry them."""

import re
from typing import TYPE_CHECKING, BinaryIO

from api.core.rag import charsets, html_text, mail_text
from api.core.rag.extraction import ExtractionFailed, extractor

if TYPE_CHECKING:
    from email.message import MIMEPart

ENCRYPTED = {"application/pkcs7-mime", "application/x-pkcs7-mime", "multipart/encrypted"}


@extractor("eml")
def extract(file: BinaryIO) -> str:
    """Return the mail with its best body; attachments by name, attached mails in full."""
    from email import policy  # takes a while to load; only mails need it
    from email.parser import BytesParser

    data = file.read()
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in data[:64]:
        data = charsets.decode(data).encode()
    message = BytesParser(policy=policy.default).parsebytes(data)
    if message.get_content_type() in ENCRYPTED and message.get_param("smime-type") != "signed-data":
        raise ExtractionFailed("The mail is encrypted; save it decrypted from a mail program.")
    return _render(message)


def _render(message: "MIMEPart") -> str:
    body = message.get_body(("plain", "html"))
    attached = list(message.iter_attachments())
    text = mail_text.render(
        mail_text.Mail(
            subject=_header(message, "subject"),
            sender=_header(message, "from"),
            to=_header(message, "to"),
            cc=_header(message, "cc"),
            bcc=_header(message, "bcc"),
            date=_header(message, "date"),
            body=_body(body) if body is not None else "",
            attachments=[name for part in attached if (name := part.get_filename())],
        )
    )
    carriers = [part for part in attached if part.get_content_type() == "message/rfc822"]
    inner = [_render(mail) for part in carriers for mail in part.iter_parts()]
    return "\n\n".join([text, *inner])


def _header(message: "MIMEPart", name: str) -> str:
    try:
        return " ".join(str(message.get(name, "")).split())
    except (ValueError, LookupError, AttributeError, IndexError):  # the parser's own faults on odd addresses
        raw = next((value for key, value in message.raw_items() if key.lower() == name), "")
        return re.sub(r"\s+", " ", str(raw)).strip()


def _body(part: "MIMEPart") -> str:
    data = part.get_payload(decode=True)
    text = charsets.decode(data if isinstance(data, bytes) else b"", part.get_content_charset())
    return html_text.to_markdown(text) if part.get_content_subtype() == "html" else text
