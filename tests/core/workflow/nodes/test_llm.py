"""What an LLM node sends to its model, tells meanwhile, and gives."""

import threading
import time
from typing import Any

import pytest

from api.core.events import TextChunk
from api.core.model_runtime.types import ChatChunk, ImagePart, PastTurn, Role
from api.core.ports import Cancel, JSONObject, JSONValue
from api.core.workflow.deps import FlowDeps, FlowLimits
from api.core.workflow.engine import STOPPED
from api.core.workflow.node import NODES, Demand
from api.core.workflow.variables import ANY_FILE, ValueType
from api.errors import CompletionFailed
from tests.fakes import TOKENS, Script, wait_for_stop
from tests.flows import PlainFiles, Ran, drawn, file_value, make_deps, make_models, run_flow
from tests.waiting import assert_quick

PNG = b"\x89PNG\r\n\x1a\n..."
TURNS = (PastTurn(query="one?", answer="1."), PastTurn(query="two?", answer="2."))
LOOSE: JSONObject = {"content": "Loose.", "metadata": {"_source": "web"}}
PASSAGE: JSONObject = {
    "title": "manual.md",
    "content": "Piers are long.",
    "summary": "On piers.",
    "metadata": {
        "_source": "knowledge",
        "position": 3,
        "dataset_id": "d",
        "dataset_name": "Harbour",
        "document_id": "o",
        "document_name": "manual.md",
        "data_source_type": "upload_file",
        "segment_id": "g",
        "retriever_from": "workflow",
        "score": 0.5,
        "segment_position": 2,
        "segment_word_count": 3,
        "segment_hit_count": 1,
        "segment_index_node_hash": "h",
        "doc_metadata": {"year": 1999},
    },
}
SCHEMA: JSONObject = {
    "type": "object",
    "properties": {"ships": {"type": "number"}},
    "required": ["ships"],
}


def llm(script: Script, prompt: Any = "{{#s.x#}}", **data: Any) -> JSONObject:
    """Return an LLM node of id ``n``; a text is its one user message."""
    template = [{"role": "user", "text": prompt}] if isinstance(prompt, str) else prompt
    return drawn("n", "llm", **{"model": script.choice, "prompt_template": template, **data})


def run(
    node: JSONObject,
    inputs: JSONObject | None = None,
    *,
    system: JSONObject | None = None,
    cancel: Cancel | None = None,
    **deps: Any,
) -> Ran:
    """Run a node between a start and an answer that shows its text."""
    nodes = [drawn("s", "start"), node, drawn("a", "answer", answer="{{#n.text#}}")]
    return run_flow(
        nodes,
        ["s > n > a"],
        inputs or {"x": "How many ships?"},
        deps=llm_deps(**deps),
        pool={"sys": system or {}},
        cancel=cancel,
    )


def llm_deps(**deps: Any) -> FlowDeps:
    return make_deps(**{"models": make_models(), **deps})


def sent(script: Script) -> list[tuple[str, str]]:
    """Return the messages of the one request, as roles and texts."""
    (request,) = script.requests
    return [(message.role.value, message.text) for message in request.messages]


def memory(**values: Any) -> JSONObject:
    return {"window": {"enabled": False}, **values}


def test_answer_streams_and_tells_what_it_took() -> None:
    script = Script(pieces=["Two ", "ships\x00."])
    prompt = [{"role": "system", "text": "Be {{#s.tone#}}."}, {"role": "user", "text": "{{#s.x#}}"}]

    ran = run(llm(script, prompt), {"x": "How many?", "tone": "short"})

    assert sent(script) == [("system", "Be short."), ("user", "How many?")]
    assert script.requests[0].user == "u"
    assert [event.text for event in ran.events if isinstance(event, TextChunk)] == ["Two ", "ships."]
    (node,) = ran.of("n")
    assert node.outputs is not None
    assert node.outputs["text"] == "Two ships."
    assert node.outputs["reasoning_content"] == ""
    assert node.outputs["finish_reason"] == "stop"
    assert node.inputs == {"#s.tone#": "short", "#s.x#": "How many?"}
    assert node.process_data is not None
    assert node.process_data["prompts"] == [
        {"role": "system", "text": "Be short.", "files": []},
        {"role": "user", "text": "How many?", "files": []},
    ]
    assert node.process_data["model_mode"] == "chat"
    assert node.process_data["model_provider"] == "scripted"
    assert node.process_data["model_name"] == script.model
    assert node.process_data["finish_reason"] == "stop"
    assert node.process_data["usage"] == node.outputs["usage"]
    assert node.metadata["total_tokens"] == TOKENS.prompt_tokens + TOKENS.completion_tokens
    assert ran.end.usage is not None
    assert ran.end.usage.completion_tokens == TOKENS.completion_tokens


