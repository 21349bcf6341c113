"""The page of an app as a server gives it: open or closed, guarded, and made of its own parts alone."""

import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from api.controllers.web import pages
from api.runtime import Runtime
from tests.conftest import make_house, make_settings, stop_house
from tests.controllers.guest_calls import code_of
from tests.factories import Owner, make_app, make_owner

PARTS = sorted(path for path in pages.STATIC.iterdir())


def test_page_is_open_for_the_code_of_an_open_site_alone(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    app_id = make_app(runtime, owner)
    code = code_of(client, owner, app_id)
    path = f"/console/api/apps/{app_id}/site-enable"

    shown, unknown = client.get(f"/chat/{code}"), client.get("/chat/0123456789abcdef")
    client.post(path, json={"enable_site": False}, headers=owner.headers)
    closed = client.get(f"/chat/{code}")

    assert [answer.status_code for answer in (shown, unknown, closed)] == [200, 404, 404]
    assert {answer.mimetype for answer in (shown, unknown, closed)} == {"text/html"}
    assert "There is no app here" in closed.text == unknown.text


def test_page_and_its_parts_are_guarded(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    code = code_of(client, owner, make_app(runtime, owner))

    for path in (f"/chat/{code}", "/chat/assets/app.js", "/chat/0", "/activate?token=x", "/form/x?to=a@b"):
        answer = client.get(path)
        policy = dict(part.split(" ", 1) for part in answer.headers["Content-Security-Policy"].split("; "))
        assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert policy["img-src"] == "'self' data:"
        assert "unsafe" not in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        answer.close()


def test_parts_are_those_there_are(client: FlaskClient) -> None:
    assert {path.name for path in PARTS if path.suffix != ".html"} == pages.ASSETS
    for name in pages.ASSETS:
        with client.get(f"/chat/assets/{name}") as answer:
            kind = "text/css" if name.endswith(".css") else "text/javascript"
            assert (answer.status_code, answer.mimetype) == (200, kind)
    for name in ("index.html", "nothing.js", "..%2fpages.py"):
        assert client.get(f"/chat/assets/{name}").status_code == 404


def test_part_that_did_not_change_is_not_sent_again(client: FlaskClient) -> None:
    with client.get("/chat/assets/app.js") as first:
        tag = first.headers["ETag"]

    with client.get("/chat/assets/app.js", headers={"If-None-Match": tag}) as again:
        assert (again.status_code, again.data) == (304, b"")


@pytest.mark.parametrize("part", PARTS, ids=lambda path: path.name)
def test_part_loads_nothing_from_elsewhere_and_makes_no_markup_of_text(part: Path) -> None:
    text = part.read_text(encoding="utf-8")

    assert not re.search(r"(?:src|href|url|import|from)\s*[=(\s]\s*[\"']?(?:https?:)?//", text)
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", text
    )
    assert not re.search(
        r"\sstyle=|\son\w+=\"|<script(?! type=\"module\" src=\"(?:(?:\.\./)?chat/)?assets/)", text
    )


def test_program_of_the_page_shows_images_from_where_its_policy_allows_them() -> None:
    program = (pages.STATIC / "markdown.js").read_text(encoding="utf-8")

    assert """document.querySelector('meta[name="files"]').content""" in program
    assert pages.NO_FILES in (pages.STATIC / "index.html").read_text(encoding="utf-8")
    for part in PARTS:
        assert "blob:" not in (text := part.read_text(encoding="utf-8")), part
        assert "createObjectURL" not in text, part


def test_images_may_come_from_the_public_address(tmp_path: Path) -> None:
    app = make_house(make_settings(tmp_path, public_url="https://llm.example.com/x"))
    runtime = app.extensions["runtime"]
    owner, client = make_owner(runtime), app.test_client()
    code = code_of(client, owner, make_app(runtime, owner))

    with client.get(f"/chat/{code}") as answer:
        policy, text = answer.headers["Content-Security-Policy"], answer.get_data(as_text=True)
    stop_house(app)

    assert "img-src 'self' data: https://llm.example.com/x/files/;" in policy
    assert '<meta name="files" content="https://llm.example.com/x/files/">' in text
