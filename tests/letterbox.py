"""A mailer that keeps what it is given, for tests to read."""

from dataclasses import dataclass, field

from api.core.ports import Mail
from tests.waiting import wait_until


@dataclass
class Letterbox:
    """Implements Mailer."""

    mails: list[Mail] = field(default_factory=list)

    def send(self, mail: Mail) -> None:
        """Keep a mail."""
        self.mails.append(mail)

    def read(self, address: str) -> Mail:
        """Wait for mail to an address; return its newest."""
        wait_until(lambda: any(mail.to == address for mail in self.mails))
        return next(mail for mail in reversed(self.mails) if mail.to == address)
