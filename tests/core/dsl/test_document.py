"""Apps as files: every mode and version, what is refused, what stays behind, what is missing."""

import os
from pathlib import Path
from typing import Any

import pytest

from api.core.apps.spec import AppMode
from api.core.dsl.document import AppDocument, BadDocument, WorkflowPart, read_document, write_document
from api.core.dsl.names import free_name
from api.core.dsl.needs import Inventory, Need, missing, needs_of
from api.core.dsl.secrets import bare_config, bare_graph
from api.core.dsl.versions import CURRENT_VERSION, verdict
from api.core.ports import JSONObject, JSONValue
from api.core.text.yaml_text import dump_yaml, load_yaml
from api.core.workflow.declared import read_environment, secrets_of
from api.core.workflow.validation import FlowMode, find_problems
from tests.flows import drawn, edges, end

FILES = sorted(Path(os.environ.get("TEST_DSL", Path(__file__).parents[4] / "shared/data/dsl")).glob("*.yml"))
GRAPH: JSONObject = {"nodes": [drawn("s", "start"), end()], "edges": edges("s > e"), "viewport": {"zoom": 1}}
CONFIG: JSONObject = {"model": {"provider": "openai", "name": "gpt-4o", "mode": "chat"}, "pre_prompt": "Hi"}


def app_file(*, mode: str = "workflow", **parts: Any) -> str:
    """Return a file of an app; a part that is None is left out."""
    raw: JSONObject = {
        "version": CURRENT_VERSION,
        "kind": "app",
        "app": {"name": "Mine", "mode": mode, "icon": "🐳", "icon_background": "#FFFFFF", "description": "d"},
        "workflow": {"graph": GRAPH, "features": {"opening_statement": "Hi"}},
        "model_config": CONFIG,
    }
    return dump_yaml({key: value for key, value in {**raw, **parts}.items() if value is not None})


def keep(name: str) -> str:
    return name


@pytest.mark.parametrize("mode", list(AppMode))
def test_every_mode_is_read_and_written(mode: AppMode) -> None:
    document = read_document(app_file(mode=mode.value))

    assert (document.name, document.mode, document.icon, document.description) == ("Mine", mode, "🐳", "d")
    is_flow = mode in (AppMode.WORKFLOW, AppMode.ADVANCED_CHAT)
    assert (document.workflow is not None, document.config is None) == (is_flow, is_flow)
    assert read_document(write_document(document)) == document


def test_graph_comes_as_it_is_drawn() -> None:
    old: JSONObject = {
        "nodes": [
            drawn("s", "start"),
            {"id": "n", "type": "custom-note", "data": {"type": "", "text": "note"}, "width": 240},
            drawn("c", "if-else", conditions=[], logical_operator="and"),
            drawn("it", "iteration", start_node_id="a", parallel_nums=10),
            drawn("a", "template-transform", parent="it", template="x", isIterationStart=True),
        ],
        "edges": [],
        "somebody": {"put": "this here"},
    }
    document = read_document(app_file(workflow={"graph": old}))

    assert document.workflow is not None
    assert document.workflow.graph == old


@pytest.mark.parametrize(
    ("version", "status"),
    [
        (CURRENT_VERSION, "completed"),
        ("0.5.9", "completed"),
        ("0.5", "completed"),
        ("0.1.0", "completed-with-warnings"),
        ("0.4.0", "completed-with-warnings"),
        ("0.6.0", "pending"),
        ("1.0.0", "pending"),
        ("v0.5.0-rc1", "completed"),
        ("newest", None),
        ("", None),
        ("9" * 5000, None),
    ],
)
def test_version_decides_what_becomes_of_a_file(version: str, status: str | None) -> None:
    assert verdict(version) == status


def test_file_without_kind_and_version_is_an_app_of_the_first() -> None:
    document = read_document(app_file(kind=None, version=None))

    assert document.version == "0.1.0"
    assert read_document(app_file(kind="rag_pipeline")).mode is AppMode.WORKFLOW


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"app": None}, "'app' is missing"),
        ({"app": "Mine"}, "'app' is missing"),
        ({"version": 0.5}, "version is not a text"),
        ({"mode": "channel"}, "no apps of mode 'channel'"),
        ({"workflow": None}, "lacks 'workflow'"),
        ({"mode": "chat", "model_config": None}, "lacks 'model_config'"),
        ({"workflow": {}}, "graph must be an object"),
        ({"workflow": {"graph": {"nodes": [drawn("x", "teleport")], "edges": []}}}, "no known type"),
        ({"workflow": {"graph": GRAPH, "features": []}}, "features must be an object"),
        ({"workflow": {"graph": GRAPH, "environment_variables": [{"name": "1"}]}}, "environment_variables"),
        ({"workflow": {"graph": GRAPH, "conversation_variables": {}}}, "conversation_variables"),
    ],
)
def test_what_is_no_app_says_why(parts: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadDocument, match=reason):
        read_document(app_file(**parts))


