"""What all declarations of a plugin have in common: how they are read, and the forms of credentials.

Boundary: foreign data, read once. What must stay true: whatever cannot be used is
refused with a sentence that names the file at fault.
"""

from collections.abc import Callable
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from api.core.model_runtime.types import CredentialField
from api.core.ports import JSONObject, JSONValue
from api.core.text.yaml_text import BadYAML, load_yaml
from api.core.tools.tool import Words

MAX_TEXT_CHARS = 2000
NAME = r"[a-z0-9][a-z0-9_-]{0,63}"
VARIABLE = r"[A-Za-z_][A-Za-z0-9_]{0,63}"

Read = Callable[[str], bytes]
"""Gives the bytes of a file of the package. Raises BadPackage where there is none."""
Made = TypeVar("Made", bound=BaseModel)


class BadPackage(Exception):
    """A package cannot be used; ``message`` is a sentence for whoever installs it."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def _localized(value: object) -> object:
    """Take a plain text for English."""
    return {"en_US": value} if isinstance(value, str) else value


class Declared(BaseModel):
    """What is common to all that is read: unknown keys are for other versions of other programs."""

    # Pydantic's own engine takes 10 MB for the patterns of names.
    model_config = ConfigDict(frozen=True, extra="ignore", regex_engine="python-re", protected_namespaces=())


class Localized(Declared):
    """A text for people."""

    en_US: str = Field(max_length=MAX_TEXT_CHARS)  # noqa: N815  # the word of the file
    zh_Hans: str = Field("", max_length=MAX_TEXT_CHARS)  # noqa: N815

    def words(self) -> Words:
        """Return it as tools know it."""
        return Words(self.en_US, self.zh_Hans)

    @property
    def chinese(self) -> str:
        """The Chinese text, or the English one in its place."""
        return self.zh_Hans or self.en_US


Text = Annotated[Localized, BeforeValidator(_localized)]


class Option(Declared):
    """One value of a select."""

    value: str
    label: Text


class DeclaredCredential(Declared):
    """One field of the form of a provider's credentials."""

    type: Annotated[
        Literal["text-input", "secret-input", "select"],
        BeforeValidator(lambda kind: "select" if kind == "radio" else kind),
    ] = "text-input"
    label: Text
    required: bool = False
    default: str | None = None
    placeholder: Text = Localized(en_US="")
    options: tuple[Option, ...] = ()

    def to_field(self, variable: str, *, is_address: bool) -> CredentialField:
        """Return it as forms of credentials are read and shown."""
        return CredentialField(
            variable=variable,
            label=self.label.en_US,
            label_zh=self.label.chinese,
            type=self.type,
            is_required=self.required,
            default=self.default,
            options=tuple(option.value for option in self.options),
            placeholder=self.placeholder.en_US,
            is_address=is_address,
        )


def read_yaml(path: str, read: Read) -> JSONObject:
    """Return the mapping in a file of the package. Raises BadPackage."""
    try:
        raw = load_yaml(read(path).decode())
    except (BadYAML, UnicodeDecodeError) as exc:
        raise BadPackage(f"{path[:200]} of the package cannot be read: {exc}") from exc
    if not isinstance(raw, dict):
        raise BadPackage(f"{path[:200]} of the package holds no mapping.")
    return raw


def checked(model: type[Made], raw: JSONObject, path: str) -> Made:
    """Return what a file declares as the values it must hold. Raises BadPackage naming the place at fault."""
    try:
        return model.model_validate(raw)
    except ValidationError as exc:
        fault = exc.errors()[0]
        place = ".".join(str(part) for part in fault["loc"])
        raise BadPackage(f"{path[:200]} of the package: {place}: {fault['msg']}.") from exc


def to_list(value: JSONValue) -> list[JSONValue]:
    """Return a value that should be a list; what is none is an empty one."""
    return value if isinstance(value, list) else []
