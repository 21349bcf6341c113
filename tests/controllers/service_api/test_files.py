"""Files through the public API: what is taken, what is refused, who may fetch, what a download carries."""

import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from api.models.file import UploadFile
from api.runtime import Runtime
from tests import uploads
from tests.conftest import BOTH, ONCE
from tests.factories import ChatApp, make_chat_app, make_key, make_owner
from tests.uploads import fetch, file_stream, form, part, send_form, send_stream, upload, uploaded

MB = 1024 * 1024
MOUNTS = ("/api", "/v1")
NOBODY = "11111111-1111-4111-8111-111111111111"
USER = part("user", b"ada")


def file_part(content: bytes = uploads.PNG, filename: str = "a.png", mime: str | None = "image/png") -> bytes:
    return part("file", content, filename=filename, mime=mime)


@pytest.mark.parametrize("mount", MOUNTS)
def test_upload_answers_with_the_stored_file(client: FlaskClient, chat_app: ChatApp, mount: str) -> None:
    answer = send_form(client, chat_app, form(USER, file_part()), mount)

    assert answer.status_code == 201
    body: Any = answer.json
    assert body | {"id": 0, "created_by": 0, "created_at": 0, "source_url": 0} == {
        "id": 0,
        "name": "a.png",
        "size": len(uploads.PNG),
        "extension": "png",
        "mime_type": "image/png",
        "created_by": 0,
        "created_at": 0,
        "preview_url": None,
        "source_url": 0,
        "original_url": None,
        "user_id": None,
        "tenant_id": chat_app.owner.tenant_id,
        "conversation_id": None,
        "file_key": None,
        "reference": None,
    }
    assert fetch(client, body["source_url"]).data == uploads.PNG


@pytest.mark.parametrize(
    ("name", "content", "mime_type"),
    [
        ("a.jpg", uploads.JPEG, "image/jpeg"),
        ("a.JPEG", uploads.JPEG, "image/jpeg"),
        ("a.gif", uploads.GIF, "image/gif"),
        ("a.webp", uploads.WEBP, "image/webp"),
        ("a.svg", uploads.SVG, "image/svg+xml"),
        ("a.pdf", uploads.PDF, "application/pdf"),
        ("a.txt", b"plain", "text/plain"),
        ("a.txt", "\u4f60\u597d".encode("gbk"), "text/plain"),
        ("a.csv", "a,b".encode("utf-16"), "text/csv"),
        ("a.md", b"# Title", "text/markdown"),
        ("a.html", uploads.HTML, "text/html"),
        ("a.xml", uploads.SVG, "application/xml"),
        ("a.json", b"{}", "application/json"),
        ("a.py", b"print()", "text/plain"),
        ("a.js", b"alert(1)", "text/javascript"),
        ("a.sh", b"#!/bin/sh\n", "text/plain"),
        ("a.doc", uploads.OLE, "application/msword"),
        ("b.doc", uploads.ZIP, "application/msword"),
        ("c.doc", b"{\\rtf1 x}", "application/msword"),
        ("a.xls", uploads.ZIP, "application/vnd.ms-excel"),
        ("a.docx", uploads.ZIP, "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("a.xlsx", uploads.ZIP, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        ("a.mp3", uploads.MP3, "audio/mpeg"),
        ("a.wav", uploads.WAV, "audio/wav"),
        ("a.mp4", uploads.MP4, "video/mp4"),
    ],
)
def test_upload_takes_each_kind_under_our_own_media_type(
    client: FlaskClient, chat_app: ChatApp, name: str, content: bytes, mime_type: str
) -> None:
    answer = send_form(client, chat_app, form(USER, file_part(content, name, "x/whatever")))

    assert answer.status_code == 201, answer.text
    assert answer.json is not None
    assert answer.json["mime_type"] == mime_type


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.png", uploads.HTML),
        ("a.png", uploads.SVG),
        ("a.png", uploads.JPEG),
        ("a.jpg", uploads.PNG),
        ("a.txt", uploads.PDF),
        ("a.txt", uploads.PNG),
        ("a.csv", uploads.ZIP),
        ("a.js", b"MZ\x90\x00\x03"),
        ("a.pdf", uploads.HTML),
        ("a.svg", b"no markup"),
        ("a.docx", uploads.OLE),
        ("a.doc", uploads.PDF),
        ("a.xls", uploads.HTML),
        ("a.mp3", uploads.HTML),
        ("a.mp4", uploads.MP3),
        ("a.zip", uploads.ZIP),
        ("noextension", b"text"),
        (".png", uploads.PNG),
    ],
)
def test_upload_of_other_content_than_its_extension_says_is_415(
    client: FlaskClient, chat_app: ChatApp, name: str, content: bytes
) -> None:
    answer = send_form(client, chat_app, form(USER, file_part(content, name, "image/png")))

    assert answer.status_code == 415
    assert answer.json is not None
    assert answer.json["code"] == "unsupported_file_type"


