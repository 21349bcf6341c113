"""What the console asks before anybody signs in, over HTTP."""

import pytest
from flask.testing import FlaskClient

from api.controllers.schemas.system import SYSTEM_FEATURES, VERSION_OUT


def test_ping_answers(client: FlaskClient) -> None:
    answer = client.get("/console/api/ping")

    assert (answer.status_code, answer.get_json()) == (200, {"result": "pong"})


def test_version_calls_every_console_current(client: FlaskClient) -> None:
    answer = client.get("/console/api/version?current_version=1.12.1")

    assert answer.status_code == 200
    assert set(answer.get_json()) == set(VERSION_OUT)
    assert (answer.get_json()["version"], answer.get_json()["can_auto_update"]) == ("1.12.1", False)


@pytest.mark.parametrize("query", ["", "?current_version=", "?current_version=" + "9" * 65])
def test_version_without_a_usable_one_names_the_parameter(client: FlaskClient, query: str) -> None:
    answer = client.get(f"/console/api/version{query}")

    assert (answer.status_code, answer.get_json()["details"]["field"]) == (400, "current_version")


def test_system_features_needs_no_sign_in_and_no_network(client: FlaskClient) -> None:
    answer = client.get("/console/api/system-features")

    assert answer.status_code == 200
    assert set(answer.get_json()) == set(SYSTEM_FEATURES)
    assert answer.get_json()["enable_email_password_login"] is True
    assert answer.get_json()["enable_marketplace"] is False
