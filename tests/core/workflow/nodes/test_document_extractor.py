"""Texts of files."""

import pytest

from api.core.ports import JSONObject, JSONValue
from api.core.workflow.node import NODES, Demand
from api.core.workflow.variables import ANY_FILE
from tests.flows import PlainFiles, Ran, drawn, end, file_value, make_deps, run_flow

FILES = PlainFiles({"a.md": b"# A", "b.txt": b"B"})


def extract(value: JSONValue) -> Ran:
    nodes = [
        drawn("s", "start"),
        drawn("n", "document-extractor", variable_selector=["s", "x"]),
        end(o="n.text"),
    ]
    return run_flow(nodes, ["s > n > e"], {"x": value}, deps=make_deps(files=FILES))


def test_one_file_gives_a_text() -> None:
    ran = extract(file_value("a.md"))

    assert ran.outputs == {"o": "# A"}
    assert ran.of("n")[0].inputs == {"variable_selector": file_value("a.md")}
    assert ran.of("n")[0].process_data == {"documents": [file_value("a.md")]}


def test_several_files_give_a_list_of_texts() -> None:
    assert extract([file_value("a.md"), file_value("b.txt")]).outputs == {"o": ["# A", "B"]}
    assert extract([]).outputs == {"o": []}


@pytest.mark.parametrize("value", [None, "a.md", ["a.md"], [file_value("a.md"), None]])
def test_what_is_no_file_fails(value: JSONValue) -> None:
    assert extract(value).finished.error == "s.x is not a file."


def test_file_that_cannot_be_read_fails_with_its_reason() -> None:
    assert extract(file_value("gone.pdf")).finished.error == "The file is gone."


def test_references_are_the_files() -> None:
    data: JSONObject = {"type": "document-extractor", "variable_selector": ["s", "x"], "is_array_file": True}

    config = NODES["document-extractor", "1"].configured(data)

    assert list(config.references()) == [("s", "x")]
    assert list(config.demands()) == [Demand(("s", "x"), ANY_FILE)]
    assert config.gives() == {"text": None}
