"""Clients that others published for Dify, used as they are: all they can do works here."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from api.runtime import Runtime
from tests import flows
from tests.browser import served
from tests.clients.installed import node_client, python_client
from tests.factories import Owner, make_app, make_chat_app, make_key
from tests.fakes import Script
from tests.live.conftest import PATIENT

pytestmark = PATIENT

HERE = Path(__file__).parent
TIMEOUT_S = 100
ASKED = [{"variable": "q", "label": "Q", "type": "text-input", "required": True}]
ECHO = {
    "nodes": [
        flows.drawn("s", "start", variables=ASKED),
        flows.drawn("e", "end", outputs=[{"variable": "told", "value_selector": ["s", "q"]}]),
    ],
    "edges": flows.edges("s > e"),
}
TALK = {
    "opening": "Welcome!",
    "uploaded": [201, "a.txt"],
    "answers": ["Hello world", "Hello world"],
    "liked": {"result": "success"},
    "renamed": "Greeting",
    "history": [["Hi", "Hello world", {"rating": "like"}], ["Hi", "Hello world", None]],
    "listed": ["Greeting"],
    "refused": [404, "not_found"],
    "completions": ["Hello world", "Hello world"],
}
"""What every client is to have found."""


@dataclass(frozen=True)
class Doors:
    """Where the program is served, and keys to an app of each kind."""

    base_url: str
    chat: str
    completion: str
    workflow: str


@pytest.fixture
def doors(house: Flask, client: FlaskClient, runtime: Runtime, owner: Owner) -> Iterator[Doors]:
    """A served program with apps whose model says hello."""
    chat = make_chat_app(runtime, owner, model=Script().choice, opening_statement="Welcome!")
    completion = make_chat_app(
        runtime, owner, mode="completion", model=Script().choice, pre_prompt="Say {{query}}"
    )
    flow = make_app(runtime, owner, mode="workflow")
    for step, sent in (("draft", {"graph": ECHO}), ("publish", {})):
        path = f"/console/api/apps/{flow}/workflows/{step}"
        assert client.post(path, json=sent, headers=owner.headers).status_code == 200
    with served(house) as url:
        yield Doors(f"{url}/v1", chat.key, completion.key, make_key(runtime, owner, flow))


def run(*command: str | Path, **env: str) -> Any:
    """Return what a program prints as JSON."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [str(word) for word in command],
        env={**kept, **env},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_python_client_of_pypi_does_all_it_can(doors: Doors) -> None:
    folder = python_client()

    found = run(
        *(sys.executable, HERE / "python_journey.py", doors.base_url, doors.chat, doors.completion),
        PYTHONPATH=str(folder),
    )

    assert found == TALK


def test_node_client_of_npm_does_all_it_can(doors: Doors) -> None:
    folder = node_client()

    found = run(
        *("node", HERE / "node_journey.mjs", folder, doors.base_url),
        *(doors.chat, doors.completion, doors.workflow),
    )

    assert found == {**TALK, "deleted": 204, "runs": [{"told": "Hi"}, {"told": "Hi"}]}
