"""Tools of a workspace over HTTP: what there is, and credentials of built-in ones."""

from collections.abc import Iterator
from threading import Barrier, Thread
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from api.core.model_runtime.types import CredentialField
from api.core.tools.provider import TOOL_PROVIDERS, ToolProvider, provide
from api.core.tools.tool import TextMessage, ToolContext, ToolFailed, ToolProviderSchema, ToolSchema, Words
from tests.conftest import BOTH, ONCE
from tests.factories import Owner, make_owner

W = "/console/api/workspaces/current"
BUILTIN = f"{W}/tool-provider/builtin"
SECRET = "planted-secret-key-0001"
ICON = '<svg xmlns="http://www.w3.org/2000/svg"/>'


@pytest.fixture(autouse=True)
def keyed() -> Iterator[None]:
    """A provider whose tool needs a key."""
    form = (
        CredentialField(variable="key", label="Key", label_zh="密钥", type="secret-input", is_required=True),
        CredentialField(variable="place", label="Place", label_zh="地址", is_address=True),
    )
    name = Words("Keyed", "钥")
    made: ToolProvider = provide(
        ToolProviderSchema(id="keyed", label=name, description=name, icon_svg=ICON, credential_fields=form)
    )

    @made.tool(ToolSchema(name="tell", label=name, description=name, llm_description="x"))
    def tell(_arguments: object, context: ToolContext) -> list[TextMessage]:
        return [TextMessage(f"key of {len(context.credentials['key'])}")]

    def check(context: ToolContext) -> None:
        if context.credentials["key"].startswith("bad"):
            raise ToolFailed("The key is refused.")

    made.check = check
    yield
    del TOOL_PROVIDERS["keyed"]


def post(client: FlaskClient, owner: Owner, path: str, body: object) -> Any:
    return client.post(f"{BUILTIN}/{path}", json=body, headers=owner.headers)


def get(client: FlaskClient, owner: Owner, path: str) -> Any:
    answer = client.get(path, headers=owner.headers)
    assert answer.status_code == 200, answer.data
    return answer.get_json()


def credentials(client: FlaskClient, owner: Owner) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = get(client, owner, f"{BUILTIN}/keyed/credentials")
    return found


@ONCE
def test_built_in_tools_are_listed(client: FlaskClient, owner: Owner) -> None:
    listed = get(client, owner, f"{W}/tools/builtin")
    time = next(each for each in listed if each["name"] == "time")
    current = next(tool for tool in time["tools"] if tool["name"] == "current_time")

    assert [parameter["name"] for parameter in current["parameters"]] == ["format", "timezone"]
    assert {parameter["form"] for parameter in current["parameters"]} == {"form"}
    assert (time["type"], time["is_team_authorization"], time["label"]["zh_Hans"]) == (
        "builtin",
        True,
        "时间",
    )
    bare = get(client, owner, f"{W}/tool-providers?type=builtin")
    assert [each["name"] for each in bare] == [each["name"] for each in listed]
    assert all(each["tools"] == [] for each in bare)
    for kind in ("workflow", "mcp", "api"):
        assert get(client, owner, f"{W}/tools/{kind}") == []
    assert client.get(f"{W}/tools/other", headers=owner.headers).status_code == 404
    assert client.get(f"{W}/tool-providers?type=x", headers=owner.headers).status_code == 400


@ONCE
def test_one_provider_is_shown_by_either_name(client: FlaskClient, owner: Owner) -> None:
    long = get(client, owner, f"{BUILTIN}/langgenius/time/time/info")
    assert long == get(client, owner, f"{BUILTIN}/time/info")
    assert get(client, owner, f"{BUILTIN}/time/tools") == long["tools"]
    icon = client.get(long["icon"])
    assert (icon.status_code, icon.content_type) == (200, "image/svg+xml; charset=utf-8")
    assert client.get(f"{BUILTIN}/none/info", headers=owner.headers).status_code == 404
    assert {"name": "search", "label": {"en_US": "Search", "zh_Hans": "搜索"}, "icon": ""} in get(
        client, owner, f"{W}/tool-labels"
    )


def test_credentials_are_kept_sealed_and_shown_masked(client: FlaskClient, owner: Owner) -> None:
    before = get(client, owner, f"{BUILTIN}/keyed/info")
    added = post(
        client, owner, "keyed/add", {"credentials": {"key": SECRET}, "name": "one", "type": "api-key"}
    )
    again = post(client, owner, "keyed/add", {"credentials": {"key": SECRET + "x"}})

    assert (before["is_team_authorization"], added.status_code, again.status_code) == (False, 200, 200)
    one, two = credentials(client, owner)
    assert (one["name"], one["is_default"], one["credentials"]) == (
        "one",
        True,
        {"key": "plante************01"},
    )
    assert (two["name"], two["is_default"]) == ("API KEY 1", False)
    shown = client.get(f"{BUILTIN}/keyed/credential/info", headers=owner.headers)
    assert SECRET.encode() not in shown.data
    assert shown.get_json()["supported_credential_types"] == ["api-key"]
    assert get(client, owner, f"{BUILTIN}/keyed/info")["team_credentials"] == one["credentials"]

    assert post(client, owner, "keyed/default-credential", {"id": two["id"]}).status_code == 200
    assert [each["is_default"] for each in credentials(client, owner)] == [False, True]
    assert post(client, owner, "keyed/delete", {"credential_id": two["id"]}).status_code == 200
    (left,) = credentials(client, owner)
    assert (left["id"], left["is_default"]) == (one["id"], True)


