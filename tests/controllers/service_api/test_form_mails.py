"""Forms by mail: who gets one, what its link opens, and how an answer by it takes the run on."""

import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, update

from api.models.account import Account
from api.models.app import EndUser
from api.models.workflow import HumanInputForm
from api.principal import Role
from api.runtime import Runtime
from api.services import workspace_control
from tests.conftest import ONCE
from tests.controllers.console.flow_calls import DraftApp
from tests.controllers.service_api.test_human_input import ASK, NOTE, Waiting, expire
from tests.controllers.service_api.test_workflows import FlowApp
from tests.factories import Owner, make_member, make_owner
from tests.letterbox import Letterbox
from tests.waiting import wait_until

PUBLIC = "https://llm.example.com/x"
FILE_FIELD = {"type": "file", "output_variable_name": "paper", "required": False}


@pytest.fixture(autouse=True)
def public_url(runtime: Runtime) -> Iterator[None]:
    """Let the server know where it is reached."""
    before = runtime.limits
    object.__setattr__(runtime, "limits", replace(before, public_url=PUBLIC))
    yield
    object.__setattr__(runtime, "limits", before)


def mailing(
    *items: Any, subject: str = "", body: str = "", fields: Any = (NOTE, FILE_FIELD), **config: Any
) -> dict[str, Any]:
    """Return a graph whose form is mailed."""
    recipients = {"whole_workspace": config.pop("whole_workspace", False), "items": list(items)}
    told = {"recipients": recipients, "subject": subject, "body": body, **config}
    ways = [{"id": "m", "type": "email", "config": told}]
    drawn = {"delivery_methods": ways, "inputs": list(fields)}
    nodes = [
        {**node, "data": {**node["data"], **drawn}} if node["id"] == "h" else node for node in ASK["nodes"]
    ]
    return {**ASK, "nodes": nodes}


def member(account_id: str) -> dict[str, str]:
    return {"type": "member", "user_id": account_id}


def external(email: str) -> dict[str, str]:
    return {"type": "external", "email": email}


class Link:
    """The link of a mail."""

    def __init__(self, client: FlaskClient, letterbox: Letterbox, email: str) -> None:
        self.client = client
        self.mail = letterbox.read(email)
        address = next(word for word in self.mail.text.split() if word.startswith(PUBLIC))
        self.to = parse_qs(urlsplit(address).query)["to"][0]
        self.path = urlsplit(address).path.removeprefix("/x")

    def get(self, name: str = "", to: str | None = None) -> Any:
        query = {"to": to or self.to}
        return self.client.get(f"{self.path}{name}", query_string=query, buffered=True)

    def answer(self, action: str = "yes", **inputs: Any) -> Any:
        sent = {"action": action, "inputs": inputs}
        return self.client.post(f"{self.path}/answer", query_string={"to": self.to}, json=sent)

    def upload(self, content: bytes) -> Any:
        file = {"file": (io.BytesIO(content), "a.txt")}
        return self.client.post(f"{self.path}/files", query_string={"to": self.to}, data=file)


def told(error: Any) -> tuple[int, str]:
    return error.status_code, error.get_json()["code"]


def test_form_is_mailed_once_to_each_and_answered_by_the_link(
    client: FlaskClient, runtime: Runtime, owner: Owner, letterbox: Letterbox
) -> None:
    editor, banned, foreign = (
        make_member(runtime, owner, Role.EDITOR),
        make_member(runtime, owner, Role.NORMAL),
        make_owner(runtime),
    )
    with runtime.transaction() as session:
        session.execute(update(Account).where(Account.id == banned.account_id).values(status="banned"))
    guest = f"guest-{owner.email}"
    items = [member(each.account_id) for each in (editor, banned, foreign)]
    items += [member("no-id"), external(f" {guest.upper()} "), external(guest), external(editor.email)]
    graph = mailing(*items, subject="About {{#s.what#}}\nBcc: x", body="Look at {{#url#}} please")
    waiting = Waiting(FlowApp(client, runtime, owner, "workflow", graph), inputs={"what": "tea"})
    link = Link(client, letterbox, guest)
    letterbox.read(editor.email)

    assert sorted(mail.to for mail in letterbox.mails) == sorted([editor.email, guest])
    assert link.mail.subject == "About tea Bcc: x"
    assert link.mail.text.startswith(f"Look at {PUBLIC}/form/")
    assert link.get().mimetype == "text/html"
    assert link.get("/asked").get_json()["form_content"] == "Is tea fine? {{#$output.note#}}"
    kept = link.upload(b"seven ships").get_json()
    paper = {"type": "document", "transfer_method": "local_file", "upload_file_id": kept["id"]}
    refused = link.answer("perhaps")
    assert (refused.status_code, refused.get_json()["details"]["field"]) == (400, "action")
    answered = link.answer(note="with milk", paper=paper)
    assert (answered.status_code, answered.get_json()) == (200, {})
    assert waiting.read_on()[-1]["data"]["outputs"]["approved"] == "prepared tea: yes, with milk"
    for late in (link.answer(), link.get("/asked"), Link(client, letterbox, editor.email).answer("no")):
        assert told(late) == (412, "human_input_form_submitted")
    with runtime.reading() as session:
        who = session.scalar(
            select(EndUser.session_id)
            .join(HumanInputForm, HumanInputForm.answered_by == EndUser.id)
            .where(HumanInputForm.workflow_run_id == waiting.run_id)
        )
    assert who == guest


