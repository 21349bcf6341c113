"""A mail as text: its subject as heading, who wrote to whom and when, the body, the names of attachments."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """What is told of a mail; what is unknown is empty. ``body`` is plain text or Markdown."""

    subject: str = ""
    sender: str = ""
    to: str = ""
    cc: str = ""
    bcc: str = ""
    date: str = ""
    body: str = ""
    attachments: Sequence[str] = ()


def render(mail: Mail) -> str:
    """Return a mail as Markdown."""
    fields = (
        ("From", mail.sender),
        ("To", mail.to),
        ("Cc", mail.cc),
        ("Bcc", mail.bcc),
        ("Date", mail.date),
        ("Attachments", ", ".join(mail.attachments)),
    )
    head = "\n".join(f"{name}: {value}" for name, value in fields if value)
    heading = f"# {mail.subject}" if mail.subject else ""
    return "\n\n".join(part for part in (heading, head, mail.body.strip()) if part)
