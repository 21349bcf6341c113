"""The page of an app in a real browser, where there is one: what a guest sees, does and finds again."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from api.runtime import Runtime
from tests import flows
from tests.browser import Page, browsing, find_browser, served
from tests.conftest import ONCE
from tests.controllers.console.flow_calls import DraftApp
from tests.controllers.guest_calls import code_of
from tests.controllers.service_api.test_form_mails import FILE_FIELD, external, mailing
from tests.controllers.service_api.test_human_input import NOTE, Waiting
from tests.controllers.service_api.test_workflows import FlowApp
from tests.factories import Owner, make_chat_app
from tests.fakes import Script
from tests.knowledge import add_document, make_dataset
from tests.letterbox import Letterbox

BROWSER = find_browser()
pytestmark = [ONCE, pytest.mark.skipif(BROWSER is None, reason="no Chromium is on PATH")]
FORM = [{"text-input": {"label": "Name", "variable": "name", "required": True}}]
GRAPH = {
    "nodes": [
        flows.drawn("s", "start", variables=[{"variable": "x", "label": "X", "type": "text-input"}]),
        flows.drawn("e", "end", outputs=[{"variable": "y", "value_selector": ["s", "x"]}]),
    ],
    "edges": flows.edges("s > e"),
}
HOSTILE = """\
**bold** and `code`

<img src=x onerror="window.hurt = 1"><script>window.hurt = 1</script>

