"""A team's way with the program as it is run: from the printed password to a restored installation."""

import hashlib
import json
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.commands import Commands
from tests.factories import PASSWORD
from tests.live.conftest import PATIENT, Serve, Served, end
from tests.live.test_streams import delta
from tests.servers import Reply, ScriptedServer, Seen
from tests.waiting import wait_until

pytestmark = PATIENT

C = "/console/api"
MODEL = "gpt-4o-mini"
TOKENS = {"prompt_tokens": 1000, "completion_tokens": 100}
PRICE = Decimal("0.00021")
"""Of one call: 0.15 a million tokens that are asked, 0.60 a million that are said."""
OWNER = "owner@example.com"
EDITOR = "bo@example.com"
NOTES = "The harbour opens at six.\n\nThe lighthouse keeper is called Mira.\n\nBread is baked on Mondays."
RULE = {
    "mode": "custom",
    "rules": {"pre_processing_rules": [], "segmentation": {"separator": "\n\n", "max_tokens": 100}},
}
QUESTIONS = ("Who keeps the lighthouse?", "When does the harbour open?")


def reply(seen: Seen) -> Reply:
    """Be a model that calls its tool once, and whose answer tells whether it was asked the very same."""
    if seen.method == "GET":
        return Reply.of_json({"object": "list", "data": []})
    if seen.json.get("tools") and seen.json["messages"][-1]["role"] == "user":
        call = {"name": "redact", "arguments": json.dumps({"text": "Write to ann@example.com."})}
        calls = [{"index": 0, "id": "c1", "type": "function", "function": call}]
        last = {
            "choices": [{"index": 0, "delta": {"tool_calls": calls}, "finish_reason": "tool_calls"}],
            "usage": TOKENS,
        }
        return Reply.of_events(last)
    asked = hashlib.sha256(json.dumps(seen.json["messages"]).encode()).hexdigest()
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": TOKENS}
    return Reply.of_events(delta(f"I was asked {asked}."), last)


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody who is signed in to the console of a program."""

    served: Served
    token: str

    def call(self, method: str, path: str, sent: object = None, *, status: int = 200) -> Any:
        """Return what a route of the console answers."""
        answered, answer = self.served.call(method, f"{C}{path}", sent, self.token)
        assert answered == status, (method, path, answer)
        return answer


def sign_in(served: Served, email: str, password: str) -> Member:
    """Return a member, after a login."""
    status, answer = served.call("POST", f"{C}/login", {"email": email, "password": password})
    assert (status, answer["result"]) == (200, "success"), answer
    return Member(served, answer["data"]["access_token"])


def printed_password(served: Served) -> str:
    """Return the password a first start prints."""
    (line,) = [line for line in served.process.said().splitlines() if "Password (shown once)" in line]
    return line.split()[-1]


def invite_editor(owner: Member) -> Member:
    """Have an editor invited by a link, who takes it up."""
    sent = {"emails": [EDITOR], "role": "editor"}
    (invited,) = owner.call("POST", "/workspaces/current/members/invite-email", sent, status=201)[
        "invitation_results"
    ]
    (token,) = parse_qs(urlsplit(invited["url"]).query)["token"]
    newcomer = {"name": "Bo", "interface_language": "en-US", "timezone": "UTC", "password": PASSWORD}
    status, answer = owner.served.call("POST", f"{C}/activate", {"token": token, **newcomer}, "")
    assert status == 200, answer
    editor = Member(owner.served, answer["data"]["access_token"])
    editor.call("POST", "/workspaces/current/members/invite-email", sent, status=403)
    roles = {
        one["email"]: one["role"] for one in owner.call("GET", "/workspaces/current/members")["accounts"]
    }
    assert roles == {OWNER: "owner", EDITOR: "editor"}
    return editor


def make_dataset(owner: Member, editor: Member) -> str:
    """Have the editor make a dataset, and a program of the team's fill it; return its id."""
    made = editor.call("POST", "/datasets", {"name": "Notes", "permission": "all_team_members"}, status=201)
    editor.call("POST", "/datasets/api-keys", status=403)
    key = owner.call("POST", "/datasets/api-keys")["token"]
    text = {"name": "notes", "text": NOTES, "indexing_technique": "economy", "process_rule": RULE}
    path = f"/v1/datasets/{made['id']}/document/create-by-text"
    status, sent = editor.served.call("POST", path, text, key)
    assert status == 200, sent
    wait_until_indexed(editor, made["id"])
    return str(made["id"])


def wait_until_indexed(member: Member, dataset_id: str) -> None:
    """Return when all documents of a dataset can be found: then an answer is the same from then on."""

    def is_indexed() -> bool:
        told = member.call("GET", f"/datasets/{dataset_id}/indexing-status")["data"]
        return bool(told) and all(one["indexing_status"] == "completed" for one in told)

    wait_until(is_indexed, 60)


