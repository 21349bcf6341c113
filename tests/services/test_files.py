"""Stored files: which of them a message may carry, which images a model gets, what is forgotten and when."""

import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from typing import Any, BinaryIO

import pytest
from sqlalchemy import event, select, update

from api.core.apps.config import FileUpload
from api.core.egress import EgressDenied, EgressPolicy
from api.core.http import HTTPClient, Timeouts
from api.core.ports import Cancel, JSONObject
from api.errors import InvalidRequest, NotFound, Unprocessable
from api.models.base import utc_now
from api.models.file import UploadFile
from api.principal import Principal
from api.runtime import Runtime
from api.services import end_users, files, idempotency
from api.services import uploads as stored
from tests import uploads
from tests.factories import ChatApp, Owner, make_chat_app, make_owner
from tests.servers import Reply, ScriptedServer, Step

IMAGES_ON: JSONObject = {"image": {"enabled": True, "number_limits": 2}}
NOBODY = "11111111-1111-4111-8111-111111111111"

NO_ADDRESS = "The url of a file must be an http(s) address without a password in it"


class DictStorage:
    """Keeps files in memory, and what became of them in sight."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def put(self, key: str, source: BinaryIO) -> int:
        self.files[key] = source.read()
        return len(self.files[key])

    def open(self, key: str) -> BinaryIO:
        if key not in self.files:
            raise NotFound("no such file")
        return io.BytesIO(self.files[key])

    def delete(self, key: str) -> None:
        self.files.pop(key, None)

    def exists(self, key: str) -> bool:
        return key in self.files

    def all_keys(self) -> Iterator[str]:
        return iter(self.files)


@pytest.fixture
def storage() -> DictStorage:
    return DictStorage()


@pytest.fixture
def house_runtime(runtime: Runtime, storage: DictStorage) -> Runtime:
    """The program's runtime with its files in sight."""
    return replace(runtime, storage=storage)


@pytest.fixture
def ada(chat_app: ChatApp) -> Principal:
    return end_users.to_principal(chat_app.owner.tenant_id, chat_app.id, "ada")


def sent(content: bytes = uploads.PNG, name: str = "a.png") -> stored.IncomingFile:
    return stored.IncomingFile(
        name=name, content=io.BytesIO(content), size_bytes=len(content), sha256=f"{hash(content):064x}"
    )


def keep(runtime: Runtime, principal: Principal, content: bytes = uploads.PNG, name: str = "a.png") -> str:
    return stored.create_upload(runtime, principal, sent(content, name)).id


def attach(
    runtime: Runtime, principal: Principal, policy: JSONObject, *entries: JSONObject
) -> tuple[files.AttachedFile, ...]:
    with runtime.transaction() as session:
        return files.attach(session, principal, FileUpload.model_validate(policy), entries)


def local(file_id: str, **more: Any) -> JSONObject:
    return {"type": "image", "transfer_method": "local_file", "upload_file_id": file_id, **more}


def remote(url: object, **more: Any) -> JSONObject:
    return {"type": "image", "transfer_method": "remote_url", "url": url, **more}


def test_attached_upload_is_known_by_its_row(runtime: Runtime, ada: Principal) -> None:
    file_id = keep(runtime, ada)

    (file,) = attach(runtime, ada, IMAGES_ON, local(file_id.upper()))

    assert (file.type, file.transfer_method, file.upload_file_id) == ("image", "local_file", file_id)
    assert (file.name, file.mime_type, file.size_bytes) == ("a.png", "image/png", len(uploads.PNG))
    assert files.AttachedFile.from_row(file.to_row()) == file


def test_attached_address_is_kept_unread(runtime: Runtime, ada: Principal) -> None:
    (file,) = attach(runtime, ada, IMAGES_ON, remote("https://example.com/x/a%20b.jpg?size=1"))

    assert (file.type, file.url) == ("image", "https://example.com/x/a%20b.jpg?size=1")
    assert (file.name, file.mime_type, file.size_bytes) == ("a b.jpg", "image/jpeg", None)


def test_address_may_come_as_remote_url(runtime: Runtime, ada: Principal) -> None:
    entry: JSONObject = {"type": "image", "transfer_method": "remote_url", "remote_url": "http://h/a.png"}

    (file,) = attach(runtime, ada, IMAGES_ON, entry)

    assert file.url == "http://h/a.png"


def test_files_are_ignored_where_the_app_takes_none(runtime: Runtime, ada: Principal) -> None:
    assert attach(runtime, ada, {}, local("not even an id"), remote(5)) == ()


