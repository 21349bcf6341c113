"""Tests of chat and completion apps in the console: what the pages of an app's settings send."""

from dataclasses import dataclass

from api.controllers.http.parsing import UUID, Items, Object, Text, json_field, parser
from api.controllers.schemas.chat import MODES
from api.core.ports import JSONObject
from api.services.asks import Ask


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialIn:
    """One message to an app that is configured as ``model_config`` says, for this run only."""

    model_config: JSONObject
    inputs: JSONObject
    query: str = ""
    files: tuple[JSONObject, ...] | None = None
    response_mode: str = "blocking"
    conversation_id: str | None = None

    def to_ask(self) -> Ask:
        """Return what is asked of the app; its conversation keeps its first words as its name."""
        return Ask(
            query=self.query,
            inputs=self.inputs,
            files=self.files or (),
            conversation_id=self.conversation_id,
            auto_generate_name=False,
            invoke_from="debugger",
            is_watched=self.response_mode == "streaming",
        )


SHARED = (
    json_field("model_config", Object(), required=True, help="Used for this run only; nothing is saved."),
    json_field("inputs", Object(takes_empty_list=True), required=True, help="Values of the app's variables."),
    json_field("files", Items(item=Object(), max_items=100), nullable=True, help="Files of this message."),
    json_field("response_mode", MODES, help="blocking when absent."),
)
CHAT_TRIAL = parser(
    json_field("query", Text(needs_content=True), required=True, help="The message."),
    *SHARED,
    json_field("conversation_id", UUID(may_be_blank=True), nullable=True, help="Blank starts a new one."),
)
COMPLETION_TRIAL = parser(json_field("query", Text(), help="Text for {{query}}."), *SHARED)
