"""Signed file addresses: good for one file, one disposition and a few minutes, without credentials."""

from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient

from api.runtime import Runtime
from api.services import files
from tests import uploads
from tests.factories import ChatApp
from tests.uploads import fetch, query_of, uploaded

NOBODY = "11111111-1111-4111-8111-111111111111"


def sign(runtime: Runtime, file_id: str, *, is_attachment: bool = False) -> str:
    """Return a fresh signed path of a file."""
    return files.sign_url(runtime, file_id, base_url="", is_attachment=is_attachment)


def test_signed_address_gives_the_file_to_anyone(client: FlaskClient, chat_app: ChatApp) -> None:
    url = uploaded(client, chat_app)["source_url"]

    answer = fetch(client, url)

    assert (answer.status_code, answer.data) == (200, uploads.PNG)
    assert url.startswith("http://localhost/files/")


def test_signed_address_says_whether_the_file_is_saved(
    client: FlaskClient, runtime: Runtime, chat_app: ChatApp
) -> None:
    file_id = uploaded(client, chat_app)["id"]

    shown = fetch(client, sign(runtime, file_id))
    saved = fetch(client, sign(runtime, file_id, is_attachment=True))

    assert shown.headers["Content-Disposition"].startswith("inline;")
    assert saved.headers["Content-Disposition"].startswith("attachment;")
    assert saved.data == uploads.PNG


@pytest.mark.parametrize("field", ["timestamp", "nonce", "sign"])
@pytest.mark.parametrize("forged", ["", "0", "x" * 200, "\u4f60", "flipped"])
def test_signed_address_with_a_changed_part_is_403(
    client: FlaskClient, runtime: Runtime, chat_app: ChatApp, field: str, forged: str
) -> None:
    url = sign(runtime, uploaded(client, chat_app)["id"])
    value = query_of(url)[field]
    flipped = ("1" if value[0] != "1" else "2") + value[1:]

    path, query = url.split("?")
    asked = {**query_of(f"?{query}"), field: flipped if forged == "flipped" else forged}
    answer = client.get(path, query_string=asked)

    assert answer.status_code == 403
    assert answer.json is not None
    assert answer.json["code"] == "file_access_denied"


def test_signed_address_without_a_signature_is_403(client: FlaskClient, chat_app: ChatApp) -> None:
    file_id = uploaded(client, chat_app)["id"]

    assert client.get(f"/files/{file_id}/file-preview").status_code == 403


@pytest.mark.parametrize("is_attachment", [False, True])
def test_signature_of_one_disposition_is_not_good_for_the_other(
    client: FlaskClient, runtime: Runtime, chat_app: ChatApp, is_attachment: bool
) -> None:
    url = sign(runtime, uploaded(client, chat_app)["id"], is_attachment=is_attachment)
    other = url.removesuffix("&as_attachment=true") if is_attachment else f"{url}&as_attachment=true"

    assert client.get(other).status_code == 403


def test_signature_of_one_file_is_not_good_for_another(
    client: FlaskClient, runtime: Runtime, chat_app: ChatApp
) -> None:
    first, second = (uploaded(client, chat_app)["id"] for _ in range(2))

    assert client.get(sign(runtime, first).replace(first, second)).status_code == 403


def test_signed_address_expires(
    client: FlaskClient, house: Flask, runtime: Runtime, chat_app: ChatApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = sign(runtime, uploaded(client, chat_app)["id"])
    over = replace(runtime, limits=replace(runtime.limits, files_url_ttl_s=-1))
    monkeypatch.setitem(house.extensions, "runtime", over)

    answer = client.get(url)

    assert answer.status_code == 403


def test_signed_address_of_a_file_that_is_gone_is_404(client: FlaskClient, runtime: Runtime) -> None:
    answer = client.get(sign(runtime, NOBODY))

    assert answer.status_code == 404
    assert answer.json is not None
    assert answer.json["code"] == "file_not_found"


def test_files_of_a_workspace_cannot_be_listed_or_written(client: FlaskClient) -> None:
    assert client.get("/files/").status_code == 404
    assert client.post(f"/files/{NOBODY}/file-preview").status_code == 405
