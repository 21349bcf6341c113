"""Names segments by what they are and where, so that indexing twice makes nothing twice.

Boundary: pure. Equal input gives equal names in every process and release.
"""

import hashlib
import unicodedata
import uuid


def content_hash(text: str) -> str:
    """Return a text's SHA-256 in hex; white space and the form of accents make no difference."""
    plain = " ".join(unicodedata.normalize("NFC", text).split())
    return hashlib.sha256(plain.encode("utf-8", "replace")).hexdigest()


def segment_id(document_id: str, version: int, position: int, content: str) -> str:
    """Return the UUID of the segment at ``position`` of one version of a document.

    ``content`` is the segment's ``content_hash``. A repeated run over the same
    version gives the same ids; another version gives others.
    """
    return _name(document_id, f"segment:{version}:{position}:{content}")


def child_chunk_id(segment: str, position: int, content: str) -> str:
    """Return the UUID of the child at ``position`` of a segment, whose ``content_hash`` is ``content``."""
    return _name(segment, f"child:{position}:{content}")


def _name(space: str, name: str) -> str:
    return str(uuid.uuid5(uuid.UUID(space), name))
