"""From a request to a frozen value: strict types, one sentence and one field per fault.

``parse(parser, Into)`` reads what the parser declares and builds ``Into`` from
it, so that a door never sees a dictionary. Only this module and
``controllers/schemas`` know of flask-restx's reqparse. Types are strict in a
JSON body (no ``"5"`` for 5); in a query or form, where all is text, digits are
numbers.
"""

import math
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import orjson
from flask import Request, g, request
from flask_restx.reqparse import Argument, RequestParser

from api.controllers.http.door import present_request
from api.controllers.http.errors import MediaTypeUnsupported
from api.core.ports import JSONObject, JSONValue
from api.errors import BadRequest, InvalidRequest

MAX_DEPTH = 64
Into = TypeVar("Into")


class Unset:
    """The type of UNSET: a field the client did not send, which is not the same as null."""

    def __bool__(self) -> bool:
        return False


UNSET = Unset()


class Field(Argument):
    """One declared parameter; its faults are InvalidRequest with the field's name."""

    def source(self, request: Request) -> Mapping[str, Any]:
        """Return where a parameter of the query or of a form is looked for."""
        return getattr(request, self.location)  # type: ignore[no-any-return]

    def parse(self, request: Request, bundle_errors: bool = False) -> tuple[object, bool]:
        """Return the value and whether there is one; who a guest is says its passport, not the request."""
        if self.type is user_name and "guest" in g:
            return g.guest.user, True
        if self.location != "json":
            return super().parse(request, bundle_errors)  # type: ignore[no-any-return]
        body = json_body(request)  # each name has one value there
        if self.name not in body:
            if self.required:
                raise self._missing()
            return None, False
        try:
            return self.convert(body[self.name], "="), True
        except InvalidRequest as error:
            raise self._named(error) from error

    def convert(self, value: object, op: str) -> object:
        """Check one value; null counts as absent unless the field is nullable."""
        del op
        if value is None:
            if self.nullable:
                return None
            raise InvalidRequest(
                f"Parameter {self.name!r} must not be null", field=self.name, fault="invalid_type"
            )
        return self.type(value)

    def _named(self, error: InvalidRequest) -> InvalidRequest:
        """Return a fault in words that name the field."""
        if error.fault == "required" and error.field is None:
            return self._missing()
        message = error.message.replace("The value", f"Parameter {self.name!r}", 1)
        return InvalidRequest(message, field=error.field or self.name, fault=error.fault)

    def _missing(self) -> InvalidRequest:
        return InvalidRequest(f"Parameter {self.name!r} is required", field=self.name, fault="required")

    def handle_validation_error(self, error: object, bundle_errors: bool) -> None:
        """Raise the fault as our error, naming the field."""
        del bundle_errors
        if isinstance(error, InvalidRequest):
            raise self._named(error)
        if isinstance(error, Exception):
            raise error
        raise self._missing()


class Parser(RequestParser):
    """A parser; never changed once made, so it stands for itself where a door's description is copied."""

    def __deepcopy__(self, memo: object) -> Self:
        return self


def parser(*fields: Field) -> Parser:
    """Return a parser of the given fields."""
    made = Parser(argument_class=Field)
    for field in fields:
        made.add_argument(field)
    return made


def json_field(name: str, type: Callable[[Any], object], **options: Any) -> Field:  # noqa: A002  # reqparse's word
    """Declare a key of the JSON body: absent means the dataclass's own default.

    Null is refused unless the field is ``nullable``; then it is given on as None.
    """
    return Field(name, type=type, location="json", store_missing=False, **{"nullable": False, **options})


def query_field(name: str, type: Callable[[Any], object], **options: Any) -> Field:  # noqa: A002
    """Declare a query parameter."""
    return Field(name, type=type, location="args", store_missing=False, **options)


def form_field(name: str, type: Callable[[Any], object], **options: Any) -> Field:  # noqa: A002
    """Declare a field of a multipart form."""
    return Field(name, type=type, location="form", store_missing=False, **options)


def parse(fields: Parser, into: type[Into]) -> Into:
    """Return ``into`` built from the present request; raises InvalidRequest for the first fault."""
    return into(**fields.parse_args(present_request()))