@ONCE
@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (form(USER), 400, "no_file_uploaded"),
        (form(USER, part("other", b"x", filename="a.txt", mime="text/plain")), 400, "no_file_uploaded"),
        (form(USER, part("file", b"not a file")), 400, "no_file_uploaded"),
        (form(USER, file_part(), file_part()), 400, "too_many_files"),
        (form(USER, file_part(), part("b", b"x", filename="b.txt", mime="a/b")), 400, "too_many_files"),
        (form(USER, file_part(mime=None)), 415, "unsupported_file_type"),
        (form(USER, file_part(filename="")), 400, "filename_not_exists_error"),
        (form(USER, file_part(filename=" . ")), 400, "filename_not_exists_error"),
        (form(USER, file_part(filename="../../x.png")), 400, "invalid_param"),
        (form(USER, file_part(filename="C:x.png")), 400, "invalid_param"),
        (form(USER, file_part(filename="a|b.png")), 400, "invalid_param"),
        (form(USER, file_part(filename="setup.exe")), 400, "file_extension_blocked"),
        (form(USER, file_part(filename="setup.EXE. ")), 400, "file_extension_blocked"),
        (form(USER, file_part(b"", "a.txt")), 400, "invalid_param"),
        (form(part("user", b""), file_part()), 400, "invalid_param"),
        (form(part("user", b"a\x00b"), file_part()), 400, "invalid_param"),
        (form(part("user", b"\xff"), file_part()), 400, "invalid_param"),
        (form(USER, file_part())[:-20], 400, "invalid_param"),
        (b"no form at all", 400, "invalid_param"),
        (form(*[part(f"f{number}", b"") for number in range(5000)]), 413, "request_entity_too_large"),
        (form(*[part("file", b"", filename="a.png", mime="image/png")] * 5000), 413, None),
        (form(*[part(f"f{number}", bytes(400_000)) for number in range(2)]), 413, None),
    ],
)
def test_upload_of_a_bad_form_is_refused(
    client: FlaskClient, chat_app: ChatApp, body: bytes, status: int, code: str | None
) -> None:
    answer = send_form(client, chat_app, body)

    assert answer.json is not None
    assert (answer.status_code, answer.json["status"]) == (status, status)
    assert code in (None, answer.json["code"]), answer.text


def test_upload_without_a_boundary_is_400(client: FlaskClient, chat_app: ChatApp) -> None:
    answer = client.post(
        "/api/files/upload",
        data=form(USER, file_part()),
        content_type="multipart/form-data",
        headers=chat_app.headers,
    )

    assert answer.status_code == 400


@pytest.mark.parametrize("content_type", ["application/json", "application/x-www-form-urlencoded"])
def test_upload_of_another_media_type_is_415(
    client: FlaskClient, chat_app: ChatApp, content_type: str
) -> None:
    answer = client.post(
        "/api/files/upload", data=b'{"user": "ada"}', content_type=content_type, headers=chat_app.headers
    )

    assert answer.status_code == 415
    assert answer.json is not None
    assert answer.json["code"] == "unsupported_media_type"


def test_upload_without_a_body_is_no_file(client: FlaskClient, chat_app: ChatApp) -> None:
    answer = client.post("/api/files/upload", headers=chat_app.headers)

    assert answer.status_code == 400
    assert answer.json is not None
    assert answer.json["code"] == "no_file_uploaded"


def test_missing_user_is_refused_by_the_seed_dialect_only(client: FlaskClient, chat_app: ChatApp) -> None:
    seed = send_form(client, chat_app, form(file_part()), "/api")
    dify = send_form(client, chat_app, form(file_part()), "/v1")

    assert seed.status_code == 400
    assert seed.json is not None
    assert (seed.json["code"], seed.json["details"]) == (
        "invalid_param",
        {"field": "user", "type": "required"},
    )
    assert dify.status_code == 201
    assert dify.json is not None
    mine = fetch(client, f"/v1/files/{dify.json['id']}/preview", headers=chat_app.headers)
    assert mine.data == uploads.PNG


