"""Pipelines of knowledge, over HTTP: what consoles ask for, answered empty."""

from flask.testing import FlaskClient

from api.runtime import Runtime
from tests.factories import Owner, make_owner
from tests.knowledge import CONSOLE, add_document, make_dataset


def test_there_are_no_templates_and_no_plugins(client: FlaskClient, owner: Owner) -> None:
    templates = client.get("/console/api/rag/pipeline/templates?type=built-in", headers=owner.headers)
    plugins = client.get("/console/api/auth/plugin/datasource/list", headers=owner.headers)
    assert templates.get_json() == {"pipeline_templates": []}
    assert plugins.get_json() == {"result": []}


def test_document_was_made_by_no_pipeline(client: FlaskClient, owner: Owner, runtime: Runtime) -> None:
    dataset_id = make_dataset(runtime, owner)
    document_id = add_document(client, owner, dataset_id)["id"]
    url = f"{CONSOLE}/{dataset_id}/documents/{document_id}/pipeline-execution-log"
    answer = client.get(url, headers=owner.headers)
    assert answer.status_code == 200
    assert set(answer.get_json().values()) == {None}
    assert client.get(url, headers=make_owner(runtime).headers).status_code == 404
