"""Files at addresses, over HTTP: looked at, fetched, kept."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from api.runtime import Runtime
from tests.conftest import BOTH
from tests.factories import Owner
from tests.online import reachable
from tests.servers import Reply, ScriptedServer

UPLOAD = "/console/api/remote-files/upload"
PDF = {"Content-Type": "application/pdf"}


@pytest.fixture
def server(house: Flask) -> Iterator[ScriptedServer]:
    """A server this program may call."""
    with ScriptedServer(Reply(headers=PDF, body=b"%PDF-1.7 pages")) as server, reachable(house, server):
        yield server


def look(client: FlaskClient, owner: Owner, url: str) -> TestResponse:
    return client.get(f"/console/api/remote-files/{quote(url, safe='')}", headers=owner.headers)


def keep(client: FlaskClient, owner: Owner, url: Any, **headers: str) -> TestResponse:
    return client.post(UPLOAD, json={"url": url}, headers={**owner.headers, **headers})


def test_type_and_length_are_told_without_fetching(
    client: FlaskClient, owner: Owner, server: ScriptedServer
) -> None:
    server.then(Reply(headers={"Content-Type": "image/PNG; q=1", "Content-Length": "123456"}))
    answer = look(client, owner, f"{server.url}/a%20b.png?x=1&y=2")
    assert answer.get_json() == {"file_type": "image/png", "file_length": 123456}
    assert [(seen.method, seen.target) for seen in server.seen] == [("HEAD", "/a%20b.png?x=1&y=2")]


def test_server_that_refuses_head_is_asked_with_get(
    client: FlaskClient, owner: Owner, server: ScriptedServer
) -> None:
    server.then(Reply(status=405), Reply(headers=PDF, body=b"%PDF-1.7"))
    assert look(client, owner, f"{server.url}/a").get_json() == {
        "file_type": "application/pdf",
        "file_length": 8,
    }


def test_file_is_kept_as_an_upload_of_the_caller(
    client: FlaskClient, owner: Owner, server: ScriptedServer
) -> None:
    answer = keep(client, owner, f"{server.url}/deep/report.pdf?download=1")

    kept: Any = answer.get_json()
    assert answer.status_code == 201
    assert (kept["name"], kept["size"], kept["mime_type"]) == ("report.pdf", 14, "application/pdf")
    assert kept["created_by"] == owner.account_id
    given = client.get(kept["url"].removeprefix("http://localhost"), buffered=True)
    assert given.data == b"%PDF-1.7 pages"


@pytest.mark.parametrize(
    ("path", "headers", "name"),
    [
        ("/x", {"Content-Disposition": 'attachment; filename="year.pdf"'}, "year.pdf"),
        ("/x", {"Content-Disposition": "attachment; filename*=UTF-8''%E5%B9%B4.pdf"}, "年.pdf"),
        ("/x", {"Content-Disposition": 'attachment; filename="../../etc/a.pdf"'}, "etca.pdf"),
        ("/show?id=5", {}, "show.pdf"),
        ("/", {}, "file.pdf"),
        ("/%E5%B9%B4%2Fb.pdf", {}, "年b.pdf"),
    ],
)
def test_name_is_the_servers_or_that_of_the_address(
    client: FlaskClient, owner: Owner, server: ScriptedServer, path: str, headers: dict[str, str], name: str
) -> None:
    server.then(Reply(headers={**PDF, **headers}, body=b"%PDF-1.7"))
    assert keep(client, owner, server.url + path).get_json()["name"] == name


@pytest.fixture
def small(house: Flask, server: ScriptedServer) -> ScriptedServer:
    """The server, of a program that takes files of 1,000 bytes at most."""
    runtime: Runtime = house.extensions["runtime"]
    sizes = dict.fromkeys(runtime.limits.max_file_bytes, 1000)
    house.extensions["runtime"] = replace(runtime, limits=replace(runtime.limits, max_file_bytes=sizes))
    return server


@pytest.mark.parametrize(
    ("reply", "path", "refusal"),
    [
        (Reply(status=404), "/a.pdf", (400, "invalid_param")),
        (Reply(headers=PDF, body=b"<html>no pdf</html>"), "/a.pdf", (415, "unsupported_file_type")),
        (Reply(headers={"Content-Type": "x/y"}, body=b"abc"), "/a.zip", (415, "unsupported_file_type")),
        (Reply(headers=PDF, body=b""), "/a.pdf", (400, "invalid_param")),
        (Reply(body=b"MZ"), "/a.exe", (400, "file_extension_blocked")),
        (Reply(headers=PDF, steps=[b"%PDF-1.7", b"x" * 2000]), "/a.pdf", (413, "file_too_large")),
    ],
)
def test_file_that_is_not_taken_is_refused(
    client: FlaskClient,
    owner: Owner,
    small: ScriptedServer,
    reply: Reply,
    path: str,
    refusal: tuple[int, str],
) -> None:
    small.then(reply)
    answer = keep(client, owner, small.url + path)
    assert (answer.status_code, answer.get_json()["code"]) == refusal


@pytest.mark.parametrize("url", [None, "", 5])
def test_upload_without_an_address_is_refused(client: FlaskClient, owner: Owner, url: object) -> None:
    assert keep(client, owner, url).get_json()["details"]["field"] == "url"


def test_private_addresses_are_out_of_reach(client: FlaskClient, owner: Owner) -> None:
    for answer in (look(client, owner, "http://127.0.0.1:9/a"), keep(client, owner, "http://10.0.0.1/a.pdf")):
        assert (answer.status_code, answer.get_json()["code"]) == (400, "egress_denied")


@BOTH
def test_same_upload_with_the_same_key_is_made_once(
    client: FlaskClient, owner: Owner, server: ScriptedServer
) -> None:
    url, once = f"{server.url}/a.pdf", {"Idempotency-Key": "k1"}
    first, second = keep(client, owner, url, **once), keep(client, owner, url, **once)
    assert first.get_json()["id"] == second.get_json()["id"]


def test_strangers_without_a_token_fetch_nothing(client: FlaskClient, server: ScriptedServer) -> None:
    assert client.post(UPLOAD, json={"url": server.url}).status_code == 401
    assert client.get(f"/console/api/remote-files/{quote(server.url, safe='')}").status_code == 401
    assert server.seen == []
