"""What every built-in tool promises, run over the registry."""

import string
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from api.core.tools import builtin
from api.core.tools.arguments import read_arguments
from api.core.tools.provider import TOOL_PROVIDERS, ToolProvider
from api.core.tools.tool import Tool, ToolFailed

PROVIDERS = [pytest.param(provider, id=name) for name, provider in TOOL_PROVIDERS.items()]
TOOLS = [
    pytest.param(tool, id=f"{name}/{tool.schema.name}")
    for name, provider in TOOL_PROVIDERS.items()
    for tool in provider.tools.values()
]
IDENTIFIER = frozenset(string.ascii_lowercase + string.digits + "_")
LABELS = frozenset(
    {"search", "image", "productivity", "utilities", "other", "news", "education", "finance", "design"}
)


def test_each_file_brings_one_provider() -> None:
    files = {path.stem for path in Path(str(builtin.__file__)).parent.glob("*.py")} - {"__init__"}
    assert len(files) == len(TOOL_PROVIDERS)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_provider_says_what_it_is(provider: ToolProvider) -> None:
    schema = provider.schema
    assert schema.id
    assert set(schema.id) <= IDENTIFIER
    assert schema.label.en
    assert schema.label.zh
    assert schema.description.en
    assert schema.description.zh
    assert set(schema.labels) <= LABELS
    assert provider.tools
    assert ET.fromstring(schema.icon_svg).tag.endswith("svg")
    if any(field.is_secret for field in schema.credential_fields):
        assert provider.check is not None


@pytest.mark.parametrize("tool", TOOLS)
def test_tool_says_what_it_does_and_takes(tool: Tool) -> None:
    schema = tool.schema
    assert set(schema.name) <= IDENTIFIER
    assert schema.label.en
    assert schema.label.zh
    assert schema.description.zh
    assert schema.llm_description
    names = [parameter.name for parameter in schema.parameters]
    assert len(names) == len(set(names))
    for parameter in schema.parameters:
        assert parameter.label.zh
        assert parameter.human_description.zh
        assert parameter.form == "form" or parameter.llm_description
        assert bool(parameter.options) is (parameter.type == "select")
        assert not (parameter.is_required and parameter.default is not None)


@pytest.mark.parametrize("tool", TOOLS)
def test_defaults_are_arguments(tool: Tool) -> None:
    defaults = {each.name: each.default for each in tool.schema.parameters if each.default is not None}
    optional = [each for each in tool.schema.parameters if not each.is_required]
    assert read_arguments(optional, {}) == defaults


@pytest.mark.parametrize("tool", TOOLS)
def test_missing_argument_is_named(tool: Tool) -> None:
    required = [each.name for each in tool.schema.parameters if each.is_required]
    if not required:
        pytest.skip("needs no argument")
    with pytest.raises(ToolFailed, match=f"{required[0]}.* is required"):
        read_arguments(tool.schema.parameters, {})