def test_whole_workspace_gets_the_words_of_the_form_where_there_are_no_others(
    client: FlaskClient, runtime: Runtime, owner: Owner, letterbox: Letterbox
) -> None:
    other = make_member(runtime, owner, Role.NORMAL)
    Waiting(
        FlowApp(client, runtime, owner, "workflow", mailing(whole_workspace=True)), inputs={"what": "tea"}
    )

    first, second = (letterbox.read(each.email) for each in (owner, other))

    assert first.subject == "h: an answer is needed"
    assert first.text.startswith("Is tea fine?")
    assert first.text != second.text  # each has a link of their own
    assert len(letterbox.mails) == 2


@ONCE
def test_subject_is_short_however_long_what_it_shows_is(
    client: FlaskClient, runtime: Runtime, owner: Owner, letterbox: Letterbox
) -> None:
    guest = f"guest-{owner.email}"
    graph = mailing(external(guest), subject="About {{#s.what#}}")
    Waiting(FlowApp(client, runtime, owner, "workflow", graph), inputs={"what": "tea " * 10_000})

    subject = letterbox.read(guest).subject

    assert subject.startswith("About tea tea")
    assert len(subject) <= 200


def test_link_opens_its_form_for_its_address_alone_while_the_form_waits(
    client: FlaskClient, runtime: Runtime, owner: Owner, letterbox: Letterbox
) -> None:
    guest = f"guest-{owner.email}"
    app = FlowApp(client, runtime, owner, "workflow", mailing(external(guest)))
    waiting = Waiting(app, inputs={"what": "tea"})
    link = Link(client, letterbox, guest)

    assert told(link.get("/asked", to=owner.email)) == (404, "not_found")
    assert told(client.get(f"/form/{waiting.token()}/asked?to={guest}")) == (404, "not_found")
    assert told(client.get(f"{link.path}/asked")) == (400, "invalid_param")
    with runtime.transaction() as session:
        workspace_control.suspend(session, owner.tenant_id)
    assert told(link.answer()) == (404, "not_found")
    with runtime.transaction() as session:
        workspace_control.resume(session, owner.tenant_id)
    expire(runtime, waiting.run_id)
    assert told(link.answer()) == (412, "human_input_form_expired")


@ONCE
def test_file_is_taken_where_the_form_asks_for_one_alone(
    client: FlaskClient, runtime: Runtime, owner: Owner, letterbox: Letterbox
) -> None:
    guest = f"guest-{owner.email}"
    graph = mailing(external(guest), fields=[NOTE])
    Waiting(FlowApp(client, runtime, owner, "workflow", graph), inputs={"what": "tea"})

    assert told(Link(client, letterbox, guest).upload(b"x")) == (400, "invalid_param")


@ONCE
def test_test_of_a_draft_mails_its_tester_alone_where_it_is_drawn_so(
    client: FlaskClient, runtime: Runtime, owner: Owner, letterbox: Letterbox
) -> None:
    editor = make_member(runtime, owner, Role.EDITOR)
    graph = mailing(external(f"guest-{owner.email}"), whole_workspace=True, debug_mode=True)

    DraftApp(client, runtime, owner, graph).run(caller=editor, inputs={"what": "tea"})

    letterbox.read(editor.email)
    assert [mail.to for mail in letterbox.mails] == [editor.email]


@ONCE
def test_form_without_mail_waits_and_is_mailed_to_nobody(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    graph = mailing(external(f"guest-{owner.email}"), whole_workspace=True)
    waiting = Waiting(FlowApp(client, runtime, owner, "workflow", graph), inputs={"what": "tea"})

    assert waiting.answer().status_code == 200
    wait_until(lambda: waiting.detail()["status"] == "succeeded")


@ONCE
@pytest.mark.parametrize(
    "items",
    [[external("a,b@example.com")], [{"type": "group"}], [{"type": "member"}], [external("a@b.c")] * 101],
)
def test_bad_recipients_are_not_published(
    client: FlaskClient, runtime: Runtime, owner: Owner, items: list[Any]
) -> None:
    app = DraftApp(client, runtime, owner, mailing(*items))

    refused = app.call("POST", "workflows/publish")

    assert told(refused) == (400, "invalid_param")
    assert "delivery_methods" in refused.get_json()["message"]
