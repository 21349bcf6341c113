"""A completion app: one filled template, one answer, no memory."""

from collections.abc import Iterator

from api.core.apps.answer import answer
from api.core.apps.documents import fit_documents
from api.core.apps.knowledge import consult
from api.core.apps.prompting import completion_messages, to_text
from api.core.apps.spec import AppSpec, Deps, Turn
from api.core.events import Event


def run(spec: AppSpec, turn: Turn, deps: Deps) -> Iterator[Event]:
    """Yield the completion of one set of inputs; its knowledge is asked for what one of them says."""
    config = spec.configured()
    query = to_text(turn.inputs.get(config.dataset_query_variable)) or turn.query
    turn = fit_documents(spec, turn, deps, completion_messages)
    consulted = consult(spec, turn, query, deps, completion_messages)
    messages = completion_messages(config, consulted.turn)
    yield from answer(spec, messages, deps, user=turn.user, cited=consulted.cited, spent=consulted.spent)
