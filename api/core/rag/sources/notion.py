"""Reads pages and databases of a Notion workspace through Notion's API.

Boundary: JSON in, Markdown out. What must stay true: what is read is whole, or
the call fails and says why; requests, time, blocks and bytes are all bounded.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeVar
from urllib.parse import urlencode

import orjson
from pydantic import BaseModel, SecretStr, ValidationError

from api.core.http import HTTPClient, HTTPFailure, HTTPReply, Timeouts
from api.core.ports import Cancel, JSONObject, JSONValue
from api.core.rag.sources import notion_blocks, notion_properties
from api.core.rag.sources.notion_blocks import Block, RichText
from api.core.rag.waiting import pause, within
from api.errors import InvalidRequest, NotionFailed

NOTION_URL = "https://api.notion.com/v1"
VERSION = "2022-06-28"
TIMEOUTS = Timeouts(connect_s=10.0, first_byte_s=30.0, idle_s=15.0)
PAGE_SIZE = 100
TOTAL_S = 300.0
MAX_ATTEMPTS = 5
MAX_WAIT_S = 60.0
MAX_REPLY_BYTES = 16 * 1024 * 1024
MAX_TOTAL_BYTES = 64 * 1024 * 1024
MAX_BLOCKS = 10_000
MAX_ROWS = 10_000
MAX_DEPTH = 20
MAX_ENTRIES = 2_000
MAX_MESSAGE_CHARS = 500

PASSING = frozenset({429, 500, 502, 503, 504})
ID = re.compile(r"[0-9a-f]{8}(-?)[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{12}", re.IGNORECASE)

# These are documents of their own, and are read as such where they are wanted.
NOT_ENTERED = frozenset({"child_page", "child_database"})

Kind = Literal["page", "database"]
T = TypeVar("T", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class NotionWorkspace:
    """The workspace a token is for. ``id`` is empty where Notion does not tell it."""

    id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotionEntry:
    """A page or database that can be read. ``icon`` is as Notion gives it; ``parent_id`` may be ``root``."""

    id: str
    kind: Kind
    title: str
    icon: JSONObject | None
    parent_id: str
    url: str
    last_edited_time: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotionPage:
    """A page or database as text. ``last_edited_time`` is ISO 8601, by which a change is seen."""

    id: str
    title: str
    markdown: str
    url: str
    last_edited_time: str


class NotionClient:
    """Reads what the integration with this token may see. Each call takes five minutes at most.

    All raise NotionFailed with a sentence to act on (a token that is not
    accepted, a page that is not shared), EgressDenied, and Cancelled.
    """

    def __init__(self, token: SecretStr, http: HTTPClient, *, base_url: str = NOTION_URL) -> None:
        self._token = token
        self._http = http
        self._base_url = base_url

    def workspace(self, cancel: Cancel) -> NotionWorkspace:
        """Return the workspace of the token; the cheapest way to see whether it is good."""
        with within(TOTAL_S, cancel) as bounded:
            me = self._api(bounded).get("/users/me", _Me)
        return NotionWorkspace(id=me.bot.workspace_id or "", name=me.bot.workspace_name or "")

    def search(self, query: str, cancel: Cancel) -> Iterator[NotionEntry]:
        """Yield what has ``query`` in its title, all for ``""``; at most 2,000, last edited first."""
        order: JSONObject = {"timestamp": "last_edited_time", "direction": "descending"}
        body: JSONObject = {"query": query, "sort": order}
        with within(TOTAL_S, cancel) as bounded:
            for count, found in enumerate(self._api(bounded).list("POST", "/search", body)):
                if count == MAX_ENTRIES:
                    return
                yield _parse(_Item, found).to_entry()

    def read(self, entry_id: str, kind: Kind, cancel: Cancel) -> NotionPage:
        """Return a page with all its blocks, or a database with a section for each of its rows.

        Pages within the page are named, not read. Raises InvalidRequest for
        what is no id of Notion's.
        """
        if not ID.fullmatch(entry_id):
            raise InvalidRequest(f"{entry_id!r} is not the id of a Notion page.", field="page_id")
        with within(TOTAL_S, cancel) as bounded:
            api = self._api(bounded)
            item = api.get(f"/{kind}s/{entry_id}", _Item)
            entry = item.to_entry()
            is_page = kind == "page"
            markdown = (
                notion_blocks.to_markdown(_Tree(api).read(entry_id)) if is_page else _rows(api, entry_id)
            )
        return NotionPage(
            id=entry.id,
            title=entry.title,
            markdown=markdown,
            url=entry.url,
            last_edited_time=entry.last_edited_time,
        )

    def _api(self, cancel: Cancel) -> "_API":
        return _API(self._token, self._http, self._base_url, cancel)


class _Bot(BaseModel):
    workspace_id: str | None = None
    workspace_name: str | None = None


class _Me(BaseModel):
    bot: _Bot = _Bot()


class _Item(BaseModel):
    """A page or database as Notion describes it."""

    id: str
    object: Kind
    url: str = ""
    last_edited_time: str = ""
    icon: dict[str, Any] | None = None
    parent: dict[str, Any] = {}
    title: list[RichText] = []
    properties: dict[str, Any] = {}

    def to_entry(self) -> NotionEntry:
        is_page = self.object == "page"
        title = notion_properties.title_of(self.properties) if is_page else notion_blocks.to_text(self.title)
        parent = self.parent.get(str(self.parent.get("type")))
        return NotionEntry(
            id=self.id,
            kind=self.object,
            title=title or "Untitled",
            icon=self.icon,
            parent_id=parent if isinstance(parent, str) else "root",
            url=self.url,
            last_edited_time=self.last_edited_time,
        )


class _List(BaseModel):
    """One page of a long answer."""

    results: list[dict[str, Any]]
    has_more: bool = False
    next_cursor: str | None = None


class _Refusal(BaseModel):
    message: str = ""


def _rows(api: "_API", database_id: str) -> str:
    """Return the rows of a database: a heading each, and its properties as a list."""
    sections: list[str] = []
    for found in api.list("POST", f"/databases/{database_id}/query", {}):
        if len(sections) == MAX_ROWS:
            raise NotionFailed(
                f"The Notion database has more than {MAX_ROWS} rows; split it, or read its pages."
            )
        row = _parse(_Item, found)
        texts = ((name, notion_properties.to_text(value)) for name, value in row.properties.items())
        lines = [f"- {name}: {text}" for name, text in texts if text]
        sections.append("\n\n".join((f"## {row.to_entry().title}", "\n".join(lines))))
    return "\n\n".join(sections)


class _Tree:
    """Reads the blocks of one page, those within others too."""

    def __init__(self, api: "_API") -> None:
        self._api = api
        self._count = 0

    def read(self, parent_id: str, depth: int = 1) -> list[Block]:
        """Return what a page or block holds. Raises NotionFailed beyond 10,000 blocks or 20 levels."""
        if depth > MAX_DEPTH:
            raise NotionFailed(f"The Notion page is nested more than {MAX_DEPTH} levels deep; flatten it.")
        blocks = []
        for found in self._api.list("GET", f"/blocks/{parent_id}/children"):
            self._count += 1
            if self._count > MAX_BLOCKS:
                raise NotionFailed(f"The Notion page has more than {MAX_BLOCKS} blocks; split it.")
            blocks.append(_parse(Block, found))
        for block in blocks:
            if block.has_children and block.type not in NOT_ENTERED:
                block.children = self.read(block.id, depth + 1)
        return blocks


class _API:
    """The wire of one call: its requests share a deadline and a bound on what they bring."""

    def __init__(self, token: SecretStr, http: HTTPClient, base_url: str, cancel: Cancel) -> None:
        self._token = token
        self._http = http
        self._base_url = base_url.rstrip("/")
        self._cancel = cancel
        self._size_bytes = 0

    def get(self, path: str, into: type[T]) -> T:
        return _parse(into, self._request("GET", path, None))

    def list(self, method: str, path: str, body: JSONObject | None = None) -> Iterator[JSONObject]:
        """Yield the results of an answer that comes in pages."""
        cursor: str | None = None
        while True:
            position: JSONObject = {"page_size": PAGE_SIZE, **({"start_cursor": cursor} if cursor else {})}
            if body is None:
                answer = self._request(method, f"{path}?{urlencode(position)}", None)
            else:
                answer = self._request(method, path, {**body, **position})
            page = _parse(_List, answer)
            yield from page.results
            cursor = page.next_cursor
            if not page.has_more or not cursor:
                return

    def _request(self, method: str, path: str, body: JSONObject | None) -> JSONValue:
        """Return an answer's JSON, asked again where Notion is busy. Raises NotionFailed."""
        for attempt in range(MAX_ATTEMPTS):
            reply = self._send(method, path, body)
            if reply.status not in PASSING or attempt == MAX_ATTEMPTS - 1:
                break
            pause(_wait_s(reply, attempt), self._cancel)
        if reply.status != 200:
            raise NotionFailed(_refusal(reply, path).replace(self._token.get_secret_value(), "***"))
        return _loads(reply.content)

    def _send(self, method: str, path: str, body: JSONObject | None) -> HTTPReply:
        headers = {"authorization": f"Bearer {self._token.get_secret_value()}", "notion-version": VERSION}
        try:
            reply = self._http.request(
                method,
                self._base_url + path,
                cancel=self._cancel,
                max_bytes=MAX_REPLY_BYTES,
                headers=headers,
                json=body,
                timeouts=TIMEOUTS,
            )
        except HTTPFailure as exc:
            raise NotionFailed(f"Notion did not answer: {exc}") from exc
        self._size_bytes += len(reply.content)
        if self._size_bytes > MAX_TOTAL_BYTES:
            raise NotionFailed(f"Notion sent more than {MAX_TOTAL_BYTES} bytes for one document; split it.")
        return reply