def test_fields_after_the_file_are_read(client: FlaskClient, chat_app: ChatApp) -> None:
    answer = send_form(client, chat_app, form(file_part(), USER))

    assert answer.status_code == 201


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("Cafe\u0301.png", "Caf\u00e9.png"),
        ("a\u202egnp.png", "agnp.png"),
        ("\u4f60\u597d \U0001f600.png", "\u4f60\u597d \U0001f600.png"),
        ("a\tb.png", "ab.png"),
        ("x" * 500 + ".png", "x" * 196 + ".png"),
        ("a.b.PNG", "a.b.PNG"),
    ],
)
def test_upload_keeps_a_clean_name(client: FlaskClient, chat_app: ChatApp, sent: str, kept: str) -> None:
    answer = send_form(client, chat_app, form(USER, file_part(filename=sent)))

    assert answer.json is not None
    assert answer.json["name"] == kept


def test_name_with_line_breaks_cannot_write_headers(client: FlaskClient, chat_app: ChatApp) -> None:
    head = "Content-Disposition: form-data; name=file; filename*=UTF-8''a%0D%0AX-Bad%3D1%00.png\r\n"
    raw = f"--{uploads.BOUNDARY}\r\n{head}Content-Type: image/png\r\n\r\n".encode() + uploads.PNG + b"\r\n"

    answer = send_form(client, chat_app, form(USER, raw))

    assert answer.json is not None
    assert answer.json["name"] == "aX-Bad=1.png"
    shown = fetch(client, answer.json["source_url"])
    assert shown.headers["Content-Disposition"] == "inline; filename*=UTF-8''aX-Bad%3D1.png"


@pytest.mark.parametrize("is_chunked", [False, True])
def test_image_over_its_limit_is_refused_while_it_comes_in(
    client: FlaskClient, chat_app: ChatApp, is_chunked: bool
) -> None:
    body = file_stream("a.png", uploads.PNG, 30 * MB)

    answer = send_stream(client, "/api/files/upload", chat_app, body, is_chunked=is_chunked)

    assert answer.status_code == 413
    assert answer.json is not None
    assert answer.json["code"] == "file_too_large"
    assert body.taken < 16 * MB


def test_image_of_exactly_its_limit_is_taken(client: FlaskClient, chat_app: ChatApp) -> None:
    body = file_stream("a.png", uploads.PNG, 15 * MB)

    answer = send_stream(client, "/api/files/upload", chat_app, body)

    assert answer.status_code == 201
    assert answer.json is not None
    assert answer.json["size"] == 15 * MB


@pytest.mark.parametrize("is_chunked", [False, True])
def test_image_one_byte_over_its_limit_is_413(
    client: FlaskClient, chat_app: ChatApp, is_chunked: bool
) -> None:
    body = file_stream("a.png", uploads.PNG, 15 * MB + 1)

    answer = send_stream(client, "/api/files/upload", chat_app, body, is_chunked=is_chunked)

    assert answer.status_code == 413


def test_body_over_every_limit_is_refused_unread(client: FlaskClient, chat_app: ChatApp) -> None:
    body = file_stream("a.pdf", uploads.PDF, 1024 * MB)

    answer = send_stream(client, "/api/files/upload", chat_app, body)

    assert answer.status_code == 413
    assert body.taken == 0


@ONCE
@pytest.mark.parametrize("name", ["a.pdf", "a.docx"])
def test_upload_takes_little_memory(client: FlaskClient, chat_app: ChatApp, name: str) -> None:
    body = file_stream(name, uploads.PDF if name == "a.pdf" else uploads.ZIP, 24 * MB)
    upload(client, chat_app)

    tracemalloc.start()
    answer = send_stream(client, "/api/files/upload", chat_app, body)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert answer.status_code == 201
    assert peak_bytes < 5 * MB


def test_form_of_many_files_takes_little_memory(client: FlaskClient, chat_app: ChatApp) -> None:
    one = file_part(bytes(200_000), "a.txt", "text/plain")
    body = uploads.Stream(USER, *[one] * 100, form())

    tracemalloc.start()
    answer = send_stream(client, "/api/files/upload", chat_app, body)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert answer.status_code == 400
    assert peak_bytes < 5 * MB