def test_masked_key_keeps_its_value_but_does_not_move(client: FlaskClient, owner: Owner) -> None:
    form = {"key": SECRET, "place": "https://a.example"}
    post(client, owner, "keyed/add", {"credentials": form})
    (one,) = credentials(client, owner)
    masked = one["credentials"]

    renamed = {"credential_id": one["id"], "credentials": masked, "name": "new"}
    assert post(client, owner, "keyed/update", renamed).status_code == 200
    moved = {"credential_id": one["id"], "credentials": {**masked, "place": "https://b.example"}}
    answer = post(client, owner, "keyed/update", moved)
    assert (answer.status_code, answer.get_json()["details"]["field"]) == (400, "credentials.key")
    (after,) = credentials(client, owner)
    assert (after["name"], after["credentials"]) == ("new", masked)
    only_name = {"credential_id": one["id"], "name": "newer"}
    assert post(client, owner, "keyed/update", only_name).status_code == 200
    assert credentials(client, owner)[0]["name"] == "newer"


@ONCE
@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("keyed/add", {"credentials": {"key": "bad key"}}, 400),
        ("keyed/add", {"credentials": {}}, 400),
        ("keyed/add", {"credentials": {"key": 7}}, 400),
        ("keyed/add", {"credentials": {"key": "k"}, "name": "x" * 31}, 400),
        ("keyed/add", {"credentials": {"key": "k"}, "type": "oauth2"}, 400),
        ("time/add", {"credentials": {"key": "k"}}, 400),
        ("none/add", {"credentials": {}}, 404),
        ("keyed/update", {"credential_id": "c0ffee00-0000-4000-8000-000000000000", "name": "x"}, 404),
        ("keyed/update", {"credential_id": "x", "name": "x"}, 400),
        ("keyed/delete", {"credential_id": "c0ffee00-0000-4000-8000-000000000000"}, 404),
        ("keyed/default-credential", {"id": "c0ffee00-0000-4000-8000-000000000000"}, 404),
    ],
)
def test_credentials_that_will_not_do_are_refused(
    client: FlaskClient, owner: Owner, path: str, body: object, status: int
) -> None:
    assert post(client, owner, path, body).status_code == status
    assert credentials(client, owner) == []


def test_name_is_had_once_and_strangers_see_nothing(house: Flask, client: FlaskClient, owner: Owner) -> None:
    body = {"credentials": {"key": SECRET}, "name": "one"}
    assert post(client, owner, "keyed/add", body).status_code == 200
    taken = post(client, owner, "keyed/add", body)
    assert (taken.status_code, taken.get_json()["details"]["type"]) == (400, "duplicate")

    stranger = make_owner(house.extensions["runtime"])
    (one,) = credentials(client, owner)
    assert credentials(client, stranger) == []
    assert post(client, stranger, "keyed/delete", {"credential_id": one["id"]}).status_code == 404
    assert (
        post(client, stranger, "keyed/update", {"credential_id": one["id"], "name": "x"}).status_code == 404
    )
    assert post(client, stranger, "keyed/default-credential", {"id": one["id"]}).status_code == 404


@BOTH
def test_of_credentials_made_at_once_one_is_the_default(
    house: Flask, client: FlaskClient, owner: Owner
) -> None:
    barrier = Barrier(4)

    def meet(_context: ToolContext) -> None:
        barrier.wait(30.0)

    TOOL_PROVIDERS["keyed"].check = meet
    sent = {"credentials": {"key": SECRET}}
    answers: list[int] = []

    def at_once(path: str, bodies: list[Any]) -> None:
        def add(body: Any) -> None:
            answers.append(post(house.test_client(), owner, f"keyed/{path}", body).status_code)

        calls = [Thread(target=add, args=(body,)) for body in bodies]
        for each in calls:
            each.start()
        for each in calls:
            each.join(30.0)

    at_once("add", [sent] * 4)
    kept = credentials(client, owner)
    assert (answers, len(kept)) == ([200] * 4, 4)
    assert sorted(each["name"] for each in kept) == [f"API KEY {n}" for n in range(1, 5)]
    assert [each["is_default"] for each in kept].count(True) == 1
    at_once("default-credential", [{"id": each["id"]} for each in kept])
    assert [each["is_default"] for each in credentials(client, owner)].count(True) == 1
    while kept:
        (default,) = [each for each in kept if each["is_default"]]
        assert post(client, owner, "keyed/delete", {"credential_id": default["id"]}).status_code == 200
        kept = credentials(client, owner)
    assert answers == [200] * 8


@ONCE
def test_form_is_shown(client: FlaskClient, owner: Owner) -> None:
    form = get(client, owner, f"{BUILTIN}/searxng/credential/schema/api-key")
    assert [(field["name"], field["type"], field["required"]) for field in form] == [
        ("searxng_base_url", "text-input", True)
    ]
    assert client.get(f"{BUILTIN}/searxng/credential/schema/oauth2", headers=owner.headers).status_code == 404
