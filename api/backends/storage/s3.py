"""Files in a bucket of S3, or of anything that speaks like it (MinIO, Ceph, R2).

What must stay true: an object appears under its key whole or not at all, which
S3 promises itself; boto3 is imported by an installation that keeps files here only.
"""

import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib import import_module
from typing import Any, BinaryIO, Self, cast

from api.backends.storage.keys import check_key, is_key
from api.errors import NotFound, Unavailable
from api.settings import Settings, SettingsError

CHUNK_BYTES = 1024 * 1024
MEMORY_BYTES = 8 * 1024 * 1024
"""A file that is read lies in memory up to this size, and on the disk beyond."""
CONNECT_S = 5
READ_S = 30
ATTEMPTS = 3
NOT_THERE = frozenset({"404", "NoSuchKey", "NotFound"})


class Backend:
    """Implements Storage in ``bucket``, under ``prefix``."""

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Keep files where the S3_ settings say; without keys boto3 looks for those of the machine."""
        try:
            boto3, config = import_module("boto3"), import_module("botocore.config")
        except ImportError:
            raise SettingsError("STORAGE=s3 needs boto3: pip install -r requirements/s3.lock") from None
        secret = settings.s3_secret_access_key
        client = boto3.session.Session().client(
            "s3",
            endpoint_url=settings.s3_endpoint_url or None,
            region_name=settings.s3_region or None,
            aws_access_key_id=settings.s3_access_key_id or None,
            aws_secret_access_key=secret.get_secret_value() if secret else None,
            config=config.Config(
                connect_timeout=CONNECT_S,
                read_timeout=READ_S,
                retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
                s3={"addressing_style": "path" if settings.s3_endpoint_url else "auto"},
                # Many servers that speak like S3 do not know the newer checksums.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )
        return cls(client, settings.s3_bucket, settings.s3_prefix)

    def put(self, key: str, source: BinaryIO) -> int:
        """Store the bytes of ``source``; see Storage."""
        counted = _Counted(source)
        transfer = import_module("boto3.s3.transfer").TransferConfig(use_threads=False)
        with _faults_told():
            self._client.upload_fileobj(counted, self._bucket, self._named(key), Config=transfer)
        return counted.size_bytes

    def open(self, key: str) -> BinaryIO:
        """Return a reader of the file; see Storage."""
        file = tempfile.SpooledTemporaryFile(MEMORY_BYTES)  # noqa: SIM115  # the caller closes it
        try:
            with _faults_told():
                found = self._client.get_object(Bucket=self._bucket, Key=self._named(key))
                with closing(found["Body"]) as body:
                    for chunk in body.iter_chunks(CHUNK_BYTES):
                        file.write(chunk)
        except BaseException:
            file.close()
            raise
        file.seek(0)
        return cast("BinaryIO", file)

    def delete(self, key: str) -> None:
        """Remove the file; see Storage."""
        with _faults_told():
            self._client.delete_object(Bucket=self._bucket, Key=self._named(key))

    def exists(self, key: str) -> bool:
        """Tell whether the file is there."""
        try:
            with _faults_told():
                self._client.head_object(Bucket=self._bucket, Key=self._named(key))
        except NotFound:
            return False
        return True

    def all_keys(self) -> Iterator[str]:
        """Yield the keys of all files; see Storage."""
        pages = self._client.get_paginator("list_objects_v2")
        with _faults_told():
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix):
                keys = (str(found["Key"]).removeprefix(self._prefix) for found in page.get("Contents", ()))
                yield from filter(is_key, keys)

    def _named(self, key: str) -> str:
        return self._prefix + check_key(key)


class _Counted:
    """Reads a source from its position on, and counts; boto3 only ever reads it."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self.size_bytes = 0

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        chunk = self._source.read(size)
        self.size_bytes += len(chunk)
        return chunk


@contextmanager
def _faults_told() -> Iterator[None]:
    """Tell the bucket's faults as errors of ours."""
    faults = import_module("botocore.exceptions")
    transfer = import_module("boto3.exceptions")
    try:
        yield
    except faults.ClientError as exc:
        if exc.response.get("Error", {}).get("Code") in NOT_THERE:
            raise NotFound("The file does not exist.") from exc
        raise Unavailable("The file store does not take what it is asked.") from exc
    except (faults.BotoCoreError, transfer.Boto3Error) as exc:
        raise Unavailable("The file store does not answer; try again shortly.") from exc
