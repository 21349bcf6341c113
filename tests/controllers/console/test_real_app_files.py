"""Every real app file imports, and each that needs only nodes of this program runs to its end."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from api.runtime import Runtime
from tests.app_files import APP_FILES, Importer, Model, Row
from tests.conftest import make_house, make_settings, stop_house
from tests.factories import make_owner
from tests.knowledge import make_dataset
from tests.servers import Reply, ScriptedServer, Seen

FILES = sorted(APP_FILES.glob("*.yml"))
IN_PARALLEL = 4
COUPLET = {"banner": "a", "top": "b", "bottom": "c", "summary": "d"}
COURSE = [{"chapter": "1", "title": "t", "contents": ["s"]}]
SAYS = {
    "020": f"```json\n{json.dumps(COURSE)}\n```",
    "040": json.dumps(COUPLET),
    "170": "[[1]]",
}
"""What the model says in files whose code or requests read it."""
LINK = "https://example.com"
ANSWERS = {
    "084": {"choices": [{"message": {"content": "c"}}]},
    "096": {"filename": "f", "etag": "e"},
    "125": {"video_url": LINK, "filename": "f", "etag": "e"},
    "141": {"data": {"url": LINK}},
}
ENDED = ("succeeded", "paused")
ANSWER = {"data": [{"title": "t", "url": LINK}], "result": "fine", "url": LINK}
BROKEN = {
    "022": "No module named 'json_repair'",
    "026": "'/upload_files'",
    "074": "No module named 'requests'",
    "080": "The body is no JSON: Expecting ',' delimiter",
    "118": "No module named 'requests'",
}
"""Files that cannot run to their end, by what their table says: a library, a file or a comma is missing."""


def answer(seen: Seen) -> Reply:
    """Return what the addresses of a file answer."""
    return Reply.of_json(ANSWERS.get(seen.target.strip("/")[:3], ANSWER))


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    """What became of each file."""
    if not FILES:
        pytest.skip(f"no app files at {APP_FILES}")
    app = make_house(make_settings(tmp_path_factory.mktemp("files"), egress_allow="127.0.0.0/8"))
    runtime: Runtime = app.extensions["runtime"]
    owner = make_owner(runtime)
    with ScriptedServer(Model(SAYS)) as model, ScriptedServer(answer) as http:
        importer = Importer(
            client=app.test_client,
            owner=owner,
            model_url=f"{model.url}/v1",
            http_url=http.url,
            dataset_id=make_dataset(runtime, owner),
        )
        with ThreadPoolExecutor(IN_PARALLEL) as pool:
            made = list(pool.map(importer.run, FILES))
    stop_house(app)
    head = "file mode           imported  runnable  ran        why not"
    sys.stdout.write("\n".join([head, *map(str, made), ""]))
    return made


def test_every_file_is_imported(rows: list[Row]) -> None:
    assert [row for row in rows if not row.is_imported] == []


def test_every_file_of_our_nodes_runs_to_its_end(rows: list[Row]) -> None:
    runnable = {row.number: row for row in rows if row.is_runnable}
    ended = {number for number, row in runnable.items() if row.status in ENDED}

    assert [str(runnable[number]) for number in sorted(runnable.keys() - ended - BROKEN.keys())] == []
    assert len(ended) >= 30


@pytest.mark.parametrize("number", BROKEN)
def test_file_that_breaks_itself_says_how(rows: list[Row], number: str) -> None:
    row = next((row for row in rows if row.number == number), None)
    assert row is not None, "the corpus has changed"
    assert BROKEN[number] in row.why