@pytest.mark.parametrize("is_chunked", [False, True])
def test_json_body_over_its_limit_is_413(client: FlaskClient, chat_app: ChatApp, is_chunked: bool) -> None:
    body = uploads.Stream(b'{"query": "', *[b" " * MB] * 11, b'"}')

    answer = send_stream(
        client,
        "/api/chat-messages",
        chat_app,
        body,
        content_type="application/json",
        is_chunked=is_chunked,
    )

    assert answer.status_code == 413
    assert answer.json is not None
    assert answer.json["code"] == "request_entity_too_large"
    assert body.taken <= 10 * MB


def test_form_sent_to_a_json_route_has_the_limit_of_json(client: FlaskClient, chat_app: ChatApp) -> None:
    body = file_stream("a.pdf", uploads.PDF, 20 * MB)

    answer = send_stream(client, "/api/chat-messages", chat_app, body)

    assert answer.status_code == 413


def test_upload_without_a_key_is_refused_unread(client: FlaskClient, chat_app: ChatApp) -> None:
    body = file_stream("a.png", uploads.PNG, 10 * MB)
    stranger = ChatApp(id=chat_app.id, key="app-unknown", owner=chat_app.owner)

    answer = send_stream(client, "/api/files/upload", stranger, body)

    assert answer.status_code == 401
    assert body.taken == 0


def count_files(runtime: Runtime, app: ChatApp) -> int:
    with runtime.transaction() as session:
        return session.scalar(select(func.count()).where(UploadFile.app_id == app.id)) or 0


@BOTH
def test_repeated_upload_with_an_idempotency_key_makes_one_file(
    client: FlaskClient, runtime: Runtime, chat_app: ChatApp
) -> None:
    once = {"Idempotency-Key": "k1"}

    first = uploaded(client, chat_app, headers=once)
    again = uploaded(client, chat_app, headers=once)

    assert again["id"] == first["id"]
    assert fetch(client, again["source_url"]).data == uploads.PNG
    assert count_files(runtime, chat_app) == 1


@BOTH
def test_parallel_uploads_with_one_idempotency_key_make_one_file(
    house: Flask, runtime: Runtime, chat_app: ChatApp
) -> None:
    def send(_number: int) -> Any:
        return uploaded(house.test_client(), chat_app, headers={"Idempotency-Key": "k1"})["id"]

    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(send, range(16)))

    assert len(ids) == 1
    assert count_files(runtime, chat_app) == 1


@BOTH
@pytest.mark.parametrize(("content", "name"), [(uploads.PNG + b"x", "picture.png"), (uploads.PNG, "b.png")])
def test_idempotency_key_used_for_another_file_is_422(
    client: FlaskClient, runtime: Runtime, chat_app: ChatApp, content: bytes, name: str
) -> None:
    once = {"Idempotency-Key": "k1"}
    uploaded(client, chat_app, headers=once)

    answer = upload(client, chat_app, content, name, headers=once)

    assert answer.status_code == 422
    assert count_files(runtime, chat_app) == 1


def test_file_is_fetched_by_its_uploader_alone(
    client: FlaskClient, runtime: Runtime, chat_app: ChatApp
) -> None:
    file_id = uploaded(client, chat_app)["id"]
    sibling = make_chat_app(runtime, chat_app.owner)
    stranger = make_chat_app(runtime, make_owner(runtime))

    def preview(app: ChatApp, asked_id: str, user: str | None = "ada") -> Any:
        query = {"user": user} if user else {}
        return fetch(client, f"/api/files/{asked_id}/preview", query_string=query, headers=app.headers)

    assert preview(chat_app, file_id).data == uploads.PNG
    missing = preview(chat_app, NOBODY)
    assert missing.status_code == 404
    assert missing.json["code"] == "file_not_found"
    for answer in (
        preview(chat_app, file_id, "bob"),
        preview(chat_app, file_id, None),
        preview(sibling, file_id),
        preview(stranger, file_id),
        preview(chat_app, "not-an-id"),
        preview(chat_app, "x" * 5000),
    ):
        assert (answer.status_code, answer.json) == (404, missing.json)


