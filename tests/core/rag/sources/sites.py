"""A website of a few pages for tests, and a client that may reach it."""

import contextlib
import unittest.mock
from collections.abc import Callable, Iterator, Mapping

from api.core.egress import EgressPolicy
from api.core.http import HTTPClient, Timeouts
from api.core.ports import Cancel
from api.core.rag import waiting
from api.core.rag.sources import site
from tests.servers import Reply, ScriptedServer, Seen

PATIENT = Timeouts(connect_s=20, first_byte_s=20, idle_s=20)

Content = str | Reply | Callable[[Seen], Reply]


def html(body: str, *, title: str = "", kind: str = "text/html; charset=utf-8") -> Reply:
    """Return a page of HTML."""
    page = f"<!DOCTYPE html><html><head><title>{title}</title></head><body>{body}</body></html>"
    return Reply(headers={"Content-Type": kind}, body=page.encode())


def links(*targets: str) -> str:
    """Return a text with links."""
    return " ".join(f'<a href="{target}">to {target}</a>' for target in targets)


@contextlib.contextmanager
def website(pages: Mapping[str, Content]) -> Iterator[ScriptedServer]:
    """Serve pages by path and query; a text is a page's body, anything else is not found."""

    def answer(seen: Seen) -> Reply:
        page = pages.get(seen.target)
        if page is None:
            return Reply(status=404)
        if isinstance(page, str):
            return html(page, title=f"Page {seen.target}")
        return page if isinstance(page, Reply) else page(seen)

    with ScriptedServer(answer) as server:
        yield server


@contextlib.contextmanager
def http_client() -> Iterator[HTTPClient]:
    """Give a client that may reach loopback."""
    with contextlib.closing(HTTPClient(EgressPolicy(allow_private=True), PATIENT)) as client:
        yield client


@contextlib.contextmanager
def hurried() -> Iterator[None]:
    """Have crawls wait a twentieth of what they must between two requests; test_website.py sees the whole."""

    def pause(delay_s: float, cancel: Cancel) -> None:
        waiting.pause(delay_s / 20, cancel)

    with unittest.mock.patch.object(site, "pause", pause):
        yield
