"""The node that docs/how-to/node.md adds does what the page says, and so does its test."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from api.core.workflow.node import NODES

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "node.md"


def test_node_of_the_how_to_works_as_its_own_tests_say(monkeypatch: pytest.MonkeyPatch) -> None:
    code, test = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.setattr("api.core.workflow.node.NODES", dict(NODES))
    space: dict[str, Any] = {"__name__": "first_words"}
    exec(code, space)  # our own page
    exec(test, space)
    tests: list[Callable[[], None]] = [made for name, made in space.items() if name.startswith("test_")]

    for run in tests:
        run()

    assert len(tests) == 2
