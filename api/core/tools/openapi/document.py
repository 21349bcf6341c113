"""An OpenAPI 3 or Swagger 2 document, read under bounds; its references followed one at a time.

What must stay true: the work is bounded, whatever the document refers to.
Nothing is unrolled, a chain of references has an end, and a part that is
referred to again and again is paid for each time (``spend``).
"""

from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote

import orjson

from api.core.ports import JSONObject, JSONValue
from api.core.text.found_json import MAX_DEPTH, is_deep
from api.core.text.yaml_text import BadYAML, load_yaml

MAX_BYTES = 5 * 1024 * 1024
MAX_HOPS = 20
MAX_STEPS = 300_000
"""So many parts of a document may be looked at, again or for the first time."""

Kind = Literal["openapi", "swagger"]


class BadDocument(Exception):
    """The text is no document that tools can be made of; the message says why, for its author."""


@dataclass(frozen=True, slots=True)
class Document:
    """A document as it is written. ``kind`` says which of the two languages it is in."""

    kind: Kind
    root: JSONObject
    _spent: list[int] = field(default_factory=lambda: [0], repr=False, compare=False)

    def spend(self, steps: int) -> None:
        """Count parts that are looked at. Raises BadDocument where they are too many."""
        self._spent[0] += steps
        if self._spent[0] > MAX_STEPS:
            raise BadDocument("The document is too large, or refers to its parts too often.")

    def resolve(self, value: JSONValue) -> JSONObject:
        """Return the object that is there, or that a reference leads to; empty where it is none.

        Raises BadDocument for a reference that leads out of the document, nowhere, or in a circle.
        """
        for _ in range(MAX_HOPS):
            self.spend(1)
            found = value if isinstance(value, dict) else {}
            reference = found.get("$ref")
            if not isinstance(reference, str):
                return found
            value = self._at(reference)
        raise BadDocument(f"The reference {reference!r:.100} leads on and on.")

    def _at(self, reference: str) -> JSONValue:
        if not reference.startswith("#"):
            raise BadDocument(f"The reference {reference!r:.100} leads out of the document.")
        value: JSONValue = self.root
        for piece in reference[1:].removeprefix("/").split("/"):
            name = unquote(piece).replace("~1", "/").replace("~0", "~")
            if isinstance(value, list) and name.isdecimal() and int(name[:9]) < len(value):
                value = value[int(name)]
            elif isinstance(value, dict) and name in value:
                value = value[name]
            elif name:
                raise BadDocument(f"The reference {reference!r:.100} leads nowhere.")
        return value


def load_document(text: str) -> Document:
    """Return the document of a JSON or YAML text. Raises BadDocument."""
    if len(text) > MAX_BYTES or len(text.encode("utf-8", "replace")) > MAX_BYTES:
        raise BadDocument(f"The document has more than {MAX_BYTES // 1024 // 1024} MB.")
    root = _parsed(text)
    if not isinstance(root, dict):
        raise BadDocument("The document is no object.")
    if is_deep(root):
        raise BadDocument(f"The document is nested more than {MAX_DEPTH} deep.")
    version = str(root.get("openapi") or root.get("swagger") or "")
    if root.get("openapi") and version.startswith("3."):
        return Document("openapi", root)
    if root.get("swagger") and version.startswith("2"):
        return Document("swagger", root)
    if isinstance(root.get("api"), dict):
        raise BadDocument("This is the manifest of a plugin; give the OpenAPI document its api.url leads to.")
    raise BadDocument(
        "The document is neither OpenAPI 3 nor Swagger 2: it says so in 'openapi' or 'swagger'."
    )


def _parsed(text: str) -> JSONValue:
    if text.lstrip("\ufeff \t\r\n").startswith("{"):
        try:
            found: JSONValue = orjson.loads(text.removeprefix("\ufeff").encode("utf-8", "replace"))
        except orjson.JSONDecodeError:
            pass  # YAML may begin with a brace too
        else:
            return found
    try:
        return load_yaml(text)
    except BadYAML as exc:
        raise BadDocument(str(exc).replace("The file", "The document", 1)) from exc
