"""Who may use which route of the console: one table for all of them, held against the program."""

import re
from pathlib import Path

from flask import Flask
from flask.testing import FlaskClient

from api.controllers.http.door import guard_of
from api.principal import Role
from api.runtime import Runtime
from tests.conftest import ONCE
from tests.factories import Owner, make_member

pytestmark = ONCE

PAGE = Path(__file__).parents[3] / "docs/wire/roles.md"
CONSOLE = "/console/api"
SOME_ID = "c0ffee00-0000-4000-8000-000000000000"
ROW = re.compile(r"^\| `(/console/api/[^`]*)` \| (.+) \|$", re.MULTILINE)
LETS_IN = {
    "anyone": frozenset(Role),
    "member": frozenset(Role),
    "knowledge": frozenset(Role) - {Role.NORMAL},
    "installer": frozenset({Role.ADMIN, Role.OWNER}),
    **{role.wire: frozenset(each for each in Role if each >= role) for role in Role},
}
"""The roles each word of the page means."""


def told() -> dict[tuple[str, str], str]:
    """Return what the page says: (method, path) to word."""
    table = {}
    for path, entries in ROW.findall(PAGE.read_text()):
        for entry in entries.split(", "):
            method, word = entry.split(" ")
            table[method, path] = word
    return table


def named(rule: str) -> str:
    """Return a route as the page names it."""
    return re.sub(r"<(?:[^<>]+:)?([^<>:]+)>", r"{\1}", rule)


def to_url(rule: str) -> str:
    """Return an address of a route: the first of the words it takes, or some id."""
    return re.sub(r"<[^<>]+>", SOME_ID, re.sub(r"<any\(['\"]?(\w[\w-]*)[^<>]*>", r"\1", rule))


def served(app: Flask) -> dict[tuple[str, str], str]:
    """Return what the program declares beside each of the console's methods."""
    table = {}
    for rule in app.url_map.iter_rules():
        if not rule.rule.startswith(CONSOLE):
            continue
        path = named(rule.rule)
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            guard = guard_of(app, rule.endpoint, method)
            assert guard is not None, rule.rule
            table[method, path] = "anyone" if guard.kind == "public" else guard.need
    return table


def test_page_names_every_route_of_the_console_with_its_role(house: Flask) -> None:
    rows: dict[str, list[str]] = {}
    for (method, path), word in sorted(served(house).items()):
        rows.setdefault(path, []).append(f"{method} {word}")

    assert told() == served(house), "the table is to be:\n" + "\n".join(
        f"| `{path}` | {', '.join(entries)} |" for path, entries in sorted(rows.items())
    )


def test_every_route_refuses_the_roles_below_its_own(
    house: Flask, client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    headers = {role: make_member(runtime, owner, role).headers for role in Role}
    urls = {named(rule.rule): to_url(rule.rule) for rule in house.url_map.iter_rules()}
    wrong = []
    for (method, path), word in told().items():
        url = urls[path]
        for role in set(Role) - LETS_IN[word]:
            answer = client.open(url, method=method, headers=headers[role])
            if answer.status_code != 403 or answer.get_json()["code"] != "access_denied":
                wrong.append((method, path, role.wire, answer.status_code))

    assert wrong == []
    assert set(told().values()) >= {"anyone", "member", "normal", "editor", "admin", "owner"}