def test_parameters_and_stop_words_go_to_the_model() -> None:
    script = Script()
    model: JSONObject = {**script.choice, "completion_params": {"temperature": 0.2, "stop": ["END"]}}

    run(llm(script, model=model))

    assert script.requests[0].parameters == {"temperature": 0.2}
    assert script.requests[0].stop == ("END",)


def test_jinja_prompt_knows_its_variables_by_name() -> None:
    script = Script()
    prompt = [
        {
            "role": "system",
            "text": "old",
            "edition_type": "jinja2",
            "jinja2_text": "{{ l | join('-') }}",
        },
        {"role": "user", "edition_type": "jinja2", "text": "{{ l | length }}"},
    ]
    config = {"jinja2_variables": [{"variable": "l", "value_selector": ["s", "x"]}]}

    ran = run(llm(script, prompt, prompt_config=config), {"x": ["a", "b"]})

    assert sent(script) == [("system", "a-b"), ("user", "2")]
    assert ran.of("n")[0].inputs == {"l": ["a", "b"]}


@pytest.mark.parametrize(
    ("text", "said"), [("{{ absent.part }}", "absent"), ("{{ 'long' * 9 }}", "more than 20 characters")]
)
def test_jinja_prompt_that_fails_or_is_too_long_fails_the_node(text: str, said: str) -> None:
    prompt = [{"role": "user", "edition_type": "jinja2", "text": text}]

    ran = run(llm(Script(), prompt), limits=FlowLimits(max_text_chars=20))

    assert said in str(ran.finished.error)


@pytest.mark.parametrize(
    "prompt", [[], [{"role": "system", "text": " "}], [{"role": "user", "text": "{{#s.no#}}"}]]
)
def test_empty_prompt_fails(prompt: Any) -> None:
    script = Script()

    assert run(llm(script, prompt), {"no": ""}).finished.error == "There is no prompt, or nothing in it."
    assert script.requests == []


def test_context_of_passages_is_put_in_and_cited() -> None:
    script = Script()
    context = {"enabled": True, "variable_selector": ["s", "found"]}
    found: Any = [
        PASSAGE,
        "Plain {{#s.x#}}.",
        {"metadata": {}},
        LOOSE,
    ]

    ran = run(llm(script, "Use: {{#context#}}|{{#s.x#}}", context=context), {"x": "q", "found": found})

    expected = 'Piers are long.\n\nPlain {{#s.x#}}.\n\n{"metadata": {}}\n\nLoose.'
    assert sent(script) == [("user", f"Use: {expected}|q")]
    assert ran.of("n")[0].inputs == {"#s.x#": "q", "#context#": expected}
    (cited,) = ran.end.cited
    assert (cited.position, cited.document_name, cited.score) == (3, "manual.md", 0.5)
    assert (cited.segment_position, cited.word_count, cited.hit_count) == (2, 3, 1)
    assert (cited.index_node_hash, cited.summary, cited.doc_metadata) == ("h", "On piers.", {"year": 1999})


def test_sparse_passage_is_cited_by_its_place() -> None:
    context = {"enabled": True, "variable_selector": ["s", "found"]}
    found: Any = [{"content": "Text.", "metadata": {"_source": "knowledge", "score": None}}]

    ran = run(llm(Script(), "{{#context#}}", context=context), {"found": found})

    (cited,) = ran.end.cited
    assert (cited.position, cited.score, cited.dataset_id, cited.doc_metadata) == (1, 0.0, "", None)


@pytest.mark.parametrize(
    ("context", "read"),
    [
        ({"enabled": True, "variable_selector": ["s", "text"]}, "A text."),
        ({"enabled": True, "variable_selector": []}, ""),
        ({"enabled": False}, ""),
    ],
)
def test_context_may_be_a_text_or_nothing(context: JSONObject, read: str) -> None:
    script = Script()

    ran = run(llm(script, "<{{#context#}}>", context=context), {"text": "A text."})

    assert sent(script) == [("user", f"<{read}>")]
    assert ran.end.cited == ()


