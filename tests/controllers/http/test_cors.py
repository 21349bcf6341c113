"""Which pages of other origins may call which API."""

from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient

from tests.conftest import make_house, make_settings, stop_house

CONSOLE = "https://console.example"
FOREIGN = ["https://evil.example", f"{CONSOLE}.evil.example", "http://console.example", "null", None]
ANSWERS = [("GET", "/console/api/ping"), ("GET", "/console/api/nowhere"), ("OPTIONS", "/console/api/apps")]


@pytest.fixture(scope="module")
def named_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    """A client of a program whose console may be called from one other origin."""
    app = make_house(make_settings(tmp_path_factory.mktemp("cors"), console_cors_origins=(CONSOLE,)))
    yield app.test_client()
    stop_house(app)


def make_headers(origin: str | None) -> dict[str, str]:
    preflight = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    return preflight if origin is None else {"Origin": origin, **preflight}


@pytest.mark.parametrize(("method", "path"), ANSWERS)
def test_console_tells_a_named_origin_that_it_may_call(
    named_client: FlaskClient, method: str, path: str
) -> None:
    headers = named_client.open(path, method=method, headers=make_headers(CONSOLE)).headers

    assert headers.getlist("Access-Control-Allow-Origin") == [CONSOLE]
    assert headers["Access-Control-Allow-Credentials"] == "true"
    assert headers.getlist("Vary") == ["Origin"]


@pytest.mark.parametrize("origin", FOREIGN)
@pytest.mark.parametrize(("method", "path"), ANSWERS)
def test_console_tells_any_other_origin_nothing_and_caches_to_keep_them_apart(
    named_client: FlaskClient, method: str, path: str, origin: str | None
) -> None:
    headers = named_client.open(path, method=method, headers=make_headers(origin)).headers

    assert "Access-Control-Allow-Origin" not in headers
    assert "Access-Control-Allow-Credentials" not in headers
    assert headers.getlist("Vary") == ["Origin"]


@pytest.mark.parametrize("path", ["/api/nowhere", "/v1/nowhere", "/api/info"])
def test_public_api_refusals_can_be_read_by_any_page(named_client: FlaskClient, path: str) -> None:
    answer = named_client.get(path, headers={"Origin": "https://site.example"})

    assert answer.status_code in (401, 404)
    assert answer.headers.getlist("Access-Control-Allow-Origin") == ["*"]
    assert "Access-Control-Allow-Credentials" not in answer.headers
