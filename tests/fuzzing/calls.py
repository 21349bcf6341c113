"""Calls made up from the public API's own description: good ones, bad ones, and for what there is."""

import socket
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.fuzzing.workspace import USER, make_workspace
from tests.sse import parse_events

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
)
"""What is held against the description; that a bad call is refused is not: unknown fields are ignored."""
SCHEMA = "response_schema_conformance"


def call_everything(house: Flask, mount: str, *, calls: int, number: int = 0) -> list[str]:
    """Call every operation of a mount with made-up values; return how answers differ from the description.

    ``calls`` are made of each operation as it is described, and as many that are
    not; ``number`` chooses which. What an operation deletes is deleted last.
    """
    schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed (make dev)")
    described = schemathesis.openapi.from_wsgi(f"{mount}/openapi.json", _Whole(house))
    workspace = make_workspace(house, mount)
    found = [item.ok() for item in described.get_all_operations()]
    faults = []
    with no_way_out():
        for operation in sorted(found, key=lambda operation: operation.method == "delete"):
            headers = workspace.headers(operation.path)
            for cases in _strategies(schemathesis, operation, workspace.ids, headers):
                fault = _fault(schemathesis, cases, headers, calls, number)
                faults += [f"{operation.method} {operation.path}: {fault}"] if fault else []
    return faults


class _Whole:
    """A program whose answers are read and closed, as a server does and this caller does not."""

    def __init__(self, house: Flask) -> None:
        self._house = house

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        with closing(self._house(environ, start_response)) as answer:  # type: ignore[type-var]  # it has close()
            return list(answer)


@contextmanager
def no_way_out() -> Iterator[None]:
    """Let no name and no address be found but this machine's: made-up ones are not to be called."""
    find = socket.getaddrinfo

    def found(host: Any, *args: Any, **options: Any) -> Any:
        if host not in ("127.0.0.1", "localhost"):
            raise socket.gaierror(f"not asked for {host!r}")
        return find(host, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", found)
        yield


def _strategies(
    schemathesis: Any, operation: Any, known: Mapping[str, str], headers: Mapping[str, str]
) -> Iterator[st.SearchStrategy[Any]]:
    """Yield calls as they are described, for what there is and for what there is not; then bad ones."""
    names = [parameter.name for parameter in operation.path_parameters]
    ids = {name: known[name] for name in names if name in known}
    good = operation.as_strategy()
    yield st.one_of(operation.as_strategy(path_parameters=ids).map(_as_ann), good) if ids else good
    if operation.query or operation.body:
        fixed = {"headers": dict(headers)} | ({"path_parameters": ids} if len(ids) == len(names) > 0 else {})
        yield operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE, **fixed)


def _as_ann(case: Any) -> Any:
    """Let a call be that of the end user to whom it all belongs."""
    if case.operation.query.get("user"):
        case.query = {**(case.query or {}), **USER}
    if isinstance(case.body, dict) and "user" in case.body:
        case.body |= USER
    return case


def _fault(
    schemathesis: Any, cases: st.SearchStrategy[Any], headers: Mapping[str, str], calls: int, number: int
) -> str | None:
    """Return the first fault of a number of calls, where there is one."""
    checks = schemathesis.checks.CHECKS

    @seed(number)
    @settings(
        max_examples=calls,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def call(case: Any) -> None:
        answer = case.call(headers=dict(headers))
        is_stream = "text/event-stream" in str(answer.headers.get("content-type"))
        names = CHECKS if is_stream else (*CHECKS, SCHEMA)
        case.validate_response(answer, checks=checks.get_by_names(names))
        if is_stream:
            parse_events(answer.text)

    try:
        call()
    except (Exception, BaseExceptionGroup) as exc:  # noqa: BLE001  # whatever went wrong is looked for
        return str(exc)
    return None
