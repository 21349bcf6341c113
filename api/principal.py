"""Who asks, and for which workspace: the first argument of every service that acts for someone."""

from contextvars import ContextVar
from dataclasses import dataclass
from enum import IntEnum, StrEnum

works_for: ContextVar[str] = ContextVar("works_for", default="")
"""The workspace that the work at hand is for. Only ever read to share what there is too little of."""


class ActorKind(StrEnum):
    """What stands behind a principal."""

    ACCOUNT = "account"
    END_USER = "end_user"
    SERVICE = "service"


class Role(IntEnum):
    """A member's role in a workspace, ordered: a higher role may do all that a lower one may.

    ``DATASET_OPERATOR`` is below ``NORMAL``: it opens knowledge only, and each
    dataset route says so for itself.
    """

    DATASET_OPERATOR = 0
    NORMAL = 1
    EDITOR = 2
    ADMIN = 3
    OWNER = 4

    @property
    def wire(self) -> str:
        """The word clients see, for example ``"owner"``."""
        return self.name.lower()

    @classmethod
    def from_wire(cls, word: str) -> "Role":
        """Return the role of a stored word; raises KeyError for an unknown one."""
        return cls[word.upper()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """The authenticated caller.

    ``id`` is the account's id, the end user's id, or (``SERVICE``) the API
    key's id. ``role`` is NORMAL for anything but an account. ``app_id`` is set
    where the credential opens exactly one app. ``user`` is the caller's own
    name for an end user (the ``user`` parameter of the public API).
    """

    tenant_id: str
    kind: ActorKind
    id: str
    role: Role = Role.NORMAL
    app_id: str | None = None
    user: str | None = None
