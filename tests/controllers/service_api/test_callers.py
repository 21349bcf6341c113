"""Who a key lets in is remembered for a second, and forgotten as soon as the console changes anything."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask.testing import FlaskClient
from sqlalchemy import delete

from api.errors import Unavailable
from api.models.app import App
from api.runtime import Runtime
from api.services import access, remembered
from tests.factories import ChatApp
from tests.statements import count_statements
from tests.waiting import wait_until


def status_of(client: FlaskClient, app: ChatApp) -> int:
    return client.get("/api/parameters", headers=app.headers).status_code


def test_key_used_again_within_a_second_takes_no_statement(
    client: FlaskClient, runtime: Runtime, chat_app: ChatApp
) -> None:
    assert status_of(client, chat_app) == 200
    with count_statements(runtime.session_factory.kw["bind"]) as statements:
        assert status_of(client, chat_app) == 200
    assert not [text for text in statements if "api_tokens" in text]


def test_app_switched_off_in_the_console_counts_with_the_next_call(
    client: FlaskClient, chat_app: ChatApp
) -> None:
    assert status_of(client, chat_app) == 200
    path = f"/console/api/apps/{chat_app.id}/api-enable"
    client.post(path, headers=chat_app.owner.headers, json={"enable_api": False})
    assert status_of(client, chat_app) == 403


def test_key_deleted_in_the_console_is_refused_with_the_next_call(
    client: FlaskClient, chat_app: ChatApp
) -> None:
    assert status_of(client, chat_app) == 200
    path = f"/console/api/apps/{chat_app.id}/api-keys"
    listed = client.get(path, headers=chat_app.owner.headers).get_json()
    client.delete(f"{path}/{listed['data'][0]['id']}", headers=chat_app.owner.headers)
    assert status_of(client, chat_app) == 401


def test_app_switched_by_another_process_is_noticed_when_the_second_is_over(
    client: FlaskClient, runtime: Runtime, chat_app: ChatApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembered, "REMEMBER_S", 0.05)
    assert status_of(client, chat_app) == 200
    with runtime.transaction() as session:
        access.access_app(session, chat_app.owner.principal, chat_app.id).enable_api = False
    wait_until(lambda: status_of(client, chat_app) != 200)
    assert status_of(client, chat_app) == 403


def test_app_deleted_by_another_process_tells_nothing_of_itself(
    client: FlaskClient, runtime: Runtime, chat_app: ChatApp
) -> None:
    assert status_of(client, chat_app) == 200
    with runtime.transaction() as session:
        session.execute(delete(App).where(App.id == chat_app.id))

    answer = client.get("/api/info", headers=chat_app.headers)

    assert (answer.status_code, answer.get_json()["code"]) == (401, "unauthorized")


def test_of_many_who_come_together_one_looks_for_all(runtime: Runtime) -> None:
    is_asked, may_answer = threading.Event(), threading.Event()
    looked: list[str] = []

    def look_up() -> str:
        looked.append("once")
        is_asked.set()
        assert may_answer.wait(30)
        return "found"

    with ThreadPoolExecutor() as threads:
        first = threads.submit(remembered.recall, runtime, "many", look_up)
        assert is_asked.wait(30)
        others = [threads.submit(remembered.recall, runtime, "many", look_up) for _ in range(3)]
        may_answer.set()
        assert [call.result(30) for call in (first, *others)] == ["found"] * 4
    assert looked == ["once"]
    assert not runtime.lookups


def test_who_waits_looks_too_where_the_first_failed(runtime: Runtime) -> None:
    is_asked, may_fail = threading.Event(), threading.Event()

    def fail() -> str:
        is_asked.set()
        assert may_fail.wait(30)
        raise Unavailable("not now")

    with ThreadPoolExecutor() as threads:
        first = threads.submit(remembered.recall, runtime, "few", fail)
        assert is_asked.wait(30)
        other = threads.submit(remembered.recall, runtime, "few", lambda: "found")
        may_fail.set()
        assert other.result(30) == "found"
        with pytest.raises(Unavailable):
            first.result(30)
