"""What every node type promises, whichever it is."""

import pytest
from pydantic import ValidationError

import api.core.workflow.nodes  # noqa: F401  # makes the node types known
from api.core.workflow.node import NODES, NodeConfig, NodeKind

KINDS = sorted(NODES.values(), key=lambda kind: (kind.type, kind.version))
EXPECTED = {
    *("start", "end", "answer", "llm", "knowledge-retrieval", "question-classifier", "if-else", "code"),
    *("template-transform", "variable-aggregator", "assigner", "parameter-extractor", "iteration", "loop"),
    *("loop-end", "http-request", "document-extractor", "list-operator", "tool", "agent", "human-input"),
    *("trigger-webhook", "trigger-schedule"),
}


def test_every_type_of_the_contract_is_there() -> None:
    assert {kind.type for kind in KINDS} == EXPECTED


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.type} {kind.version}")
def test_settings_are_read_by_a_config_that_passes_over_what_the_canvas_keeps(kind: NodeKind) -> None:
    read = kind.node.Config

    assert issubclass(read, NodeConfig)
    assert read.model_config.get("extra") == "ignore"
    with pytest.raises(ValidationError):
        read.model_validate({"title": "no type"})


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.type} {kind.version}")
def test_class_holds_nothing_between_runs_and_says_what_it_is(kind: NodeKind) -> None:
    assert vars(kind.node) == {}
    assert type(kind.node).__doc__
    assert type(kind.node).run.__doc__
