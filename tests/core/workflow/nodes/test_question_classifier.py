"""Which branch a classifier takes, and what its model is shown."""

import json
from typing import Any

import pytest

from api.core.model_runtime.types import ImagePart, PastTurn
from api.core.ports import JSONObject
from api.core.workflow.node import NODES, Demand
from api.core.workflow.variables import ANY_FILE, ANY_TEXT, ValueType
from api.errors import CompletionFailed
from tests.fakes import TOKENS, Script
from tests.flows import PlainFiles, Ran, drawn, file_value, make_deps, make_models, run_flow, template

CLASSES = [
    {"id": "1", "name": "Sales"},
    {"id": "2", "name": "Repairs of {{#s.what#}}"},
    {"id": "3", "name": "Other"},
]


def node(script: Script, **data: Any) -> JSONObject:
    values = {"query_variable_selector": ["s", "q"], "model": script.choice, "classes": CLASSES, **data}
    return drawn("n", "question-classifier", **values)


def classify(script: Script, *, system: JSONObject | None = None, deps: Any = None, **data: Any) -> Ran:
    nodes = [
        drawn("s", "start"),
        node(script, **data),
        *(template(f"t{number}", f"branch {number}") for number in (1, 2, 3)),
        drawn(
            "e",
            "end",
            outputs=[
                {"variable": f"o{number}", "value_selector": [f"t{number}", "output"]} for number in (1, 2, 3)
            ],
        ),
    ]
    ways = [f"s > n [{number}] > t{number} > e" for number in (1, 2, 3)]
    inputs: JSONObject = {"q": "My oven is cold.", "what": "ovens"}
    made = make_deps(models=make_models(), **(deps or {}))
    return run_flow(nodes, ways, inputs, deps=made, pool={"sys": system or {}})


def test_class_the_model_names_is_the_branch() -> None:
    script = Script(pieces=['```json\n{"category_id": "2", "category_name": "Repairs"}\n```'])

    ran = classify(script)

    assert ran.outputs == {"o1": None, "o2": "branch 2", "o3": None}
    (finished,) = ran.of("n")
    assert finished.outputs is not None
    assert (finished.outputs["class_id"], finished.outputs["class_name"]) == ("2", "Repairs of ovens")
    assert finished.outputs["usage"] == (finished.process_data or {})["usage"]
    assert finished.inputs == {"query": "My oven is cold.", "#files#": []}
    assert finished.metadata["total_tokens"] == TOKENS.prompt_tokens + TOKENS.completion_tokens


@pytest.mark.parametrize(
    ("answer", "branch"),
    [
        ('{"category_id": 3}', "3"),
        ('{"category_id": "?", "category_name": "other"}', "3"),
        ("2", "2"),
        ('"Repairs of ovens."', "2"),
        ("I do not know.", "1"),
        ('{"category_id": "9"}', "1"),
        ("[2]", "1"),
        ("", "1"),
    ],
)
def test_answer_is_read_by_id_or_name_and_else_is_the_first(answer: str, branch: str) -> None:
    ran = classify(Script(pieces=[answer]))

    assert (ran.of("n")[0].outputs or {})["class_id"] == branch
    assert ran.outputs[f"o{branch}"] == f"branch {branch}"


@pytest.mark.parametrize("key", ["instruction", "instructions"])
def test_model_is_shown_question_classes_conversation_and_instruction(key: str) -> None:
    script = Script(pieces=["1"])
    deps = {"history": (PastTurn(query="old?", answer="old."),)}

    said: dict[str, Any] = {key: "Think of {{#s.what#}}.", "memory": {"window": {"enabled": True, "size": 1}}}
    classify(script, deps=deps, **said)

    rules, asked = script.requests[0].messages
    assert rules.text.endswith("Think of ovens.")
    assert json.loads(asked.text) == {
        "input": "My oven is cold.",
        "categories": [
            {"category_id": "1", "category_name": "Sales"},
            {"category_id": "2", "category_name": "Repairs of ovens"},
            {"category_id": "3", "category_name": "Other"},
        ],
        "history": [{"user": "old?", "assistant": "old."}],
    }


def test_model_is_shown_images() -> None:
    script = Script(pieces=["1"])
    image = file_value("a.webp", "image")

    ran = classify(
        script,
        system={"files": [image]},
        deps={"files": PlainFiles({"a.webp": b"RIFF\x00\x00\x00\x00WEBP"})},
        vision={"enabled": True},
    )

    assert isinstance(script.requests[0].messages[1].parts[0], ImagePart)
    assert ran.of("n")[0].inputs is not None
    assert ran.of("n")[0].inputs["#files#"] == [image]


def test_failure_of_the_model_is_the_nodes() -> None:
    def fail() -> None:
        raise CompletionFailed("no answer")

    assert classify(Script(pieces=[fail])).finished.error == "no answer"


def test_classes_of_one_id_are_refused() -> None:
    ran = classify(Script(), classes=[CLASSES[0], CLASSES[0]])

    assert "two classes have one id" in str(ran.finished.error)


def test_references_are_question_images_and_names() -> None:
    vision = {"enabled": True, "configs": {"variable_selector": ["s", "pic"]}}
    data: Any = node(Script(), vision=vision, instruction="{{#s.x#}}")["data"]

    config = NODES["question-classifier", "1"].configured(data)

    assert list(config.references()) == [("s", "q"), ("s", "pic"), ("s", "x"), ("s", "what")]
    assert list(config.demands()) == [Demand(("s", "q"), ANY_TEXT), Demand(("s", "pic"), ANY_FILE)]
    assert config.gives() == {
        "class_id": ValueType.STRING,
        "class_name": ValueType.STRING,
        "usage": ValueType.OBJECT,
    }