def make_app(editor: Member, dataset_id: str) -> str:
    """Make an app that answers from a dataset; return a key to it."""
    app = editor.call("POST", "/apps", {"name": "Harbour", "mode": "chat"}, status=201)
    config = {
        "model": {"provider": "openai", "name": MODEL, "mode": "chat", "completion_params": {}},
        "pre_prompt": "Answer briefly.",
        "dataset_configs": {
            "retrieval_model": "multiple",
            "top_k": 2,
            "datasets": {"datasets": [{"dataset": {"enabled": True, "id": dataset_id}}]},
        },
    }
    editor.call("POST", f"/apps/{app['id']}/model-config", config)
    return str(editor.call("POST", f"/apps/{app['id']}/api-keys", status=201)["token"])


def make_agent(owner: Member, editor: Member) -> str:
    """Have the owner install a plugin, and the editor make an agent that has its tool; return a key to it."""
    listed = owner.call("GET", "/workspaces/current/plugins?search=redact")["plugins"]
    (wanted,) = [one for one in listed if one["plugin_id"] == "slipway/redact"]
    sent = {"plugin_unique_identifier": wanted["plugin_unique_identifier"]}
    editor.call("POST", "/workspaces/current/plugins/install", sent, status=403)
    owner.call("POST", "/workspaces/current/plugins/install", sent)
    app = editor.call("POST", "/apps", {"name": "Clerk", "mode": "agent-chat"}, status=201)
    tool = {
        "enabled": True,
        "provider_type": "builtin",
        "provider_id": "slipway/redact/redact",
        "tool_name": "redact",
    }
    config = {
        "model": {"provider": "openai", "name": MODEL, "mode": "chat", "completion_params": {}},
        "agent_mode": {"enabled": True, "strategy": "function_call", "tools": [tool]},
    }
    editor.call("POST", f"/apps/{app['id']}/model-config", config)
    return str(editor.call("POST", f"/apps/{app['id']}/api-keys", status=201)["token"])


def work(served: Served, key: str) -> str:
    """Return what an agent's tool gave, after its answer."""
    sent = {"query": "Redact it.", "user": "ann", "response_mode": "blocking", "auto_generate_name": False}
    status, answer = served.call("POST", "/v1/chat-messages", sent, key)
    assert status == 200, answer
    return str(answer["agent_thoughts"][0]["observation"])


def ask(served: Served, key: str, question: str, user: str) -> dict[str, Any]:
    """Return what an app answers, and the passages it answers from."""
    sent = {"query": question, "user": user, "response_mode": "blocking", "auto_generate_name": False}
    status, answer = served.call("POST", "/api/chat-messages", sent, key)
    assert status == 200, answer
    cited = [one["content"] for one in answer["metadata"]["retriever_resources"]]
    assert cited
    return {"answer": answer["answer"], "cited": cited}


def ledger(owner: Member) -> Any:
    """Return what the workspace's models were used for."""
    return owner.call("GET", "/workspaces/current/usage")["data"]


def run(commands: Commands, data_dir: Path, *arguments: str) -> None:
    """Run a command of the program as its operator."""
    ended = commands.run(*arguments, DATA_DIR=str(data_dir))
    assert ended.returncode == 0, ended.stderr


def test_team_is_invited_works_sees_its_costs_and_moves_to_another_installation(
    serve: Serve, commands: Commands, tmp_path: Path
) -> None:
    with ScriptedServer(reply) as models:
        first = serve("--demo", data_dir=tmp_path / "old", OWNER_EMAIL=OWNER)
        password = printed_password(first)
        owner = sign_in(first, OWNER, password)
        credentials = {"openai_api_key": "sk-test", "openai_api_base": models.url}
        path = "/workspaces/current/model-providers/openai/credentials"
        owner.call("POST", path, {"credentials": credentials}, status=201)
        editor = invite_editor(owner)
        key = make_app(editor, make_dataset(owner, editor))
        (documentation,) = owner.call("GET", "/datasets?keyword=documentation")["data"]
        wait_until_indexed(owner, documentation["id"])
        demo = (tmp_path / "old/demo.env").read_text().split()[0].partition("=")[2]

        answers = [ask(first, key, question, "ann") for question in QUESTIONS]
        quoted = ask(first, demo, "What is Slipway?", "ann")
        agent = make_agent(owner, editor)
        redacted = work(first, agent)
        assert "Write to [EMAIL_1]." in redacted

        editor.call("GET", "/workspaces/current/usage", status=403)
        used = ledger(owner)
        paid = [row for row in used if row["model"] == MODEL]
        assert [(row["calls"], row["total_tokens"]) for row in paid] == [(2, 2 * sum(TOKENS.values()))] * 2
        assert {(Decimal(row["total_price"]), row["currency"]) for row in paid} == {(2 * PRICE, "USD")}
        assert None not in {row["key_id"] for row in paid}

        run(commands, tmp_path / "old", "backup", str(tmp_path / "archive"))
        end(first)
        run(commands, tmp_path / "new", "restore", str(tmp_path / "archive"))
        second = serve(data_dir=tmp_path / "new")
        owner, editor = sign_in(second, OWNER, password), sign_in(second, EDITOR, PASSWORD)

        assert ledger(owner) == used
        assert [ask(second, key, question, "ann") for question in QUESTIONS] == answers
        assert ask(second, demo, "What is Slipway?", "ann") == quoted
        assert work(second, agent) == redacted
        assert sorted(one["calls"] for one in ledger(owner) if one["model"] == MODEL) == [4, 4]