def json_body(req: Request = request, *, may_be_text: bool = False) -> JSONObject:
    """Return the body as a JSON object, read and checked once per request.

    ``may_be_text`` takes text/plain too, as browsers send what a page leaves behind.

    Raises BadRequest for a body that is empty or no JSON, InvalidRequest for
    JSON of another kind, nested deeper than 64 or holding a NUL, and
    MediaTypeUnsupported for a body that does not say that it is JSON.
    """
    known = getattr(req, "_house_json", None)
    if known is None:
        known = _read_json(req, is_text=may_be_text and req.mimetype == "text/plain")
        req._house_json = known  # type: ignore[attr-defined]  # noqa: SLF001  # lives and dies with the request
    return known


def _read_json(req: Request, *, is_text: bool) -> JSONObject:
    raw = req.get_data()
    if raw and not (req.is_json or is_text):
        raise MediaTypeUnsupported("The request's Content-Type must be application/json.")
    check_depth(raw)
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise BadRequest("Invalid JSON payload received or JSON payload is empty.") from None
    if not isinstance(body, dict):
        raise InvalidRequest("The JSON payload must be an object.")
    if b"\\u0000" in raw:
        check_text(body)
    return body


def check_depth(raw: bytes) -> None:
    """Raise InvalidRequest where brackets nest deeper than 64; looks only at bodies that could."""
    if raw.count(b"{") + raw.count(b"[") <= MAX_DEPTH:
        return
    depth = 0
    for token in re.finditer(rb'"(?:[^"\\]|\\.)*+"|[{}\[\]]', raw, re.DOTALL):
        mark = token[0]
        if mark in (b"{", b"["):
            depth += 1
            if depth > MAX_DEPTH:
                raise InvalidRequest(f"The JSON payload is nested deeper than {MAX_DEPTH} levels.")
        elif mark in (b"}", b"]"):
            depth -= 1


def check_text(value: JSONValue) -> None:
    """Raise InvalidRequest where a text holds a NUL, which no database column takes."""
    match value:
        case str() if "\x00" in value:
            raise InvalidRequest("Text must not contain NUL characters.", fault="invalid_format")
        case dict():
            for key, item in value.items():
                check_text(key)
                check_text(item)
        case list():
            for item in value:
                check_text(item)


