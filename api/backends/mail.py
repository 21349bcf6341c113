"""Sends mail through the operator's mail server, by the standard library's SMTP client.

It is called from background jobs alone. Its sockets are the patched ones, so
that while it waits for the server everything else goes on.
"""

import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Self

from api.core.ports import Mail
from api.errors import Unavailable
from api.settings import Settings

TIMEOUT_S = 15.0


class Backend:
    """Implements Mailer: one connection for each mail, because there are few."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @classmethod
    def from_settings(cls, settings: Settings) -> Self | None:
        """Return the mailer, or None where no mail server is configured."""
        return cls(settings) if settings.smtp_host else None

    def send(self, mail: Mail) -> None:
        """Hand a mail to the server; raises Unavailable where it does not take it now."""
        try:
            with self._connect() as connection:
                self._sign_in(connection)
                connection.send_message(self._to_message(mail))
        except (OSError, smtplib.SMTPException) as exc:
            raise Unavailable(f"The mail server took no mail: {type(exc).__name__}.") from exc

    def _connect(self) -> smtplib.SMTP:
        host, port = self._settings.smtp_host, self._settings.smtp_port
        if self._settings.smtp_security == "tls":
            return smtplib.SMTP_SSL(host, port, timeout=TIMEOUT_S, context=ssl.create_default_context())
        return smtplib.SMTP(host, port, timeout=TIMEOUT_S)

    def _sign_in(self, connection: smtplib.SMTP) -> None:
        settings = self._settings
        if settings.smtp_security == "starttls":
            connection.starttls(context=ssl.create_default_context())
        if settings.smtp_username and settings.smtp_password is not None:
            connection.login(settings.smtp_username, settings.smtp_password.get_secret_value())

    def _to_message(self, mail: Mail) -> EmailMessage:
        message = EmailMessage()
        message["From"] = self._settings.mail_from.strip()
        message["To"] = mail.to
        message["Subject"] = mail.subject
        message["Date"] = formatdate()
        message["Message-ID"] = make_msgid(
            domain=self._settings.mail_from.strip().rpartition("@")[2].strip(">")
        )
        message.set_content(mail.text)
        return message
