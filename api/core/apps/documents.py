"""Attached documents within the prompt's budget: whole where they fit, else their beginnings."""

from collections.abc import Sequence
from dataclasses import replace

from api.core.apps.room import Prompt, room_beside
from api.core.apps.spec import AppSpec, Deps, Document, Turn
from api.core.text.tokens import MAX_CHARS_PER_TOKEN, count_tokens, cut_tokens

DOCUMENT_SHARE = 0.75
"""Documents take at most this part of what is free, so that passages and history keep some."""


def fit_documents(spec: AppSpec, turn: Turn, deps: Deps, prompt: Prompt) -> Turn:
    """Return the turn with its documents cut to what the model's context has room for.

    Those of the message come before earlier ones. Each is cut after a whole
    token and marked as cut; one that has no room keeps its name alone.
    """
    if not turn.documents:
        return turn
    frames = tuple(replace(document, text="", is_cut=True) for document in turn.documents)
    room = int(room_beside(spec, replace(turn, documents=frames), deps, prompt) * DOCUMENT_SHARE)
    model = spec.configured().model.name
    own = [document for document in turn.documents if not document.is_earlier]
    earlier = [document for document in turn.documents if document.is_earlier]
    kept, spent = _fit(own, room, model)
    rest, _ = _fit(earlier, room - spent, model)
    return replace(turn, documents=(*kept, *rest))


def _fit(documents: Sequence[Document], room: int, model: str) -> tuple[list[Document], int]:
    """Return documents that together have at most ``room`` tokens, and how many they have."""
    readable = (document.text[: room * MAX_CHARS_PER_TOKEN] for document in documents)
    shares = _share([count_tokens(text, model) for text in readable], room)
    return [_cut(*pair, model) for pair in zip(documents, shares, strict=True)], sum(shares)


def _share(wanted: Sequence[int], room: int) -> list[int]:
    """Return what each gets of the room: all it wants, or an even part of what those who want less leave."""
    shares = [0] * len(wanted)
    left = len(wanted)
    for place in sorted(range(len(wanted)), key=wanted.__getitem__):
        shares[place] = min(wanted[place], room // left)
        room -= shares[place]
        left -= 1
    return shares


def _cut(document: Document, max_tokens: int, model: str) -> Document:
    text = cut_tokens(document.text, max_tokens, model)
    return replace(document, text=text, is_cut=document.is_cut or len(text) < len(document.text))
