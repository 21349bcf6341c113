"""Questions an end user may want to ask after an answer, written by a model when they are asked for.

Wire: docs/wire/messages.md#get-messagesmessage_idsuggested.
"""

from sqlalchemy import select, tuple_

from api.core.apps.config import ModelConfig
from api.core.apps.features import Features
from api.core.apps.spec import AppSpec
from api.core.model_runtime.provider import is_generative
from api.core.model_runtime.types import ChatRequest, Role
from api.core.model_runtime.types import Message as PromptMessage
from api.core.ports import Cancel
from api.core.text.found_json import find_json
from api.errors import BadRequest, Forbidden
from api.models.conversation import Message
from api.models.types import position_of
from api.principal import Principal
from api.runtime import Runtime, Session
from api.services import app_info, limits, providers
from api.services.access import access_message
from api.services.ledger import Tally

TURNS = 3
TEXT_CHARS = 2000
MAX_QUESTIONS = 3
QUESTION_CHARS = 200
TIMEOUT_S = 30.0
INSTRUCTIONS = (
    "You are given the end of a conversation between a user and an assistant. Write the three questions the "
    "user is most likely to ask next, each at most twenty words, in the language of the user, as the user "
    'would put them. Answer with a JSON array of three strings alone, such as ["…", "…", "…"].'
)


class SuggestionsDisabled(Forbidden):
    """The app suggests no questions; what pages are told."""

    code = "app_suggested_questions_after_answer_disabled"


def suggest_questions(
    runtime: Runtime, app: AppSpec, principal: Principal, message_id: str, *, key_id: str | None = None
) -> list[str]:
    """Return at most three questions that may follow a message of the caller.

    None where nothing was answered, or where the model cannot write any. A
    chat app asks its own model, a chatflow the workspace's default one. Counts
    as a run of the app, and of the key of ``key_id``. Raises BadRequest where
    the app does not want them, NotFound, RateLimited, or a ProviderFailure.
    """
    if not app_info.features_of(runtime, app).suggested_questions_after_answer.enabled:
        raise BadRequest("Suggested Questions Is Disabled.")
    return _suggest(runtime, app, principal, message_id, key_id)


def suggest_on_page(
    runtime: Runtime,
    app: AppSpec,
    principal: Principal,
    message_id: str,
    *,
    features: ModelConfig | Features | None = None,
) -> list[str]:
    """Return what ``suggest_questions`` does, for a page; raises SuggestionsDisabled in place of BadRequest.

    ``features`` say whether the app wants them, where those it is used with do not.
    """
    wanted = features or app_info.features_of(runtime, app)
    if not wanted.suggested_questions_after_answer.enabled:
        raise SuggestionsDisabled("Suggested Questions Is Disabled.")
    return _suggest(runtime, app, principal, message_id, None)


def _suggest(
    runtime: Runtime, app: AppSpec, principal: Principal, message_id: str, key_id: str | None
) -> list[str]:
    with runtime.reading() as session:
        talk = _end_of_talk(session, principal, app.id, message_id)
        default = providers.default_chat_model(runtime, session, app.tenant_id)
    ref = app.config.model.ref if app.config else default
    if not talk or not is_generative(ref.provider):
        return []
    request = ChatRequest(
        model=ref.model,
        messages=(PromptMessage.of(Role.SYSTEM, INSTRUCTIONS), PromptMessage.of(Role.USER, talk)),
        parameters={"max_tokens": 512, "temperature": 0.3},
    )
    tally = Tally(
        runtime=runtime, tenant_id=app.tenant_id, app_id=app.id, actor_id=principal.id, key_id=key_id
    )
    with limits.holding_slots(runtime, app, key_id):
        models = providers.model_runtime(tally, app.providers_version)
        chunks = models.chat(app.tenant_id, ref, request, Cancel(TIMEOUT_S))
        return read_questions("".join(chunk.text for chunk in chunks))


def read_questions(text: str) -> list[str]:
    """Return the questions a model wrote; none where it wrote no list of them."""
    found = find_json(text)
    if isinstance(found, dict):
        found = next((value for value in found.values() if isinstance(value, list)), [])
    texts = (" ".join(item.split())[:QUESTION_CHARS] for item in found or () if isinstance(item, str))
    return [question for question in texts if question][:MAX_QUESTIONS]


def _end_of_talk(session: Session, principal: Principal, app_id: str, message_id: str) -> str:
    """Return the turns that end with a message, as text; empty where it has no answer. Raises NotFound."""
    last = access_message(session, principal, app_id, message_id)
    if not last.answer:
        return ""
    rows = session.execute(
        select(Message.query, Message.answer)
        .where(
            Message.tenant_id == principal.tenant_id,
            Message.conversation_id == last.conversation_id,
            tuple_(Message.created_at, Message.id) <= position_of(last.created_at, last.id),
        )
        .order_by(Message.created_at.desc(), Message.id.desc())
        .limit(TURNS)
    ).all()
    return "\n\n".join(
        f"User: {row.query[:TEXT_CHARS]}\nAssistant: {row.answer[:TEXT_CHARS]}" for row in reversed(rows)
    )