@pytest.mark.parametrize(
    "entry",
    [{}, {"type": "image"}, remote(""), remote(None), {"transfer_method": "", "url": "http://h/a.png"}],
)
def test_empty_slots_are_skipped(runtime: Runtime, ada: Principal, entry: JSONObject) -> None:
    assert attach(runtime, ada, IMAGES_ON, entry) == ()


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (local("nonsense"), "Invalid upload file id format"),
        (local(""), "Invalid upload file id format"),
        ({"type": "image", "transfer_method": "local_file"}, "Invalid upload file id format"),
        ({"transfer_method": "local_file", "upload_file_id": 5}, "Invalid upload file id format"),
        (local(NOBODY), "Invalid upload file"),
        ({"transfer_method": "tool_file", "tool_file_id": NOBODY}, "Invalid upload file"),
        ({"transfer_method": "carrier"}, "transfer_method must be remote_url or local_file"),
        ({"transfer_method": ["x"]}, "transfer_method must be remote_url or local_file"),
        (remote("ftp://h/a.png"), NO_ADDRESS),
        (remote("http://user:password@h/a.png"), NO_ADDRESS),
        (remote("data:image/png;base64,AA=="), NO_ADDRESS),
        (remote("http://"), NO_ADDRESS),
        (remote("http://[::1"), NO_ADDRESS),
        (remote(5), NO_ADDRESS),
        (
            remote("http://h/a.png", type="picture"),
            "The type of a file must be one of: image, document, audio, video, custom",
        ),
        (remote("http://h/a.png", type=["image"]), None),
        (remote("http://h/a.pdf", type="document"), "File validation failed for file: a.pdf"),
        (remote("http://h/a", type="custom"), "File validation failed for file: a"),
    ],
)
def test_bad_entries_are_refused(
    runtime: Runtime, ada: Principal, entry: JSONObject, message: str | None
) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        attach(runtime, ada, IMAGES_ON, entry)

    assert message in (None, refusal.value.message)
    assert refusal.value.field == "files"


def test_foreign_uploads_are_like_unknown_ones(runtime: Runtime, chat_app: ChatApp, ada: Principal) -> None:
    sibling = make_chat_app(runtime, chat_app.owner)
    stranger = make_chat_app(runtime, make_owner(runtime))
    foreign = [
        keep(runtime, end_users.to_principal(chat_app.owner.tenant_id, chat_app.id, "bob")),
        keep(runtime, end_users.to_principal(chat_app.owner.tenant_id, sibling.id, "ada")),
        keep(runtime, end_users.to_principal(stranger.owner.tenant_id, stranger.id, "ada")),
        keep(runtime, chat_app.owner.principal),
    ]

    for file_id in foreign:
        with pytest.raises(InvalidRequest, match=r"^Invalid upload file$"):
            attach(runtime, ada, IMAGES_ON, local(keep(runtime, ada)), local(file_id))


DOCUMENTS: JSONObject = {"enabled": True, "number_limits": 2, "allowed_file_types": ["document"]}
PDFS: JSONObject = {
    "enabled": True,
    "number_limits": 2,
    "allowed_file_types": ["custom"],
    "allowed_file_extensions": [".PDF"],
}
LINKS: JSONObject = {"enabled": True, "number_limits": 2, "allowed_file_upload_methods": ["remote_url"]}
UPLOADED_IMAGES: JSONObject = {"image": {"enabled": True, "transfer_methods": ["local_file"]}}


@pytest.mark.parametrize(
    ("policy", "entry", "is_taken"),
    [
        (DOCUMENTS, remote("http://h/a.pdf", type="document"), True),
        (DOCUMENTS, remote("http://h/a.pdf", type="custom"), True),
        (DOCUMENTS, remote("http://h/a.pdf", type=None), True),
        (DOCUMENTS, remote("http://h/a.png"), False),
        (DOCUMENTS, remote("http://h/a.bin", type=None), False),
        (PDFS, remote("http://h/a.pdf", type="custom"), True),
        (PDFS, remote("http://h/a.pdf", type="document"), True),
        (PDFS, remote("http://h/a.txt", type="custom"), False),
        (LINKS, remote("http://h/a.txt", type="document"), True),
        ({**LINKS, "allowed_file_upload_methods": ["local_file"]}, remote("http://h/a.txt"), False),
        (UPLOADED_IMAGES, remote("http://h/a.png"), False),
        ({"enabled": True}, remote("http://h/a.anything", type="video"), True),
    ],
)
def test_policy_decides_by_type_extension_and_method(
    runtime: Runtime, ada: Principal, policy: JSONObject, entry: JSONObject, is_taken: bool
) -> None:
    if is_taken:
        assert len(attach(runtime, ada, policy, entry)) == 1
        return
    with pytest.raises(InvalidRequest, match="File validation failed for file: a"):
        attach(runtime, ada, policy, entry)


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ({"enabled": True, "number_limits": 2}, "Number of files exceeds the maximum limit 2"),
        (
            {"enabled": True, "number_limits": 9, **IMAGES_ON},
            "Number of image files exceeds the maximum limit 2",
        ),
        (IMAGES_ON, "Number of image files exceeds the maximum limit 2"),
    ],
)
def test_too_many_files_are_refused(
    runtime: Runtime, ada: Principal, policy: JSONObject, message: str
) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        attach(runtime, ada, policy, *[remote(f"http://h/{number}.png") for number in range(3)])

    assert refusal.value.message == message


