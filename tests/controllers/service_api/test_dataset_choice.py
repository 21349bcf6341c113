"""Apps of the mode ``single``: their model chooses the dataset a question is about."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, update

from api.errors import CompletionFailed
from api.models.dataset import Dataset
from api.models.document import DatasetQuery
from api.runtime import Runtime
from tests.factories import ChatApp, Owner, make_chat_app
from tests.fakes import Script
from tests.services.test_indexing import Made, idle, make_document, work

__all__ = ["idle"]

QUESTION = "What does the harbour master of Lindau count?"
SHIPS = "The harbour master of Lindau counts ninety ships every evening."
STARS = "What the lighthouse keeper of Lindau may count are stars."


@pytest.fixture
def datasets(idle: Runtime, owner: Owner) -> tuple[Made, Made]:
    """Two datasets, of which the first holds the better answer."""
    ships = make_document(idle, owner, SHIPS, name="ships.txt")
    stars = make_document(idle, owner, STARS, name="stars.txt")
    for made, name, description in ((ships, "Harbours", "Ships."), (stars, "Lights", "Stars above.")):
        with idle.transaction() as session:
            session.execute(
                update(Dataset)
                .where(Dataset.id == made.dataset_id)
                .values(name=name, description=description)
            )
    work(idle, owner)
    return ships, stars


def make_app(runtime: Runtime, owner: Owner, *made: Made, model: Any, mode: str = "single") -> ChatApp:
    named = [{"dataset": {"enabled": True, "id": one.dataset_id}} for one in made]
    configs = {"retrieval_model": mode, "datasets": {"datasets": named}}
    return make_chat_app(
        runtime, owner, model=model, dataset_configs=configs, retriever_resource={"enabled": True}
    )


def ask(client: FlaskClient, app: ChatApp) -> Any:
    body = {"query": QUESTION, "user": "u", "auto_generate_name": False}
    answer = client.post("/api/chat-messages", headers=app.headers, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json


def cited(told: Any) -> list[str]:
    return [resource["document_name"] for resource in told["metadata"]["retriever_resources"]]


def test_model_chooses_the_dataset_and_its_tokens_count(
    client: FlaskClient, idle: Runtime, owner: Owner, datasets: tuple[Made, Made]
) -> None:
    script = Script(pieces=["2"])
    app = make_app(idle, owner, *datasets, model=script.choice)

    told = ask(client, app)

    assert cited(told) == ["stars.txt"]
    choosing, answering = script.requests
    offered = json.loads(choosing.messages[-1].text)["datasets"]
    assert [(one["name"], one["description"]) for one in offered] == [
        ("Harbours", "Ships."),
        ("Lights", "Stars above."),
    ]
    assert STARS in answering.messages[0].text
    assert SHIPS not in answering.messages[0].text
    usage = told["metadata"]["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (2 * 7, 2 * 5)
    assert usage["total_price"] == "0.0000340"
    with idle.reading() as session:
        logged = session.scalars(
            select(DatasetQuery.dataset_id).where(DatasetQuery.source_app_id == app.id)
        ).all()
    assert logged == [datasets[1].dataset_id]


def fail_once() -> Callable[[], None]:
    """Return a step of a script that fails when it is first taken."""
    failures = [CompletionFailed("The model is busy.")]

    def step() -> None:
        if failures:
            raise failures.pop()

    return step


@pytest.mark.parametrize(("fails", "tokens"), [(False, 2 * 7), (True, 7)])
def test_best_hit_decides_where_the_model_cannot(
    client: FlaskClient,
    idle: Runtime,
    owner: Owner,
    datasets: tuple[Made, Made],
    *,
    fails: bool,
    tokens: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("WARNING")
    script = Script(pieces=[*([fail_once()] if fails else []), "No idea"])

    told = ask(client, make_app(idle, owner, *datasets, model=script.choice))

    assert cited(told) == ["ships.txt"]
    assert told["answer"] == "No idea"
    assert told["metadata"]["usage"]["prompt_tokens"] == tokens
    assert "no dataset chosen" in caplog.text


def test_one_dataset_needs_no_choice(
    client: FlaskClient, idle: Runtime, owner: Owner, datasets: tuple[Made, Made]
) -> None:
    script = Script(pieces=["2"])
    told = ask(client, make_app(idle, owner, datasets[0], model=script.choice))

    assert cited(told) == ["ships.txt"]
    assert len(script.requests) == 1


def test_several_together_need_no_choice(
    client: FlaskClient, idle: Runtime, owner: Owner, datasets: tuple[Made, Made]
) -> None:
    script = Script(pieces=["2"])
    told = ask(client, make_app(idle, owner, *datasets, model=script.choice, mode="multiple"))

    assert cited(told) == ["ships.txt", "stars.txt"]
    assert len(script.requests) == 1


def test_model_that_only_quotes_is_not_asked(
    client: FlaskClient, idle: Runtime, owner: Owner, datasets: tuple[Made, Made]
) -> None:
    builtin = {"provider": "builtin", "name": "extractive-qa", "mode": "chat", "completion_params": {}}
    told = ask(client, make_app(idle, owner, *datasets, model=builtin))

    assert cited(told) == ["ships.txt"]
    assert "ninety ships" in told["answer"]