@pytest.mark.parametrize(
    ("prompt", "own", "last"),
    [
        ([("system", "S")], None, [("user", "Q")]),
        ([("system", "S")], "Say: {{#sys.query#}}", [("user", "Say: Q")]),
        ([("system", "S"), ("user", "{{#sys.query#}}")], "", [("user", "Q")]),
        ([("system", "S"), ("user", "{{#sys.query#}}")], "{{#sys.query#}}", [("user", "Q")]),
        ([("system", "S"), ("user", "Tell me: {{#sys.query#}}")], None, [("user", "Tell me: Q")]),
    ],
)
def test_conversation_goes_before_the_question(prompt: Any, own: str | None, last: Any) -> None:
    script = Script()
    template = [{"role": role, "text": text} for role, text in prompt]
    node = llm(script, template, memory=memory(query_prompt_template=own))

    run(node, system={"query": "Q"}, history=TURNS)

    past = [("user", "one?"), ("assistant", "1."), ("user", "two?"), ("assistant", "2.")]
    assert sent(script) == [("system", "S"), *past, *last]


def test_other_words_of_the_user_stay_before_the_conversation() -> None:
    script = Script()
    template = [{"role": "user", "text": "Background."}]

    run(llm(script, template, memory=memory()), system={"query": "Q"}, history=TURNS[:1])

    assert [text for _, text in sent(script)] == ["Background.", "one?", "1.", "Q"]


@pytest.mark.parametrize(
    ("settings", "texts"),
    [
        (memory(window={"enabled": True, "size": 1}), ["S", "two?", "2.", "Q"]),
        (memory(window={"enabled": True, "size": 0}), ["S", "Q"]),
        (memory(window={"enabled": True}), ["S", "one?", "1.", "two?", "2.", "Q"]),
        (memory(enabled=False), ["S"]),
        (None, ["S"]),
    ],
)
def test_window_bounds_the_conversation(settings: Any, texts: list[str]) -> None:
    script = Script()

    run(llm(script, [{"role": "system", "text": "S"}], memory=settings), system={"query": "Q"}, history=TURNS)

    assert [text for _, text in sent(script)] == texts


def test_conversation_takes_no_more_than_the_model_has_room_for() -> None:
    script = Script(context_tokens=60)
    long = PastTurn(query="word " * 40, answer="x")

    run(
        llm(script, [{"role": "system", "text": "S"}], memory=memory()),
        system={"query": "Q"},
        history=(long, TURNS[1]),
    )

    assert [text for _, text in sent(script)] == ["S", "two?", "2.", "Q"]


def test_memory_without_a_question_adds_none() -> None:
    script = Script()

    run(llm(script, [{"role": "system", "text": "S"}], memory=memory()), history=())

    assert sent(script) == [("system", "S")]


def test_memory_before_a_prompt_that_nobody_asks() -> None:
    script = Script()

    run(llm(script, [{"role": "user", "text": "Go on."}], memory=memory()), history=TURNS[:1])

    assert [text for _, text in sent(script)] == ["one?", "1.", "Go on."]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{#histories#}}\nHuman: {{#sys.query#}}", "U: one?\nAssistant: 1.\nHuman: Q"),
        ("Human: {{#sys.query#}}", "U: one?\nAssistant: 1.\n\nHuman: Q"),
    ],
)
def test_completion_prompt_is_one_text_with_the_conversation_in_it(text: str, expected: str) -> None:
    script = Script()
    node = llm(
        script,
        {"text": text, "edition_type": "basic"},
        model={**script.choice, "mode": "completion"},
        memory=memory(role_prefix={"user": "U", "assistant": ""}),
    )

    run(node, system={"query": "Q"}, history=TURNS[:1])

    assert sent(script) == [("user", expected)]


def test_completion_prompt_without_a_conversation_stays() -> None:
    script = Script()

    run(llm(script, {"text": "A: {{#histories#}}{{#s.x#}}"}, memory=memory()), {"x": "q"})

    assert sent(script) == [("user", "A: q")]


def test_images_of_the_question_are_shown_beside_its_text() -> None:
    script = Script()
    image, document = file_value("a.png", "image"), file_value("b.pdf")
    node = llm(script, "Look", vision={"enabled": True, "configs": {"detail": "low"}})

    ran = run(node, system={"files": [image, document]}, files=PlainFiles({"a.png": PNG}))

    assert script.requests[0].messages[-1].parts[0] == ImagePart(
        mime_type="image/png", data=PNG, detail="low"
    )
    assert sent(script) == [("user", "Look")]
    (finished,) = ran.of("n")
    assert finished.inputs == {"#files#": [image, document]}
    assert finished.process_data is not None
    assert finished.process_data["prompts"] == [{"role": "user", "text": "Look", "files": [image]}]