# -- types of values -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A string of ``min_length`` to ``max_length`` characters, trimmed first when asked.

    ``needs_content`` makes an empty one as good as none.
    """

    min_length: int = 0
    max_length: int | None = None
    is_trimmed: bool = False
    needs_content: bool = False
    pattern: str | None = None
    hint: str = "the expected format"

    def __call__(self, value: object) -> str:
        if not isinstance(value, str):
            raise InvalidRequest("The value must be a string", fault="invalid_type")
        text = value.strip() if self.is_trimmed else value
        if "\x00" in text:
            raise InvalidRequest("Text must not contain NUL characters", fault="invalid_format")
        if self.needs_content and not text:
            raise InvalidRequest("The value is required", fault="required")
        if len(text) < self.min_length:
            raise InvalidRequest(
                f"The value must have at least {self.min_length} character(s)", fault="too_short"
            )
        if self.max_length is not None and len(text) > self.max_length:
            raise InvalidRequest(
                f"The value must have at most {self.max_length} characters", fault="too_long"
            )
        if self.pattern and not re.fullmatch(self.pattern, text):
            raise InvalidRequest(f"The value must be {self.hint}", fault="invalid_format")
        return text

    @property
    def __schema__(self) -> dict[str, object]:
        schema: dict[str, object] = {"type": "string"}
        if self.min_length or self.needs_content:
            schema["minLength"] = self.min_length or 1
        if self.max_length is not None:
            schema["maxLength"] = self.max_length
        return schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Integer:
    """A whole number in a range; in a query or form its decimal digits (``is_text``)."""

    minimum: int = 0
    maximum: int = 2**31 - 1
    is_text: bool = False

    def __call__(self, value: object) -> int:
        if self.is_text and isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,20}", value.strip()):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise InvalidRequest("The value must be an integer", fault="invalid_type")
        if not self.minimum <= value <= self.maximum:
            raise InvalidRequest(
                f"The value must be between {self.minimum} and {self.maximum}", fault="out_of_range"
            )
        return value

    @property
    def __schema__(self) -> dict[str, object]:
        return {"type": "integer", "minimum": self.minimum, "maximum": self.maximum}


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A finite number in a range."""

    minimum: float = -math.inf
    maximum: float = math.inf

    def __call__(self, value: object) -> float:
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
            raise InvalidRequest("The value must be a finite number", fault="invalid_type")
        if not self.minimum <= value <= self.maximum:
            raise InvalidRequest(
                f"The value must be between {self.minimum} and {self.maximum}", fault="out_of_range"
            )
        return float(value)

    @property
    def __schema__(self) -> dict[str, object]:
        return {"type": "number"}


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a closed set of words."""

    words: tuple[str, ...]

    def __call__(self, value: object) -> str:
        if not isinstance(value, str):
            raise InvalidRequest("The value must be a string", fault="invalid_type")
        if value not in self.words:
            raise InvalidRequest(f"The value must be one of: {', '.join(self.words)}", fault="invalid_choice")
        return value

    @property
    def __schema__(self) -> dict[str, object]:
        return {"type": "string", "enum": list(self.words)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Boolean:
    """True or false; in a query or form the words of either (``is_text``)."""

    is_text: bool = False

    def __call__(self, value: object) -> bool:
        if self.is_text and isinstance(value, str):
            value = {"true": True, "1": True, "false": False, "0": False}.get(value.lower(), value)
        if not isinstance(value, bool):
            raise InvalidRequest("The value must be a boolean", fault="invalid_type")
        return value

    @property
    def __schema__(self) -> dict[str, object]:
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Object:
    """A JSON object; an empty array counts as an empty object where ``takes_empty_list`` says so.

    PHP clients write an empty map as ``[]``.
    """

    takes_empty_list: bool = False

    def __call__(self, value: object) -> JSONObject:
        if self.takes_empty_list and value == []:
            return {}
        if not isinstance(value, dict):
            raise InvalidRequest("The value must be an object", fault="invalid_type")
        return value

    @property
    def __schema__(self) -> dict[str, object]:
        return {"type": "object"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """A JSON array whose items each pass ``item``."""

    item: Callable[[Any], object]
    max_items: int = 1000
    min_items: int = 0

    def __call__(self, value: object) -> tuple[object, ...]:
        if not isinstance(value, list):
            raise InvalidRequest("The value must be an array", fault="invalid_type")
        if len(value) > self.max_items:
            raise InvalidRequest(f"The value must have at most {self.max_items} items", fault="too_long")
        if len(value) < self.min_items:
            raise InvalidRequest(f"The value must have at least {self.min_items} items", fault="too_short")
        return tuple(self.item(item) for item in value)

    @property
    def __schema__(self) -> dict[str, object]:
        return {"type": "array", "items": getattr(self.item, "__schema__", {"type": "string"})}


class UUID:
    """A UUID, given back in lower case; blank counts as absent where ``may_be_blank``."""

    __schema__ = {"type": "string", "format": "uuid"}  # noqa: RUF012  # restx reads it off the instance

    def __init__(self, *, may_be_blank: bool = False) -> None:
        self.may_be_blank = may_be_blank

    def __call__(self, value: object) -> str | None:
        if not isinstance(value, str):
            raise InvalidRequest("The value must be a string", fault="invalid_type")
        if self.may_be_blank and not value.strip():
            return None
        return checked_uuid(value)


def checked_uuid(value: str) -> str:
    """Return a UUID in lower case; raises InvalidRequest for anything else."""
    if len(value) == 36:
        try:
            return str(uuid.UUID(value))
        except ValueError:
            pass
    raise InvalidRequest(f"{value[:64]!r} is not a valid uuid", fault="invalid_format")


def user_name(value: object) -> str:
    """Return the end user's name: a string, or an integer as its digits. Real clients send both."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return Text(needs_content=True, max_length=255)(value)


user_name.__schema__ = {"type": "string"}  # type: ignore[attr-defined]  # restx documents the parameter by it
