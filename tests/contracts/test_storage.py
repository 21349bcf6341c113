"""What every Storage promises."""

import io
import uuid
from pathlib import Path

import pytest

from api.backends import load
from api.core.ports import Storage
from api.errors import NotFound, Unavailable
from tests.conftest import make_settings
from tests.contracts import discovery


@pytest.fixture(scope="module", params=discovery.names("storage"))
def storage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Storage:
    """One for all tests: each puts files of its own, and a client of a bucket takes long to make."""
    made: Storage = discovery.make_backend(
        "storage", request.param, request, tmp_path_factory.mktemp(request.param)
    )
    return made


def make_key() -> str:
    return f"upload_files/{uuid.uuid4()}/{uuid.uuid4()}.bin"


def read(storage: Storage, key: str) -> bytes:
    with storage.open(key) as file:
        return file.read()


class BrokenSource(io.BytesIO):
    """Breaks off after its first chunk."""

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell():
            raise ConnectionResetError("the client went away")
        return super().read(size)


@pytest.mark.parametrize("size_bytes", [0, 1, 1024 * 1024, 3 * 1024 * 1024 + 7])
def test_storage_file_put_reads_back_equal(storage: Storage, size_bytes: int) -> None:
    content = bytes(range(256)) * (size_bytes // 256 + 1)
    key = make_key()
    assert storage.put(key, io.BytesIO(content[:size_bytes])) == size_bytes
    assert storage.exists(key)
    assert read(storage, key) == content[:size_bytes]


def test_storage_source_not_at_start_is_stored_from_its_position(storage: Storage) -> None:
    source = io.BytesIO(b"headbody")
    source.seek(4)
    key = make_key()
    assert storage.put(key, source) == 4
    assert read(storage, key) == b"body"


def test_storage_key_put_twice_holds_the_second_file(storage: Storage) -> None:
    key = make_key()
    storage.put(key, io.BytesIO(b"a longer first file"))
    storage.put(key, io.BytesIO(b"second"))
    assert read(storage, key) == b"second"


def test_storage_file_being_read_is_not_disturbed_by_a_new_one(storage: Storage) -> None:
    key = make_key()
    storage.put(key, io.BytesIO(b"first"))
    with storage.open(key) as file:
        storage.put(key, io.BytesIO(b"other"))
        assert file.read() == b"first"


def test_storage_source_that_breaks_leaves_no_file(storage: Storage) -> None:
    key = make_key()
    with pytest.raises(ConnectionResetError):
        storage.put(key, BrokenSource(b"x" * (2 * 1024 * 1024)))
    assert not storage.exists(key)


def test_storage_source_that_breaks_leaves_the_old_file(storage: Storage) -> None:
    key = make_key()
    storage.put(key, io.BytesIO(b"old"))
    with pytest.raises(ConnectionResetError):
        storage.put(key, BrokenSource(b"x" * (2 * 1024 * 1024)))
    assert read(storage, key) == b"old"


def test_storage_missing_file_is_not_found(storage: Storage) -> None:
    assert not storage.exists(make_key())
    with pytest.raises(NotFound):
        storage.open(make_key())


def test_storage_deleted_file_is_gone_and_deleting_again_is_no_error(storage: Storage) -> None:
    key = make_key()
    storage.put(key, io.BytesIO(b"x"))
    storage.delete(key)
    storage.delete(key)
    assert not storage.exists(key)


@pytest.mark.parametrize(
    "key", ["", "/etc/passwd", "../secret_key", "a/../../b", "a//b", "a/.", ".incoming/x", "A", "a b", "a\n"]
)
def test_storage_key_not_well_formed_is_refused(storage: Storage, key: str) -> None:
    for use in (storage.open, storage.exists, storage.delete):
        with pytest.raises(ValueError, match="not a storage key"):
            use(key)
    with pytest.raises(ValueError, match="not a storage key"):
        storage.put(key, io.BytesIO(b"x"))


def test_storage_keys_are_those_of_whole_files_that_are_there(storage: Storage) -> None:
    keys = {make_key() for _ in range(3)}
    for key in keys:
        storage.put(key, io.BytesIO(b"x"))
    with pytest.raises(ConnectionResetError):
        storage.put(make_key(), BrokenSource(b"y" * 3_000_000))
    gone = keys.pop()
    storage.delete(gone)

    assert keys <= set(storage.all_keys())
    assert gone not in storage.all_keys()
    assert {key for key in storage.all_keys() if storage.exists(key)} == set(storage.all_keys())


def test_bucket_tells_no_key_of_what_others_keep_in_it(s3_values: dict[str, str], tmp_path: Path) -> None:
    prefixes = ("shared", "shared/Photos of 2026")
    ours, theirs = (
        load("storage", "s3").from_settings(make_settings(tmp_path, **{**s3_values, "s3_prefix": prefix}))
        for prefix in prefixes
    )
    for bucket in (ours, theirs):
        bucket.put("a", io.BytesIO(b"x"))

    assert list(ours.all_keys()) == ["a"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("s3_endpoint_url", "http://127.0.0.1:1"), ("s3_access_key_id", "another"), ("s3_bucket", "no")],
)
def test_bucket_that_is_away_or_refuses_is_unavailable(
    s3_values: dict[str, str], tmp_path: Path, name: str, value: str
) -> None:
    settings = make_settings(tmp_path, **{**s3_values, name: value})
    bucket: Storage = load("storage", "s3").from_settings(settings)

    with pytest.raises(Unavailable):
        bucket.put(make_key(), io.BytesIO(b"x"))
    with pytest.raises(Unavailable):
        bucket.open(make_key())
