"""The client of a sandbox service: what it makes of the service's faults."""

from pathlib import Path
from typing import Any

import pytest

from api.backends import load
from api.core.ports import Cancel, CodeFailed, CodeSandbox, JSONObject
from api.errors import Unavailable
from tests.conftest import make_settings
from tests.sandboxes import SERVICE_KEY, make_sandbox
from tests.servers import Reply, ScriptedServer

CODE = "def main(x): return {'x': x}"


def run(sandbox: CodeSandbox, x: str = "") -> JSONObject:
    return sandbox.run("python3", CODE, {"x": x}, timeout_s=5.0, cancel=Cancel())


def answered(reply: Any, status: int, folder: Path) -> JSONObject:
    """Return what a run gives when the service answers so."""
    with ScriptedServer(Reply.of_json(reply, status)) as server:
        settings = make_settings(folder, sandbox="http", code_execution_endpoint=server.url)
        made: CodeSandbox = load("sandbox", "http").from_settings(settings)
        try:
            return run(made)
        finally:
            made.stop()


def test_http_result_that_holds_the_mark_is_read_whole(tmp_path: Path) -> None:
    with make_sandbox("http", tmp_path) as sandbox:
        assert run(sandbox, "<<RESULT>>{}<<RESULT>>") == {"x": "<<RESULT>>{}<<RESULT>>"}


def test_http_wrong_key_is_told_as_unavailable(tmp_path: Path) -> None:
    with (
        make_sandbox("http", tmp_path, code_execution_api_key=SERVICE_KEY + "?") as sandbox,
        pytest.raises(Unavailable, match="status 401"),
    ):
        run(sandbox)


def test_http_service_that_is_away_is_unavailable(tmp_path: Path) -> None:
    with (
        make_sandbox("http", tmp_path, code_execution_endpoint="http://127.0.0.1:9") as sandbox,
        pytest.raises(Unavailable, match="cannot be reached"),
    ):
        run(sandbox)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"code": -400, "message": "operation not permitted", "data": None}, "operation not permitted"),
        (
            {"code": 0, "message": "success", "data": {"stdout": "", "error": "error: timeout"}},
            "error: timeout",
        ),
        ({"code": 0, "message": "success", "data": {"stdout": "{}", "error": ""}}, "before it gave a result"),
        (
            {"code": 0, "message": "success", "data": {"stdout": "<<RESULT>>{<<RESULT>>", "error": ""}},
            "not JSON",
        ),
    ],
)
def test_http_service_that_fails_the_code_says_why(data: Any, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(CodeFailed, match=sentence):
        answered(data, 200, tmp_path)


def test_http_service_that_is_broken_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="status 503"):
        answered({"code": 0}, 503, tmp_path)


@pytest.mark.parametrize("data", [[], ["out"], "out", 5, True])
def test_http_service_that_tells_no_result_is_unavailable(data: Any, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="no result"):
        answered({"code": 0, "message": "success", "data": data}, 200, tmp_path)


def test_http_service_that_tells_nothing_fails_the_code(tmp_path: Path) -> None:
    with pytest.raises(CodeFailed, match="before it gave a result"):
        answered({"code": 0, "message": "success", "data": None}, 200, tmp_path)
