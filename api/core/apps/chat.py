"""A chat app: instructions, as much of the conversation as fits, and the question."""

from collections.abc import Iterator

from api.core.apps.answer import answer
from api.core.apps.documents import fit_documents
from api.core.apps.knowledge import consult
from api.core.apps.prompting import chat_messages
from api.core.apps.room import remember
from api.core.apps.spec import AppSpec, Deps, Turn
from api.core.events import Event


def run(spec: AppSpec, turn: Turn, deps: Deps) -> Iterator[Event]:
    """Yield the answer to one message of a conversation."""
    turn = fit_documents(spec, turn, deps, chat_messages)
    consulted = consult(spec, turn, turn.query, deps, chat_messages)
    messages = chat_messages(spec.configured(), remember(spec, consulted.turn, deps, chat_messages))
    yield from answer(spec, messages, deps, user=turn.user, cited=consulted.cited, spent=consulted.spent)
