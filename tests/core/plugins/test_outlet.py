"""The network of plugins: HTTP by the server, to where a manifest or a form of credentials says."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.core.egress import EgressDenied, EgressPolicy
from api.core.http import HTTPClient, Timeouts
from api.core.plugins.manifest import Network
from api.core.plugins.outlet import Outlet, Reach
from api.core.plugins.package import read_package
from api.core.plugins.tools import to_provider
from api.core.ports import Cancel, JSONObject
from api.core.tools.tool import ToolFailed
from api.errors import InvalidRequest
from tests.plugins import make_runner, to_archive, to_code, to_files
from tests.servers import Reply, ScriptedServer
from tests.tools import call

PATIENCE = Timeouts(connect_s=20, first_byte_s=20, idle_s=20)
FETCHES = """
from slipway_plugin import http, serve

def say(call):
    with http("POST", call.credentials["url"] + call.arguments["word"], json={"a": 1}) as answer:
        yield f"{answer.status} {answer.json()['b']}"

serve({"say": say})
"""
OPENED: list[HTTPClient] = []


@pytest.fixture(autouse=True)
def closing() -> Iterator[None]:
    """Close the clients a test made."""
    yield
    while OPENED:
        OPENED.pop().close()


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Any]:
    made = make_runner(tmp_path)
    yield made
    made.stop()


def client(*, allow_private: bool = False) -> HTTPClient:
    OPENED.append(HTTPClient(EgressPolicy(allow_private=allow_private), PATIENCE))
    return OPENED[-1]


def test_hosts_of_a_manifest_are_matched_by_name_and_port() -> None:
    public, own = (client() for _ in range(2))
    reach = Reach(
        network=Network(hosts=("api.a.com", "*.b.com", "c.com:8443"), credentials=("url",)),
        credentials={"url": "http://10.0.0.7:8000/v1", "key": "x"},
        http=public,
        own_http=own,
    )
    for url in ("https://api.a.com/x", "http://API.a.com./", "https://x.y.b.com", "https://c.com:8443/"):
        assert reach.way_to(url) is public
    assert reach.way_to("http://10.0.0.7:8000/v2/chat?x=1") is own
    for url in (
        "https://a.com",
        "https://api.a.com.evil.com",
        "https://api.a.com@evil.com/",
        "https://b.com",
        "https://evilb.com",
        "https://api.a.com:8443",
        "https://c.com",
        "http://10.0.0.7",
        "https://10.0.0.7:8000",
    ):
        with pytest.raises(EgressDenied):
            reach.way_to(url)
    with pytest.raises(InvalidRequest):
        reach.way_to("not an address")
    without = dataclasses.replace(reach, credentials={"url": "nonsense"})
    with pytest.raises(EgressDenied):
        without.way_to("http://10.0.0.7:8000/")


def test_hosts_of_a_manifest_lead_to_no_private_network_but_credentials_may() -> None:
    with ScriptedServer(Reply(body=b"x")) as server:
        network = Network(hosts=(f"127.0.0.1:{server.port}",), credentials=("url",))
        guarded = client()
        allowed = client(allow_private=True)
        asked: JSONObject = {
            "type": "http",
            "backwards_request_id": "1",
            "request": {"method": "GET", "url": server.url},
        }
        by_host = Reach(network=network, credentials={}, http=guarded, own_http=allowed)
        with Outlet(by_host, Cancel(30), PATIENCE) as outlet:
            refused = outlet.answer(asked)
            assert (refused["event"], isinstance(outlet.failure, EgressDenied)) == ("error", True)
        by_form = dataclasses.replace(by_host, credentials={"url": server.url})
        with Outlet(by_form, Cancel(30), PATIENCE) as outlet:
            assert outlet.answer(asked)["event"] == "response"
            assert outlet.answer({**asked, "type": "http_read"}) == {
                "backwards_request_id": "1",
                "event": "response",
                "data": {"body": "eA=="},
            }
            assert outlet.answer({**asked, "type": "http_read"})["event"] == "end"


@pytest.mark.parametrize(
    ("asked", "fault"),
    [
        ({"type": "llm"}, "does not answer 'llm'"),
        ({"type": "http", "request": {"method": "BREW", "url": "http://a.com"}}, "method"),
        ({"type": "http", "request": {"method": "GET"}}, "url"),
        ({"type": "http", "request": {"method": "GET", "url": "http://a.com", "body": "?"}}, "body"),
        (
            {"type": "http", "request": {"method": "GET", "url": "http://a.com"}},
            "did not ask to call 'a.com'",
        ),
    ],
)
def test_what_is_asked_of_the_server_in_another_shape_is_refused(asked: JSONObject, fault: str) -> None:
    http = client()
    with Outlet(
        Reach(network=Network(), credentials={}, http=http, own_http=http), Cancel(30), PATIENCE
    ) as outlet:
        told = outlet.answer({**asked, "backwards_request_id": "1"})
    assert told["event"] == "error"
    assert fault in str(told["message"])


def test_tool_calls_where_its_credentials_say_under_the_guard(runner: Any) -> None:
    network: JSONObject = {"permission": {"network": {"credentials": ["url"]}}}
    form: JSONObject = {"url": {"type": "text-input", "label": "URL", "required": True}}
    package = read_package(to_archive(to_files(FETCHES, form=form, resource=network)))
    (declared,) = package.manifest.providers
    provider = to_provider(package.manifest, declared, to_code(package), runner, icon_path="")
    assert provider.schema.credential_fields[0].is_address
    with ScriptedServer(Reply.of_json({"b": "two"})) as server:
        given: dict[str, Any] = {"timeout_s": 20.0, "credentials": {"url": server.url}}
        told = call(provider.tools["say"], {"word": "/x"}, http=client(allow_private=True), **given)
        assert told.text == "200 two"
        assert (server.seen[0].target, server.seen[0].json) == ("/x", {"a": 1})
        with pytest.raises(ToolFailed, match="are not allowed"):
            call(provider.tools["say"], {"word": "/x"}, http=client(), **given)
        with pytest.raises(ToolFailed, match="did not ask to call"):
            call(provider.tools["say"], {"word": "@other.test/"}, http=client(), **given)