def test_image_alone_is_a_message_of_the_users() -> None:
    script = Script()
    node = llm(
        script,
        [{"role": "system", "text": "Describe."}],
        vision={"enabled": True, "configs": {"variable_selector": ["s", "pic"]}},
    )

    run(node, {"pic": file_value("a", "image")}, files=PlainFiles({"a": b"GIF89a"}))

    last = script.requests[0].messages[-1]
    assert last.role is Role.USER
    assert last.parts == (ImagePart(mime_type="image/gif", data=b"GIF89a"),)


@pytest.mark.parametrize(
    ("is_on", "files"), [(False, [file_value("a.png", "image")]), (True, None), (True, [file_value("b.pdf")])]
)
def test_without_vision_or_images_nothing_is_shown(is_on: bool, files: JSONValue) -> None:
    script = Script()

    run(llm(script, "Look", vision={"enabled": is_on}), system={"files": files})

    assert len(script.requests[0].messages[0].parts) == 1


@pytest.mark.parametrize(("features", "count"), [(frozenset({"vision"}), 1), (frozenset(), 0)])
def test_image_in_a_template_is_shown_to_a_model_that_can_see(features: frozenset[str], count: int) -> None:
    script = Script(features=features)
    prompt = [{"role": "system", "text": "{{#s.pic#}}S"}, {"role": "user", "text": "This: {{#s.pic#}}"}]

    run(
        llm(script, prompt),
        {"pic": file_value("a.jpg", "image")},
        files=PlainFiles({"a.jpg": b"\xff\xd8\xff"}),
    )

    parts = script.requests[0].messages[1].parts
    assert [part for part in parts if isinstance(part, ImagePart)] == [
        ImagePart(mime_type="image/jpeg", data=b"\xff\xd8\xff")
    ] * count


def test_image_that_is_none_fails_the_node() -> None:
    node = llm(Script(), "Look", vision={"enabled": True})

    ran = run(node, system={"files": [file_value("a.png", "image")]}, files=PlainFiles({"a.png": b"<html>"}))

    assert ran.finished.error == "'a.png' is not an image that models can see."


THINKING = [
    ChatChunk(reasoning="Let me "),
    ChatChunk(reasoning="count."),
    ChatChunk(text="Two"),
    ChatChunk(text=" ships."),
]


def test_thinking_stands_in_the_text_between_tags() -> None:
    ran = run(llm(Script(pieces=[*THINKING])))

    text = "<think>\nLet me count.\n</think>\n\nTwo ships."
    assert ran.text == text
    assert ran.of("n")[0].outputs is not None
    assert ran.of("n")[0].outputs["text"] == text
    assert ran.of("n")[0].outputs["reasoning_content"] == ""


def test_thinking_that_never_becomes_an_answer_is_closed() -> None:
    assert run(llm(Script(pieces=[*THINKING[:2]]))).text == "<think>\nLet me count.\n</think>\n\n"


def test_thinking_may_be_told_apart_from_the_text() -> None:
    ran = run(llm(Script(pieces=[*THINKING]), reasoning_format="separated"))

    assert ran.text == "Two ships."
    assert ran.of("n")[0].outputs is not None
    assert ran.of("n")[0].outputs["reasoning_content"] == "Let me count."


def structured(script: Script, schema: JSONObject | None = SCHEMA, **data: Any) -> JSONObject:
    wanted = {"structured_output_enabled": True, "structured_output": {"schema": schema} if schema else None}
    return llm(script, **{**wanted, **data})


def test_structured_output_is_asked_for_in_the_models_own_way() -> None:
    script = Script(pieces=['{"ships": 2}'], features=frozenset({"structured-output"}))

    ran = run(structured(script))

    assert script.requests[0].parameters == {
        "response_format": "json_schema",
        "json_schema": {"name": "answer", "schema": SCHEMA},
    }
    assert sent(script) == [("user", "How many ships?")]
    assert ran.of("n")[0].outputs is not None
    assert ran.of("n")[0].outputs["structured_output"] == {"ships": 2}