@pytest.mark.parametrize(
    ("name", "content", "disposition", "mime_type"),
    [
        ("a.png", uploads.PNG, "inline", "image/png"),
        ("a.pdf", uploads.PDF, "inline", "application/pdf"),
        ("a.mp3", uploads.MP3, "inline", "audio/mpeg"),
        ("a.mp4", uploads.MP4, "inline", "video/mp4"),
        ("a.svg", uploads.SVG, "attachment", "image/svg+xml"),
        ("a.html", uploads.HTML, "attachment", "text/html"),
        ("a.xml", uploads.SVG, "attachment", "application/xml"),
        ("a.js", b"alert(1)", "attachment", "text/javascript"),
        ("a.txt", uploads.HTML, "attachment", "text/plain"),
    ],
)
def test_download_carries_the_fixed_headers(
    client: FlaskClient, chat_app: ChatApp, name: str, content: bytes, disposition: str, mime_type: str
) -> None:
    file = uploaded(client, chat_app, content, name)
    own = fetch(client, f"/api/files/{file['id']}/preview?user=ada", headers=chat_app.headers)
    signed = fetch(client, file["source_url"])

    for answer in (own, signed):
        assert (answer.status_code, answer.data) == (200, content)
        assert answer.headers["Content-Type"].partition(";")[0] == mime_type
        assert answer.headers["Content-Length"] == str(len(content))
        assert answer.headers["Content-Disposition"] == f"{disposition}; filename*=UTF-8''{name}"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
        assert answer.headers["Cache-Control"] == "private, max-age=300"


def test_download_as_attachment_is_bytes_to_be_saved(client: FlaskClient, chat_app: ChatApp) -> None:
    file_id = uploaded(client, chat_app, name="\u4f60.png")["id"]

    answer = fetch(
        client, f"/api/files/{file_id}/preview?user=ada&as_attachment=true", headers=chat_app.headers
    )

    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''%E4%BD%A0.png"


@pytest.mark.parametrize(
    ("asked", "status", "content", "told"),
    [
        ("bytes=0-3", 206, uploads.MP4[:4], f"bytes 0-3/{len(uploads.MP4)}"),
        ("bytes=8-", 206, uploads.MP4[8:], f"bytes 8-{len(uploads.MP4) - 1}/{len(uploads.MP4)}"),
        ("bytes=-4", 206, uploads.MP4[-4:], f"bytes 28-31/{len(uploads.MP4)}"),
        ("bytes=9999-", 416, None, "bytes */32"),
        ("bytes=0-1,4-5", 200, uploads.MP4, None),
        ("bytes=a-b", 200, uploads.MP4, None),
        ("lines=0-3", 200, uploads.MP4, None),
    ],
)
def test_download_of_a_range_gives_that_range(
    client: FlaskClient, chat_app: ChatApp, asked: str, status: int, content: bytes | None, told: str | None
) -> None:
    file = uploaded(client, chat_app, uploads.MP4, "a.mp4")

    answer = fetch(client, file["source_url"], headers={"Range": asked})

    assert answer.status_code == status
    assert answer.headers.get("Content-Range") == told
    assert content in (None, answer.data)


def test_download_that_the_client_holds_is_304(client: FlaskClient, chat_app: ChatApp) -> None:
    url = uploaded(client, chat_app)["source_url"]
    first = fetch(client, url)

    again = fetch(client, url, headers={"If-None-Match": first.headers["ETag"]})

    assert first.headers["Accept-Ranges"] == "bytes"
    assert (again.status_code, again.data) == (304, b"")


def test_head_of_a_file_tells_its_size(client: FlaskClient, chat_app: ChatApp) -> None:
    answer = client.head(uploaded(client, chat_app)["source_url"], buffered=True)

    assert (answer.status_code, answer.data) == (200, b"")
    assert answer.headers["Content-Length"] == str(len(uploads.PNG))


def test_upload_door_is_open_to_a_key_of_any_permission(
    house: Flask, runtime: Runtime, chat_app: ChatApp
) -> None:

    key = make_key(runtime, chat_app.owner, chat_app.id, "workflow")
    app = ChatApp(id=chat_app.id, key=key, owner=chat_app.owner)

    assert upload(house.test_client(), app).status_code == 201


def test_workspace_key_finds_its_app_in_the_form(
    client: FlaskClient, runtime: Runtime, chat_app: ChatApp
) -> None:

    make_chat_app(runtime, chat_app.owner)
    app = ChatApp(id=chat_app.id, key=make_key(runtime, chat_app.owner, None), owner=chat_app.owner)

    answer = send_form(client, app, form(USER, file_part(), part("app_id", chat_app.id.encode())))

    assert answer.status_code == 201
    assert count_files(runtime, chat_app) == 1
