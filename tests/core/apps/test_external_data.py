"""Variables that services fill in: which, by whom, and what becomes of a run that is stopped meanwhile."""

from typing import Any

import pytest

from api.core.apps.config import ExternalDataTool, ModelConfig, load_model_config
from api.core.apps.extension import check_endpoint
from api.core.apps.external_data import fill_in
from api.core.http import Cancelled
from api.core.ports import Cancel
from api.errors import ExtensionFailed, InvalidRequest


def tool(variable: str, extension: str = "a", **more: object) -> Any:
    config = {"api_based_extension_id": extension}
    drawn = {"type": "api", "enabled": True, "label": variable, "variable": variable, "config": config}
    return {**drawn, **more}


def configured(*tools: Any, drawn: tuple[Any, ...] = ()) -> ModelConfig:
    form = [{"external_data_tool": item} for item in drawn]
    model = {"provider": "builtin", "name": "extractive-qa"}
    raw: Any = {"model": model, "external_data_tools": list(tools), "user_input_form": form}
    return load_model_config(raw)


def said(tool: ExternalDataTool, _: Cancel) -> str:
    return f"{tool.variable} of {tool.config.api_based_extension_id}"


def test_each_variable_is_filled_in_once_by_the_first_that_names_it() -> None:
    config = configured(
        tool("x"), tool("x", "b"), tool("y", "c", enabled=False), drawn=(tool("z", "d"), tool("w", "a"))
    )
    filled = fill_in(config, {"x": "mine", "q": 1}, said, Cancel())
    assert filled == {"x": "x of a", "q": 1, "z": "z of d", "w": "w of a"}
    assert config.extension_ids == {"a", "d"}
    assert fill_in(configured(), {"q": 1}, said, Cancel()) == {"q": 1}


def test_stopped_run_is_not_a_failed_one() -> None:
    cancel = Cancel()

    def stopped(_: ExternalDataTool, inner: Cancel) -> str:
        cancel.set()
        raise Cancelled

    assert fill_in(configured(tool("x"), tool("y")), {"q": 1}, stopped, cancel) == {"q": 1}

    def overdue(_: ExternalDataTool, inner: Cancel) -> str:
        raise Cancelled

    with pytest.raises(Cancelled):
        fill_in(configured(tool("x")), {}, overdue, Cancel())

    def broken(_: ExternalDataTool, inner: Cancel) -> str:
        raise ExtensionFailed("No.")

    with pytest.raises(ExtensionFailed):
        fill_in(configured(tool("x"), tool("y")), {}, broken, Cancel())


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "x",
        "ftp://h/",
        "http://",
        "http://[",
        "http://u:p@h/",
        "http://:p@h/",
        "http://h/#f",
        "http://h:0/",
    ],
)
def test_endpoint_that_is_no_address_is_refused(endpoint: str) -> None:
    with pytest.raises(InvalidRequest):
        check_endpoint(endpoint)
    assert check_endpoint(" https://h/a?b=c ") == "https://h/a?b=c"