def test_attaching_takes_one_statement_for_uploads_and_none_without(runtime: Runtime, ada: Principal) -> None:
    entries = [local(keep(runtime, ada)) for _ in range(2)]
    statements: list[str] = []
    engine = runtime.session_factory.kw["bind"]

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if "upload_files" in statement:
            statements.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        attach(runtime, ada, IMAGES_ON, remote("http://h/a.png"))
        assert statements == []
        attach(runtime, ada, IMAGES_ON, *entries)
        assert len(statements) == 1
    finally:
        event.remove(engine, "before_cursor_execute", note)


def test_images_of_a_message_come_from_storage(
    house_runtime: Runtime, ada: Principal, storage: DictStorage
) -> None:
    ids = [keep(house_runtime, ada), keep(house_runtime, ada, uploads.GIF, "b.gif")]
    attached = attach(house_runtime, ada, IMAGES_ON, *[local(file_id) for file_id in ids])

    images = files.load_images(house_runtime, attached, detail="low", cancel=Cancel())

    assert [(image.mime_type, image.data, image.detail) for image in images] == [
        ("image/png", uploads.PNG, "low"),
        ("image/gif", uploads.GIF, "low"),
    ]


def test_documents_are_no_images(house_runtime: Runtime, ada: Principal) -> None:
    file_id = keep(house_runtime, ada, uploads.PDF, "a.pdf")
    attached = attach(house_runtime, ada, DOCUMENTS, local(file_id, type="document"))

    assert files.load_images(house_runtime, attached, detail="high", cancel=Cancel()) == ()


@pytest.mark.parametrize(("name", "content"), [("a.svg", uploads.SVG), ("a.pdf", uploads.PDF)])
def test_upload_that_only_claims_to_be_an_image_is_refused(
    house_runtime: Runtime, ada: Principal, name: str, content: bytes
) -> None:
    attached = attach(house_runtime, ada, IMAGES_ON, local(keep(house_runtime, ada, content, name)))

    with pytest.raises(InvalidRequest, match=f"File validation failed for file: {name}"):
        files.load_images(house_runtime, attached, detail="high", cancel=Cancel())


Online = Callable[[ScriptedServer], Runtime]


@pytest.fixture
def online(runtime: Runtime) -> Iterator[Online]:
    """Gives a runtime whose outbound calls may reach a test's server, for images of at most 100 KB."""
    with ExitStack() as opened:

        def make(server: ScriptedServer) -> Runtime:
            policy = EgressPolicy.parse(f"127.0.0.1:{server.port}")
            http = HTTPClient(policy, Timeouts(connect_s=20.0, first_byte_s=20.0, idle_s=20.0))
            opened.callback(http.close)
            sizes = {**runtime.limits.max_file_bytes, "image": 100_000}
            return replace(runtime, http=http, limits=replace(runtime.limits, max_file_bytes=sizes))

        yield make


def load_remote(runtime: Runtime, ada: Principal, url: str, cancel: Cancel | None = None) -> Any:
    attached = attach(runtime, ada, IMAGES_ON, remote(url))
    return files.load_images(runtime, attached, detail="high", cancel=cancel or Cancel())


def test_image_at_an_address_is_fetched(online: Online, ada: Principal) -> None:
    with ScriptedServer(Reply(body=uploads.JPEG, headers={"Content-Type": "text/html"})) as server:
        (image,) = load_remote(online(server), ada, f"{server.url}/picture")

    assert (image.mime_type, image.data, image.url) == ("image/jpeg", uploads.JPEG, None)


def test_image_behind_a_redirect_is_fetched(online: Online, ada: Principal) -> None:
    with ScriptedServer(Reply(status=302, headers={"Location": "/b"}), Reply(body=uploads.PNG)) as server:
        (image,) = load_remote(online(server), ada, f"{server.url}/a.png")

    assert image.data == uploads.PNG


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (Reply(status=404), "could not be fetched: status 404"),
        (Reply(body=uploads.HTML), "File validation failed for file: a.png"),
        (Reply(body=uploads.SVG), "File validation failed for file: a.png"),
        (Reply(body=b""), "File validation failed for file: a.png"),
        (Reply(body=uploads.PNG + bytes(100_000)), "could not be fetched"),
        (Reply(steps=[uploads.PNG, Step.DROP]), "could not be fetched"),
    ],
)
def test_image_that_cannot_be_had_is_refused(
    online: Online, ada: Principal, reply: Reply, message: str
) -> None:
    with ScriptedServer(reply) as server, pytest.raises(InvalidRequest, match=message):
        load_remote(online(server), ada, f"{server.url}/a.png")