@pytest.mark.parametrize("text", ["", "just text", "- a\n- b", "a: [", "a: .nan"])
def test_what_is_no_mapping_is_refused(text: str) -> None:
    with pytest.raises(BadDocument):
        read_document(text)


@pytest.mark.parametrize(
    ("app", "icon"),
    [
        ({"icon": "0b0e6e5e-cafe", "icon_type": "image"}, ("emoji", "🤖")),
        ({"icon": "https://example.com/i.png"}, ("link", "https://example.com/i.png")),
        ({"icon": None}, ("emoji", "🤖")),
        ({"icon": "🐳"}, ("emoji", "🐳")),
    ],
)
def test_icon_of_another_workspace_becomes_the_usual_one(app: JSONObject, icon: tuple[str, str]) -> None:
    document = read_document(app_file(app={"name": "Mine", "mode": "workflow", **app}))

    assert (document.icon_type, document.icon) == icon


def test_uploaded_icon_does_not_leave() -> None:
    document = AppDocument(name="Mine", mode=AppMode.CHAT, icon_type="image", icon="a-file", config=CONFIG)

    assert read_document(write_document(document)).icon == "🤖"


# -- secrets -------------------------------------------------------------------------------------


@pytest.mark.parametrize("has_secrets", [True, False])
def test_secret_variables_leave_only_where_they_are_wanted(has_secrets: bool) -> None:
    environment = read_environment([{"id": "1", "name": "key", "value_type": "secret", "value": "s3cret"}])
    document = AppDocument(
        name="Mine", mode=AppMode.WORKFLOW, workflow=WorkflowPart(graph=GRAPH, environment=environment)
    )

    text = write_document(document, has_secrets=has_secrets)

    assert ("s3cret" in text) is has_secrets
    back = read_document(text).workflow
    assert back is not None
    assert secrets_of(back.environment) == {"1": "s3cret" if has_secrets else ""}


def test_what_belongs_to_a_workspace_stays_there() -> None:
    key = {"type": "api-key", "config": {"type": "bearer", "api_key": "k-123"}}
    named = {"type": "api-key", "config": {"type": "bearer", "api_key": "{{#env.key#}}"}}
    graph: JSONObject = {
        "nodes": [
            drawn("k", "knowledge-retrieval", dataset_ids=["ours", "theirs"]),
            drawn("t", "tool", credential_id="c-1", tool_name="now"),
            drawn("a", "agent", agent_parameters={"tools": {"value": [{"credential_id": "c-2"}]}}),
            drawn("h", "http-request", authorization=key),
            drawn("i", "http-request", authorization=named),
            drawn("w", "trigger-webhook", webhook_url="https://here/1", webhook_debug_url="https://here/2"),
            drawn("p", "trigger-plugin", subscription_id="sub-1"),
            drawn("c", "trigger-schedule", mode="cron", cron_expression="* * * * *", timezone="UTC"),
        ],
        "edges": [],
    }
    before = dump_yaml(graph)

    text = dump_yaml(bare_graph(graph, {"ours": "sealed"}.get))
    kept = dump_yaml(bare_graph(graph, {"ours": "sealed"}.get, has_secrets=True))

    for gone in ("ours", "theirs", "here/", "sub-1", "'* *"):
        assert gone not in text
        assert gone not in kept
    for secret in ("c-1", "c-2", "k-123"):
        assert secret not in text
        assert secret in kept
    assert "sealed" in text
    assert "{{#env.key#}}" in text
    assert dump_yaml(graph) == before


