"""Mail through a mail server: a small one that speaks SMTP on this machine."""

import socket
import threading
from collections.abc import Iterator
from email import message_from_string, policy
from pathlib import Path

import pytest

from api.backends.mail import Backend
from api.core.ports import Mail
from api.errors import Unavailable
from tests.conftest import make_settings
from tests.ports import free_port

MAIL = Mail(to="bo@example.com", subject="邀请 you", text="Open this:\n\nhttps://x.example/?a=b\n")


class MailServer:
    """Takes one mail, or refuses every recipient."""

    def __init__(self, *, refuses: bool = False) -> None:
        self.refuses = refuses
        self.lines: list[str] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self) -> None:
        connection, _ = self.listener.accept()
        with connection, connection.makefile("rwb") as stream:
            self.say(stream, "220 hello")
            for raw in stream:
                line = raw.decode().rstrip("\r\n")
                self.lines.append(line)
                match line[:4].lower():
                    case "data":
                        self.say(stream, "354 go on")
                    case "rcpt" if self.refuses:
                        self.say(stream, "550 nobody")
                    case "ehlo" | "mail" | "rcpt" | "rset" | ".":
                        self.say(stream, "250 ok")
                    case "quit":
                        self.say(stream, "221 bye")

    def say(self, stream: object, text: str) -> None:
        stream.write(f"{text}\r\n".encode())  # type: ignore[attr-defined]  # what makefile gives
        stream.flush()  # type: ignore[attr-defined]  # the same

    def stop(self) -> None:
        self.listener.close()
        self.thread.join(30)


def mailer(tmp_path: Path, port: int, **values: object) -> Backend:
    settings = make_settings(
        tmp_path,
        smtp_host="127.0.0.1",
        smtp_port=port,
        smtp_security="none",
        mail_from="Slipway <slipway@example.com>",
        public_url="https://slipway.example",
        **values,
    )
    made = Backend.from_settings(settings)
    assert made is not None
    return made


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[MailServer]:
    made = MailServer(refuses=getattr(request, "param", False))
    yield made
    made.stop()


def test_mail_arrives_as_it_was_written(tmp_path: Path, server: MailServer) -> None:
    mailer(tmp_path, server.port).send(MAIL)
    server.thread.join(30)

    start, end = server.lines.index("data") + 1, server.lines.index(".")
    message = message_from_string("\n".join(server.lines[start:end]) + "\n", policy=policy.default)
    assert (message["To"], message["Subject"]) == (MAIL.to, MAIL.subject)
    assert message["From"] == "Slipway <slipway@example.com>"
    assert message["Message-ID"].endswith("@example.com>")
    assert message.get_content() == MAIL.text
    assert any(line.startswith("mail FROM:<slipway@example.com>") for line in server.lines)


@pytest.mark.parametrize("server", [True], indirect=True)
def test_mail_that_is_refused_is_told(tmp_path: Path, server: MailServer) -> None:
    with pytest.raises(Unavailable, match="SMTPRecipientsRefused"):
        mailer(tmp_path, server.port).send(MAIL)


def test_mail_without_a_server_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        mailer(tmp_path, free_port()).send(MAIL)


def test_mail_is_never_sent_in_clear_where_it_is_to_be_encrypted(tmp_path: Path, server: MailServer) -> None:
    settings = make_settings(
        tmp_path,
        smtp_host="127.0.0.1",
        smtp_port=server.port,
        mail_from="a@example.com",
        public_url="https://slipway.example",
    )
    made = Backend.from_settings(settings)
    assert made is not None

    with pytest.raises(Unavailable, match="SMTPNotSupportedError"):
        made.send(MAIL)

    assert Backend.from_settings(make_settings(tmp_path)) is None
