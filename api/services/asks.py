"""What a caller asks of an app, whatever its mode."""

from dataclasses import dataclass

from api.core.ports import JSONObject
from api.services import idempotency


class Repeated(Exception):
    """The request's idempotency claim belongs to an earlier one; ``made`` is the id of what that one made."""

    def __init__(self, made: str) -> None:
        super().__init__(made)
        self.made = made


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a caller asks of an app, as it came through the door; ``key_id`` is the API key it came with.

    ``workflow_id`` is the published version of a chatflow that is to answer, None for the one in use.
    ``is_watched`` says that the caller sees the answer come, ``may_be_spoken`` that it plays sound.
    """

    query: str
    inputs: JSONObject
    files: tuple[JSONObject, ...] = ()
    conversation_id: str | None = None
    workflow_id: str | None = None
    auto_generate_name: bool = True
    invoke_from: str = "service-api"
    key_id: str | None = None
    claim: idempotency.Claim | None = None
    is_watched: bool = True
    may_be_spoken: bool = True