def test_configuration_leaves_without_what_belongs_to_the_workspace() -> None:
    datasets: list[JSONValue] = [{"dataset": {"enabled": True, "id": name}} for name in ("ours", "theirs")]
    tool: JSONObject = {"tool_name": "now", "provider_id": "time", "credential_id": "c-1"}
    config: JSONObject = {
        **CONFIG,
        "created_by": "someone",
        "dataset_configs": {"datasets": {"datasets": datasets}},
        "agent_mode": {"tools": [tool, *datasets]},
    }

    bare = bare_config(config, {"ours": "new"}.get)

    dataset: JSONObject = {"dataset": {"enabled": True, "id": "new"}}
    assert bare["dataset_configs"] == {"datasets": {"datasets": [dataset]}}
    assert bare["agent_mode"] == {"tools": [{"tool_name": "now", "provider_id": "time"}, dataset]}
    assert "created_by" not in bare
    assert bare["pre_prompt"] == "Hi"
    assert bare_config({"agent_mode": None, "dataset_configs": []}, keep) == {
        "agent_mode": None,
        "dataset_configs": [],
    }


# -- needs and names -----------------------------------------------------------------------------


def test_needs_name_models_tools_and_datasets_once() -> None:
    model = {"provider": "langgenius/openai/openai", "name": "gpt-4o"}
    tools = {"value": [{"provider_name": "time", "tool_name": "now", "type": "builtin"}]}
    rerank = {"reranking_model": {"provider": "cohere", "model": "rerank-3"}}
    graph: JSONObject = {
        "nodes": [
            drawn("l", "llm", model=model),
            drawn("m", "llm", model={**model, "provider": "openai"}),
            drawn("n", "llm", model={}),
            drawn("k", "knowledge-retrieval", dataset_ids=["d"], multiple_retrieval_config=rerank),
            drawn("t", "tool", provider_id="time", provider_type="builtin", tool_name="now"),
            drawn(
                "a",
                "agent",
                agent_parameters={"model": {"value": {**model, "model": "gpt-5"}}, "tools": tools},
            ),
        ],
        "edges": [],
    }
    document = AppDocument(name="Mine", mode=AppMode.WORKFLOW, workflow=WorkflowPart(graph=graph))

    assert [(need.kind, need.provider, need.name) for need in needs_of(document)] == [
        ("model", "openai", "gpt-4o"),
        ("model", "cohere", "rerank-3"),
        ("dataset", "", "d"),
        ("tool", "time", "now"),
    ]


def test_missing_is_what_is_not_there() -> None:
    tools: list[JSONValue] = [
        {"provider_id": "time", "provider_type": "builtin", "tool_name": "now"},
        {"dataset": {"id": "d", "enabled": True}},
    ]
    config: JSONObject = {**CONFIG, "agent_mode": {"tools": tools}}
    document = AppDocument(name="Mine", mode=AppMode.AGENT_CHAT, config=config)

    def nothing(_need: Need) -> bool:
        return False

    def everything(_need: Need) -> bool:
        return True

    bare = Inventory(has_model=nothing, has_tool=nothing, has_dataset=nothing)
    full = Inventory(has_model=everything, has_tool=everything, has_dataset=nothing)
    assert [need.kind for need in missing(document, bare)] == ["model", "dataset", "tool"]
    assert [need.to_json() for need in missing(document, full)] == [
        {"kind": "dataset", "provider": "", "name": "d"}
    ]


@pytest.mark.parametrize(
    ("name", "taken", "free"),
    [
        ("App", set(), "App"),
        (" App ", {"App"}, "App (2)"),
        ("App", {"App", "App (2)"}, "App (3)"),
        ("n" * 60, set(), "n" * 40),
        ("n" * 60, {"n" * 40}, "n" * 36 + " (2)"),
    ],
)
def test_name_is_numbered_where_it_is_taken(name: str, taken: set[str], free: str) -> None:
    assert free_name(name, taken.__contains__) == free


# -- files of others -----------------------------------------------------------------------------


@pytest.mark.skipif(not FILES, reason="no real files: set TEST_DSL to a folder of them")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name[:20])
def test_real_file_is_read_written_and_reported_on(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    document = read_document(text)
    raw = load_yaml(text)

    assert isinstance(raw, dict)
    assert verdict(document.version) is not None
    assert read_document(write_document(document, has_secrets=True)) == AppDocument(
        **{name: getattr(document, name) for name in AppDocument.__slots__} | {"version": CURRENT_VERSION}
    )
    if document.workflow is None:
        assert document.config == raw["model_config"]
        return
    part = raw["workflow"]
    assert isinstance(part, dict)
    assert document.workflow.graph == part["graph"]
    mode: FlowMode = "workflow" if document.mode is AppMode.WORKFLOW else "advanced-chat"
    problems = find_problems(document.workflow.graph, mode=mode)
    assert all(problem.message and problem.field for problem in problems)
    assert all(need.name for need in needs_of(document))
