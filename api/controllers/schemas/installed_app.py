"""Apps as members of a workspace use them: what their pages send, who they are says their token."""

from dataclasses import dataclass

from api.controllers.schemas.chat import CHAT, COMPLETION
from api.controllers.schemas.conversation import CONVERSATIONS, MESSAGES, RENAME
from api.controllers.schemas.feedback import FEEDBACK
from api.controllers.schemas.workflow_run import RUN
from api.core.ports import JSONObject
from api.services import installed_apps
from api.services.asks import Ask
from api.services.idempotency import Claim


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnTurnIn:
    """One message to an app, or one run of it."""

    query: str = ""
    inputs: JSONObject | None = None
    response_mode: str = "blocking"
    conversation_id: str | None = None
    files: tuple[JSONObject, ...] | None = None
    auto_generate_name: bool = True
    on_disconnect: str = "continue"
    read_aloud: bool = True

    def to_ask(self, claim: Claim | None) -> Ask:
        """Return what is asked of the app."""
        return Ask(
            query=self.query,
            inputs=self.inputs or {},
            files=self.files or (),
            conversation_id=self.conversation_id,
            auto_generate_name=self.auto_generate_name,
            invoke_from=installed_apps.INSTALLED,
            claim=claim,
            is_watched=self.response_mode == "streaming",
            may_be_spoken=self.read_aloud,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnRatingIn:
    """What a member thinks of an answer; a null rating takes it back."""

    rating: str | None = None
    content: str | None = None


OWN_CHAT = CHAT.copy().remove_argument("user").remove_argument("workflow_id")
OWN_COMPLETION = COMPLETION.copy().remove_argument("user")
OWN_RUN = RUN.copy().remove_argument("user")
OWN_RATING = FEEDBACK.copy().remove_argument("user")
OWN_CONVERSATIONS = CONVERSATIONS.copy().remove_argument("user")
OWN_MESSAGES = MESSAGES.copy().remove_argument("user")
OWN_NAME = RENAME.copy().remove_argument("user")