def _wait_s(reply: HTTPReply, attempt: int) -> float:
    """Return how long to wait before asking again: as told, else 1, 2, 4 s. Raises NotionFailed for long."""
    try:
        wait_s = float(reply.headers.get("retry-after", ""))
    except ValueError:
        wait_s = 2.0**attempt
    if not 0 <= wait_s <= MAX_WAIT_S:
        raise NotionFailed(f"Notion is busy and asks to come back in {wait_s:.0f} seconds.")
    return wait_s


def _refusal(reply: HTTPReply, path: str) -> str:
    """Return what a status other than 200 means, as a sentence."""
    match reply.status:
        case 401:
            return "Notion does not accept the token; enter the secret of an integration of your workspace."
        case 403:
            return "The Notion integration lacks the capability to read content; grant it in its settings."
        case 404:
            shared = "Open it in Notion and add the integration under Connections."
            return f"Notion shows nothing at {path.partition('?')[0]} to the integration. {shared}"
        case status:
            return f"Notion refused with status {status}: {_said(reply.content) or 'it gave no reason'}"


def _said(content: bytes) -> str:
    """Return the sentence in the body of a refusal; ``""`` for another body, as proxies send it."""
    try:
        return _Refusal.model_validate_json(content).message[:MAX_MESSAGE_CHARS]
    except ValidationError:
        return ""


def _loads(content: bytes) -> JSONValue:
    try:
        value: JSONValue = orjson.loads(content)
    except orjson.JSONDecodeError as exc:
        raise NotionFailed("Notion answered with something that is no JSON.") from exc
    return value


def _parse(into: type[T], value: JSONValue) -> T:
    try:
        return into.model_validate(value)
    except ValidationError as exc:
        where = ".".join(map(str, exc.errors()[0]["loc"]))
        raise NotionFailed(f"Notion answered in a shape that is not known ({where or 'the whole'}).") from exc