[press](javascript:window.hurt=1) ![far](https://elsewhere.example/pixel.png) [near](https://example.com/)

| a | b |
|---|---|
| 1 | 2 |

```html
<b>shown</b>
```
"""


@pytest.fixture
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A browser's tab; nothing it does may leave the server or offend its policy."""
    assert BROWSER is not None
    with browsing(BROWSER, tmp_path_factory.mktemp("profile")) as made:
        yield made
        made.run("true")
        assert {address.split("/")[2].split(":")[0] for address in made.asked} == {"127.0.0.1"}
        assert made.complaints == []


@pytest.fixture
def address(house: Flask) -> Iterator[str]:
    """Where the program is served."""
    with served(house) as url:
        yield url


@pytest.fixture
def visit(client: FlaskClient, owner: Owner, page: Page, address: str) -> Callable[[str], Page]:
    """Opens the page of an app."""

    def opened(app_id: str) -> Page:
        page.open(f"{address}/chat/{code_of(client, owner, app_id)}")
        return page

    return opened


Visit = Callable[[str], Page]


def test_answer_is_shown_as_markdown_and_never_as_code(runtime: Runtime, owner: Owner, visit: Visit) -> None:
    app = make_chat_app(runtime, owner, model=Script([HOSTILE[:40], HOSTILE[40:]]).choice)
    page = visit(app.id)

    page.say("<i>hi</i>")
    page.until("document.querySelector('.answer .tools')")

    assert page.text(".question") == "<i>hi</i>"
    assert page.text(".answer strong") == "bold"
    assert page.text(".answer pre code") == "<b>shown</b>"
    assert page.run("document.querySelectorAll('.answer table td').length") == 2
    assert page.run("[...document.querySelectorAll('.answer a')].map((link) => link.href)") == [
        "https://elsewhere.example/pixel.png",
        "https://example.com/",
    ]
    assert page.run("document.querySelectorAll('.answer :is(img, script, i, b)').length") == 0
    assert "onerror=" in page.text(".answer .body")
    assert page.run("window.hurt ?? null") is None


def test_answer_grows_while_it_comes_and_stops_when_told(
    runtime: Runtime, owner: Owner, visit: Visit
) -> None:
    gate = threading.Event()
    app = make_chat_app(runtime, owner, model=Script(["first ", "second"], gate=gate).choice)
    page = visit(app.id)

    page.say("hi")
    page.until("document.querySelector('.answer .body').textContent.includes('first')")
    assert page.run("document.getElementById('stop').hidden") is False
    page.click("#stop")
    page.until("document.getElementById('stop').hidden")

    assert "second" not in page.text(".answer .body")
    assert page.run("document.querySelector('.answer').classList.contains('running')") is False


def test_conversation_is_found_again_with_what_was_thought_of_it(
    runtime: Runtime, owner: Owner, visit: Visit
) -> None:
    app = make_chat_app(runtime, owner, model=Script(["Hello"]).choice)
    page = visit(app.id)
    page.say("first question")
    page.until("document.querySelector('.answer .tools')")
    page.click(".answer .like")
    page.until("document.querySelector('.answer .like').getAttribute('aria-pressed') === 'true'")
    page.until("document.querySelectorAll('#conversations li').length === 1")
    page.say("second question")
    page.until("document.querySelectorAll('.answer .tools').length === 2")

    page = visit(app.id)
    page.click("#conversations .open")
    page.until("document.querySelectorAll('.answer .tools').length === 2")

    asked = page.run("[...document.querySelectorAll('.question')].map((box) => box.textContent)")
    assert asked == ["first question", "second question"]
    assert page.run("document.querySelector('.answer .like').getAttribute('aria-pressed')") == "true"


def test_conversation_is_deleted(runtime: Runtime, owner: Owner, visit: Visit) -> None:
    page = visit(make_chat_app(runtime, owner, model=Script(["Hello"]).choice).id)
    page.say("hi")
    page.until("document.querySelectorAll('#conversations li').length === 1")

    page.run("window.confirm = () => true, true")
    page.click("#conversations li button:last-child")
    page.until("document.querySelectorAll('#conversations li').length === 0")

    assert page.run("document.querySelectorAll('.message').length") == 0


def test_file_goes_with_the_question(runtime: Runtime, owner: Owner, visit: Visit) -> None:
    script = Script(["Read"])
    upload = {"enabled": True, "allowed_file_types": ["document"], "number_limits": 2}
    app = make_chat_app(runtime, owner, model=script.choice, file_upload=upload)
    page = visit(app.id)

    page.run(
        """(() => { const sent = new DataTransfer(), pick = document.getElementById('pick');
        sent.items.add(new File(['seven ships'], 'a.txt', {type: 'text/plain'})); pick.files = sent.files;
        pick.dispatchEvent(new Event('change')); return true; })()"""
    )
    assert "a.txt" in page.text("#files")
    page.say("what is in it?")
    page.until("document.querySelector('.answer .tools')")

    assert "seven ships" in str(script.requests[0].messages)
    assert "a.txt" in page.text(".question")
    assert page.text("#files") == ""


def test_answer_says_what_it_was_made_from(
    client: FlaskClient, runtime: Runtime, owner: Owner, visit: Visit
) -> None:
    dataset = make_dataset(runtime, owner)
    add_document(client, owner, dataset)
    app = make_chat_app(
        runtime,
        owner,
        model=Script(["Seven"]).choice,
        dataset_configs={"datasets": {"datasets": [{"dataset": {"enabled": True, "id": dataset}}]}},
        retriever_resource={"enabled": True},
    )
    page = visit(app.id)

    page.say("How many ships does the harbour master count?")
    page.until("document.querySelector('.answer .sources')")

    assert "seven ships" in page.text(".answer .sources blockquote")


def test_variables_are_asked_for_and_sent(runtime: Runtime, owner: Owner, visit: Visit) -> None:
    script = Script(["Hello"])
    app = make_chat_app(
        runtime, owner, model=script.choice, pre_prompt="Greet {{name}}.", user_input_form=FORM
    )
    page = visit(app.id)

    page.say("hi")
    page.until("!document.getElementById('notice').hidden")
    assert script.requests == []
    page.run("document.querySelector('#inputs input').value = 'Ada', true")
    page.say("hi")
    page.until("document.querySelector('.answer .tools')")

    assert "Greet Ada." in str(script.requests[0].messages)


def test_workflow_runs_from_its_form(
    client: FlaskClient, runtime: Runtime, owner: Owner, visit: Visit
) -> None:
    flow = DraftApp(client, runtime, owner, GRAPH)
    assert flow.call("POST", "workflows/publish").status_code == 200
    page = visit(flow.id)

    page.run("document.querySelector('#inputs input').value = 'given', true")
    page.click("#send")
    page.until("document.querySelector('.answer .body').textContent.trim() === 'given'")

    steps: Any = page.run(
        "[...document.querySelectorAll('.answer details li')].map((step) => step.textContent)"
    )
    assert len(steps) == 2
    assert all(step.startswith("✓") for step in steps)


def test_page_fits_a_phone(runtime: Runtime, owner: Owner, page: Page, visit: Visit) -> None:
    page.resize(360, 640)
    page = visit(make_chat_app(runtime, owner, model=Script(["word " * 50 + "x" * 500]).choice).id)

    page.say("q" * 400)
    page.until("document.querySelector('.answer .tools')")
    assert page.run("document.documentElement.scrollWidth") == 360
    assert page.run("document.getElementById('composer').getBoundingClientRect().bottom <= 640") is True
    hidden = "getComputedStyle(document.getElementById('sidebar')).visibility"
    assert page.run(hidden) == "hidden"
    page.click("#menu")
    assert page.run(hidden) == "visible"


def test_failure_of_a_model_is_told(runtime: Runtime, owner: Owner, visit: Visit) -> None:
    def fail() -> None:
        raise RuntimeError("broken")

    page = visit(make_chat_app(runtime, owner, model=Script([fail]).choice).id)

    page.say("hi")
    page.until("document.querySelector('.answer .error')")

    assert "broken" not in page.text(".answer")
    page.until("!document.getElementById('send').hidden")


def test_mailed_form_is_answered_by_its_link(
    client: FlaskClient, runtime: Runtime, owner: Owner, page: Page, address: str, letterbox: Letterbox
) -> None:
    guest, before = f"guest-{owner.email}", runtime.limits
    choice = {"type": "select", "output_variable_name": "sugar", "options": ["none", "much"]}
    graph = mailing(external(guest), fields=[NOTE, choice, FILE_FIELD])
    app = FlowApp(client, runtime, owner, "workflow", graph)
    object.__setattr__(runtime, "limits", replace(before, public_url=address))
    waiting = Waiting(app, inputs={"what": "**tea**"})
    link = letterbox.read(guest).text.split()[-1]
    object.__setattr__(runtime, "limits", before)

    page.open(link)
    assert page.text("#content") == "Is tea fine? …"
    assert page.text("#content strong") == "tea"
    page.run("document.querySelector('#inputs textarea').value = 'with milk', true")
    page.click("#actions .main")
    page.until("document.getElementById('notice').textContent")
    page.run("document.querySelector('#inputs select').value = 'none', true")
    page.run(
        """(() => { const sent = new DataTransfer(), pick = document.querySelector('#inputs [type=file]');
        sent.items.add(new File(['seven ships'], 'a.txt', {type: 'text/plain'})); pick.files = sent.files;
        return true; })()"""
    )
    page.click("#actions .main")
    page.until("document.getElementById('content').textContent.startsWith('Thank you')")
    page.open(link)

    assert "answered already" in page.text("#notice")
    assert waiting.read_on()[-1]["data"]["outputs"]["approved"] == "prepared **tea**: yes, with milk"
