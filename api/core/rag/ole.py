"""The container of older Office files: a small file system of streams within a file."""

from typing import TYPE_CHECKING, BinaryIO

from api.core.rag.extraction import ExtractionFailed

if TYPE_CHECKING:
    from olefile import OleFileIO

ENCRYPTION_STREAMS = ("EncryptionInfo", "EncryptedPackage")


def open_ole(file: BinaryIO) -> "OleFileIO":
    """Return the container in a file. Raises ExtractionFailed for what is none, or is encrypted."""
    import olefile  # only the older formats need it

    try:
        container = olefile.OleFileIO(file)
    except (OSError, ValueError, IndexError) as exc:
        raise ExtractionFailed(
            "The file is damaged or not what its extension says; save it again with the program that made it."
        ) from exc
    if any(container.exists(name) for name in ENCRYPTION_STREAMS):
        raise ExtractionFailed("The file is encrypted; save it without a password.")
    return container


def read_stream(container: "OleFileIO", *path: str) -> bytes | None:
    """Return a stream's bytes, None where it is not there."""
    if not container.exists(list(path)):
        return None
    content: bytes = container.openstream(list(path)).read()
    return content
