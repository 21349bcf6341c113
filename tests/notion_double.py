"""A Notion of a few pages for tests, speaking Notion's API over a real socket."""

import contextlib
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tests.servers import Reply, ScriptedServer, Seen

TOKEN = "ntn_do-not-tell-0123456789"
MASKED = "ntn_do************89"


@dataclass
class Entry:
    """A page, whose ``texts`` are its paragraphs, or a database, whose ``texts`` title its rows."""

    title: str
    texts: Sequence[str]
    kind: str = "page"
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    edited: str = "2026-03-01T10:00:00.000Z"

    @property
    def json(self) -> dict[str, Any]:
        """It as Notion describes it."""
        title = [{"type": "text", "plain_text": self.title}]
        shown: dict[str, Any] = {
            "object": self.kind,
            "id": self.id,
            "url": f"https://www.notion.so/{self.id}",
            "last_edited_time": self.edited,
            "icon": {"type": "emoji", "emoji": "🚢"},
            "parent": {"type": "workspace", "workspace": True},
        }
        if self.kind == "database":
            return {**shown, "title": title}
        return {**shown, "properties": {"title": {"type": "title", "title": title}}}


class NotionDouble:
    """What the API answers; ``token`` is the one it accepts."""

    def __init__(self, *entries: Entry) -> None:
        self.entries = {entry.id: entry for entry in entries}
        self.token = TOKEN

    def answer(self, seen: Seen) -> Reply:
        """Answer a request."""
        if seen.headers.get("authorization") != f"Bearer {self.token}":
            return Reply.of_json({"message": "API token is invalid."}, status=401)
        return self._find(seen) or Reply.of_json({"message": "Could not find it."}, status=404)

    def _find(self, seen: Seen) -> Reply | None:
        match urlsplit(seen.target).path.split("/")[2:]:
            case ["users", "me"]:
                return Reply.of_json({"bot": {"workspace_id": "ws-1", "workspace_name": "Harbour office"}})
            case ["search"]:
                return results([entry.json for entry in self.entries.values()])
            case ["pages" | "databases", known] if known in self.entries:
                return Reply.of_json(self.entries[known].json)
            case ["blocks", known, "children"] if known in self.entries:
                return results([paragraph(text) for text in self.entries[known].texts])
            case ["databases", known, "query"] if known in self.entries:
                return results([Entry(text, ()).json for text in self.entries[known].texts])
        return None


def paragraph(text: str) -> dict[str, Any]:
    """Return a block of text."""
    rich_text = [{"type": "text", "plain_text": text}]
    return {"id": "b", "type": "paragraph", "has_children": False, "paragraph": {"rich_text": rich_text}}


def results(items: Sequence[dict[str, Any]]) -> Reply:
    """Return an answer that fits on one page."""
    return Reply.of_json({"object": "list", "results": items, "has_more": False, "next_cursor": None})


@contextlib.contextmanager
def serving(*entries: Entry) -> Iterator[tuple[NotionDouble, ScriptedServer]]:
    """Serve a Notion; its API lies at ``{server.url}/v1``."""
    double = NotionDouble(*entries)
    with ScriptedServer(double.answer) as server:
        yield double, server
