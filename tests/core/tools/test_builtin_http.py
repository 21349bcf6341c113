"""Built-in tools that go out: pages, requests, searches."""

import pytest

from api.core.ports import JSONObject
from api.core.tools.tool import ToolFailed
from tests.servers import Reply, ScriptedServer
from tests.tools import builtin_tool, call, use

HTML = {"Content-Type": "text/html; charset=utf-8"}
PAGE = b"<title>Sea</title><nav>Menu</nav><main><h1>Tide</h1><p>It <b>rises</b>.</p></main>"


def test_page_is_read_as_markdown() -> None:
    with ScriptedServer(Reply(headers=HTML, body=PAGE)) as server:
        output = use("webscraper", "webscraper", url=f" {server.url}/a ", user_agent="Reader/1")

    assert output.text == "# Tide\n\nIt **rises**."
    assert output.json == [{"title": "Sea", "description": "", "url": f"{server.url}/a"}]
    assert server.seen[0].headers["user-agent"] == "Reader/1"


def test_plain_text_is_read_as_it_is() -> None:
    with ScriptedServer(Reply(headers={"Content-Type": "text/plain"}, body=b"a < b")) as server:
        assert use("webscraper", "webscraper", url=server.url).text == "a < b"


@pytest.mark.parametrize(
    ("reply", "fault"),
    [
        (Reply(status=404, headers=HTML, body=b"gone"), "status 404"),
        (Reply(headers={"Content-Type": "image/png"}, body=b"\x89PNG"), "type image/png"),
        (Reply(headers=HTML, body=b"<script>x()</script>"), "has no text"),
        (Reply(headers=HTML, body=b"<i>" * 100_001), "100,000 tags"),
        (Reply(headers=HTML, body=b"x" * (2 * 1024 * 1024 + 1)), "more than 2097152 bytes"),
    ],
)
def test_page_that_cannot_be_read_says_why(reply: Reply, fault: str) -> None:
    with ScriptedServer(reply) as server, pytest.raises(ToolFailed, match=fault):
        use("webscraper", "webscraper", url=server.url)


def test_request_is_sent_as_asked() -> None:
    with ScriptedServer(Reply.of_json({"ok": 1}, status=201)) as server:
        output = use(
            "http",
            "request",
            method="post",
            url=f"{server.url}/p?a=1",
            params={"b": "é", "c": [1, 2]},
            headers={"X-Key": "k", "Host": "evil", "Content-Length": "0"},
            body='{"x": 1}',
        )

    (seen,) = server.seen
    assert (seen.method, seen.target, seen.json) == ("POST", "/p?a=1&b=%C3%A9&c=1&c=2", {"x": 1})
    assert (seen.headers["x-key"], seen.headers["content-type"]) == ("k", "application/json")
    assert seen.headers["host"] == f"127.0.0.1:{server.port}"
    assert output.text == '{"ok": 1}'
    assert isinstance(output.json[0], dict)
    assert output.json[0]["status_code"] == 201


def test_request_gives_a_file_where_the_answer_is_one() -> None:
    with ScriptedServer(Reply(headers={"Content-Type": "image/png"}, body=b"\x89PNG")) as server:
        output = use("http", "request", url=f"{server.url}/cat.png", body="plain")

    (file,) = output.files
    assert (file.name, file.mime_type, file.content, output.text) == ("cat.png", "image/png", b"\x89PNG", "")
    assert server.seen[0].headers["content-type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    "given",
    [
        {"url": "http://10.0.0.1/"},
        {"url": "file:///etc/passwd"},
        {"url": "nonsense"},
        {"url": "http://[/", "params": {"a": 1}},
        {"url": "http://127.0.0.1:1/", "headers": {"x": "a\r\nb: c"}},
        {"url": "http://127.0.0.1:1/", "headers": {"x y": "a"}},
        {"url": "http://127.0.0.1:1/", "body": "\ud800"},
        {"url": "http://127.0.0.1:1/", "params": {"a": "\ud800"}},
    ],
)
def test_request_that_cannot_be_sent_is_a_failure_of_the_tool(given: JSONObject) -> None:
    with pytest.raises(ToolFailed):
        use("http", "request", **given)


FOUND = {
    "results": [{"title": "Ice", "url": "https://ice", "content": "Cold.", "x": 1}, {"url": "https://b"}]
}


def search(server: ScriptedServer, **given: str | int) -> object:
    tool = builtin_tool("searxng", "searxng_search")
    return call(tool, {**given}, credentials={"searxng_base_url": f"{server.url}/"})


def test_search_asks_the_instance() -> None:
    with ScriptedServer(Reply.of_json(FOUND)) as server:
        tool = builtin_tool("searxng", "searxng_search")
        output = call(tool, {"query": "ice & sea"}, credentials={"searxng_base_url": f"{server.url}/"})

    assert server.seen[0].target == "/search?q=ice+%26+sea&format=json&categories=general"
    assert output.text == "Ice\nhttps://ice\nCold.\n\nhttps://b\nhttps://b"
    assert output.json == [[{"title": "Ice", "url": "https://ice", "content": "Cold."}, {"url": "https://b"}]]


@pytest.mark.parametrize(
    ("reply", "fault"),
    [
        (Reply(status=403), "status 403"),
        (Reply(body=b"<html>"), "something else"),
        (Reply.of_json({"results": [{"title": "x"}]}), "something else"),
    ],
)
def test_instance_that_does_not_answer_in_json_is_said(reply: Reply, fault: str) -> None:
    with ScriptedServer(reply) as server, pytest.raises(ToolFailed, match=fault):
        search(server, query="x")


def test_search_needs_an_instance() -> None:
    with pytest.raises(ToolFailed, match="is not set") as caught:
        use("searxng", "searxng_search", query="x")
    assert caught.value.error_type == "ToolCredentialsError"


def test_nothing_found_is_said_and_results_are_cut() -> None:
    tool = builtin_tool("searxng", "searxng_search")
    with ScriptedServer(Reply.of_json({"results": []}), Reply.of_json(FOUND)) as server:
        credentials = {"searxng_base_url": server.url}
        assert call(tool, {"query": "x"}, credentials=credentials).text == "Nothing was found."
        assert call(tool, {"query": "x", "max_results": 1}, credentials=credentials).text.count("https") == 1