def test_image_on_a_private_address_is_not_asked_for(runtime: Runtime, ada: Principal) -> None:
    with ScriptedServer(Reply(body=uploads.PNG)) as server:
        with pytest.raises(EgressDenied):
            load_remote(runtime, ada, f"{server.url}/a.png")

        assert server.seen == []


def test_stopped_run_waits_for_no_image(online: Online, ada: Principal) -> None:
    cancel = Cancel()

    def stop(_seen: object) -> Reply:
        cancel.set()
        return Reply(steps=[Step.HANG])

    with ScriptedServer(stop) as server:
        assert load_remote(online(server), ada, f"{server.url}/a.png", cancel) == ()


def test_upload_whose_row_is_refused_leaves_no_bytes(
    house_runtime: Runtime, storage: DictStorage, ada: Principal
) -> None:
    def claim(body: bytes) -> idempotency.Claim:
        return idempotency.to_claim(ada.tenant_id, ada.id, "POST /x", "key", body)

    stored.create_upload(house_runtime, ada, sent(), claim(b"first"))
    with pytest.raises(Unprocessable):
        stored.create_upload(house_runtime, ada, sent(), claim(b"second"))
    stored.create_upload(house_runtime, ada, sent(), claim(b"first"))

    assert list(storage.files.values()) == [uploads.PNG]


def test_storage_key_holds_nothing_of_the_name(
    house_runtime: Runtime, storage: DictStorage, ada: Principal
) -> None:
    before = utc_now()
    keep(house_runtime, ada, name="secret name.png")

    (key,) = storage.files
    assert key.startswith(tuple(f"uploads/{ada.tenant_id}/{month:%Y/%m}/" for month in (before, utc_now())))
    assert "secret" not in key


def age(runtime: Runtime, file_id: str, by: timedelta) -> None:
    with runtime.transaction() as session:
        session.execute(update(UploadFile).where(UploadFile.id == file_id).values(created_at=utc_now() - by))


def test_purge_removes_old_uploads_no_message_used(
    house_runtime: Runtime, storage: DictStorage, ada: Principal
) -> None:
    young, old, used = (keep(house_runtime, ada) for _ in range(3))
    attach(house_runtime, ada, IMAGES_ON, local(used))
    age(house_runtime, old, timedelta(hours=24))
    age(house_runtime, used, timedelta(days=30))

    files.purge_unattached(house_runtime)

    with house_runtime.transaction() as session:
        left = session.scalars(select(UploadFile.id).where(UploadFile.created_by == ada.id)).all()
    assert set(left) == {young, used}
    assert len(storage.files) == 2


def test_upload_about_to_be_purged_is_not_attached(runtime: Runtime, ada: Principal) -> None:
    file_id = keep(runtime, ada)
    age(runtime, file_id, timedelta(hours=22, minutes=30))

    with pytest.raises(InvalidRequest, match=r"^Invalid upload file$"):
        attach(runtime, ada, IMAGES_ON, local(file_id))


def test_attached_upload_may_be_attached_again_much_later(runtime: Runtime, ada: Principal) -> None:
    file_id = keep(runtime, ada)
    attach(runtime, ada, IMAGES_ON, local(file_id))
    age(runtime, file_id, timedelta(days=30))

    assert len(attach(runtime, ada, IMAGES_ON, local(file_id))) == 1


def check_icon(runtime: Runtime, principal: Principal, file_id: str) -> None:
    with runtime.transaction() as session:
        files.check_icon(session, principal, file_id)


def test_icon_of_the_workspace_is_kept(house_runtime: Runtime, storage: DictStorage, owner: Owner) -> None:
    file_id = keep(house_runtime, owner.principal)

    check_icon(house_runtime, owner.principal, file_id)
    age(house_runtime, file_id, timedelta(days=30))
    files.purge_unattached(house_runtime)

    assert list(storage.files.values()) == [uploads.PNG]


def test_icon_must_be_an_image_uploaded_in_the_same_console(
    runtime: Runtime, owner: Owner, ada: Principal
) -> None:
    others = [
        NOBODY,
        "not-an-id",
        keep(runtime, owner.principal, uploads.PDF, "a.pdf"),
        keep(runtime, make_owner(runtime).principal),
        keep(runtime, ada),
    ]

    for file_id in others:
        with pytest.raises(InvalidRequest, match="icon"):
            check_icon(runtime, owner.principal, file_id)
