"""The properties of Notion's pages as text: what a row of a database says.

Boundary: pure. Shapes: Notion's API reference, "Page properties". What is not
understood, or names other things by id alone, is left out.
"""

from collections.abc import Callable, Mapping

from api.core.ports import JSONValue


def title_of(properties: Mapping[str, JSONValue]) -> str:
    """Return the title among a page's properties; each has one, under any name."""
    for value in properties.values():
        if isinstance(value, dict) and value.get("type") == "title":
            return to_text(value)
    return ""


def to_text(value: JSONValue) -> str:
    """Return the value of a property, lists joined by commas; ``""`` where there is none."""
    if not isinstance(value, dict):
        return ""
    kind = str(value.get("type"))
    read = READERS.get(kind)
    return read(value.get(kind)) if read else ""


def _spans(value: JSONValue) -> str:
    spans = value if isinstance(value, list) else []
    return " ".join("".join(_named(span, "plain_text") for span in spans).split())


def _name(value: JSONValue) -> str:
    return _named(value, "name")


def _names(value: JSONValue) -> str:
    return ", ".join(filter(None, map(_name, value if isinstance(value, list) else [])))


def _values(value: JSONValue) -> str:
    return ", ".join(filter(None, map(to_text, value if isinstance(value, list) else [])))


def _plain(value: JSONValue) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) if isinstance(value, str | int | float) else ""


def _date(value: JSONValue) -> str:
    return " to ".join(filter(None, (_named(value, "start"), _named(value, "end"))))


def _unique_id(value: JSONValue) -> str:
    number = value.get("number") if isinstance(value, dict) else None
    return "-".join(filter(None, (_named(value, "prefix"), _plain(number))))


def _named(value: JSONValue, key: str) -> str:
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, str) else ""


READERS: dict[str, Callable[[JSONValue], str]] = {
    **dict.fromkeys(("title", "rich_text"), _spans),
    **dict.fromkeys(("select", "status", "created_by", "last_edited_by"), _name),
    **dict.fromkeys(("multi_select", "people", "files"), _names),
    **dict.fromkeys(("checkbox", "boolean", "number", "string", "url", "email", "phone_number"), _plain),
    **dict.fromkeys(("created_time", "last_edited_time"), _plain),
    "date": _date,
    "unique_id": _unique_id,
    "formula": to_text,
    "rollup": to_text,
    "array": _values,
}