@pytest.mark.parametrize("system", [[], [{"role": "system", "text": "Be brief."}]])
def test_structured_output_is_asked_for_in_words_where_there_is_no_way(system: list[JSONObject]) -> None:
    script = Script(pieces=["Here:\n```json\n", '{"ships": 2,}', "\n```"])

    ran = run(structured(script, prompt=[*system, {"role": "user", "text": "{{#s.x#}}"}]))

    assert [role for role, _ in sent(script)] == ["system", "user"]
    assert '"required":["ships"]' in sent(script)[0][1]
    assert script.requests[0].parameters == {}
    assert ran.of("n")[0].outputs is not None
    assert ran.of("n")[0].outputs["structured_output"] == {"ships": 2}


@pytest.mark.parametrize(
    ("answer", "said"),
    [("Two.", "it is not JSON"), ('{"ships": "two"}', "ships: 'two' is not of type 'number'")],
)
def test_answer_that_is_not_as_wanted_fails_the_node(answer: str, said: str) -> None:
    ran = run(structured(Script(pieces=[answer])))

    assert said in str(ran.finished.error)
    assert ran.of("n")[0].outputs is not None
    assert ran.of("n")[0].outputs["text"] == answer


@pytest.mark.parametrize("schema", [None, {}, {"type": "wish"}])
def test_structured_output_without_a_right_schema_fails_the_node(schema: JSONObject | None) -> None:
    ran = run(structured(Script(pieces=['{"a": 1}']), schema))

    assert "structured output" in str(ran.finished.error)


def test_structured_output_that_is_off_is_not_looked_at() -> None:
    ran = run(llm(Script(), structured_output={"enabled": False}))

    assert ran.finished.status == "succeeded"
    assert "structured_output" not in (ran.of("n")[0].outputs or {})


def test_failure_of_the_model_is_the_nodes_and_shows_the_prompt() -> None:
    def fail() -> None:
        raise CompletionFailed("no answer")

    ran = run(llm(Script(pieces=[fail])))

    assert ran.finished.error == "no answer"
    assert (ran.of("n")[0].process_data or {})["prompts"] == [
        {"role": "user", "text": "How many ships?", "files": []}
    ]


def test_stop_closes_the_call_and_ends_at_once() -> None:
    cancel = Cancel()
    stopped_at: list[float] = []

    def wait() -> None:
        threading.Timer(0.05, cancel.set).start()
        wait_for_stop(cancel)
        stopped_at.append(time.monotonic())

    ran = run(llm(Script(pieces=["Two", wait, " ships"])), cancel=cancel)

    assert_quick(time.monotonic() - stopped_at[0], 2)
    assert (ran.finished.status, ran.finished.error) == ("stopped", STOPPED)
    assert ran.text == "Two"
    assert ran.of("n")[0].status == "stopped"


def test_references_are_all_the_prompt_is_made_of() -> None:
    data: Any = llm(
        Script(),
        [
            {"role": "user", "text": "{{#s.x#}}"},
            {"role": "user", "edition_type": "jinja2", "text": "{{#s.no#}}"},
        ],
        prompt_config={"jinja2_variables": [{"variable": "l", "value_selector": ["s", "l"]}]},
        context={"enabled": True, "variable_selector": ["k", "result"]},
        vision={"enabled": True, "configs": {"variable_selector": ["s", "pic"]}},
        memory=memory(query_prompt_template="{{#sys.query#}}"),
    )["data"]

    config = NODES["llm", "1"].configured(data)

    assert list(config.references()) == [
        ("s", "x"),
        ("s", "l"),
        ("k", "result"),
        ("s", "pic"),
        ("sys", "query"),
    ]
    assert list(config.demands()) == [Demand(("s", "pic"), ANY_FILE)]
    bare: Any = llm(Script(), {"text": "{{#s.x#}}"})["data"]
    assert list(NODES["llm", "1"].configured(bare).references()) == [("s", "x")]


@pytest.mark.parametrize(("is_on", "more"), [(False, {}), (True, {"structured_output": ValueType.OBJECT})])
def test_variables_are_the_answer_and_what_it_took(is_on: bool, more: dict[str, ValueType]) -> None:
    data: Any = llm(Script(), structured_output_enabled=is_on)["data"]

    assert NODES["llm", "1"].configured(data).gives() == {
        "text": ValueType.STRING,
        "reasoning_content": ValueType.STRING,
        "usage": ValueType.OBJECT,
        "finish_reason": ValueType.STRING,
        **more,
    }
