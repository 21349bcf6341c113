"""What a plugin says of itself: ``manifest.yaml`` and the declarations it names, in Dify's shape.

Boundary: foreign data, read once into values that are kept as JSON. What must
stay true: a kind of plugin that does not run here is refused with a sentence,
never installed and ignored. Wire: docs/how-to/plugin.md.
"""

import re
from collections.abc import Callable
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, ValidationError

from api.core.ports import JSONObject, JSONValue
from api.core.text.yaml_text import BadYAML, load_yaml
from api.core.tools.tool import Form, ParameterType, Words

MANIFEST = "manifest.yaml"
MAX_TOOLS = 100
MAX_LANGUAGE_CHARS = 2000
NAME = r"[a-z0-9][a-z0-9_-]{0,63}"
TOOL_NAME = r"[a-zA-Z0-9_-]{1,64}"
VERSION = r"[0-9]{1,6}\.[0-9]{1,6}\.[0-9]{1,6}(?:-[0-9a-z.]{1,32})?"
MODULE = r"[A-Za-z_][A-Za-z0-9_.]{0,99}"
IDENTIFIER = re.compile(rf"({NAME}/{NAME}):({VERSION})@([0-9a-f]{{64}})")
OTHER_KINDS = ("models", "endpoints", "agent_strategies", "datasources", "triggers")

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


class _Declared(BaseModel):
    """What is common to all that is read: unknown keys are for other versions of other programs."""

    # Pydantic's own engine takes 10 MB for the patterns below.
    model_config = ConfigDict(frozen=True, extra="ignore", regex_engine="python-re")


class Localized(_Declared):
    """A text for people."""

    en_US: str = Field(max_length=MAX_LANGUAGE_CHARS)  # noqa: N815  # the word of the file
    zh_Hans: str = Field("", max_length=MAX_LANGUAGE_CHARS)  # noqa: N815

    def words(self) -> Words:
        """Return it as tools know it."""
        return Words(self.en_US, self.zh_Hans)


Text = Annotated[Localized, BeforeValidator(_localized)]


class Option(_Declared):
    """One value of a select."""

    value: str
    label: Text


class Parameter(_Declared):
    """One argument of a tool."""

    name: str = Field(pattern=rf"^{TOOL_NAME}\Z")
    type: ParameterType = "string"
    form: Form = "llm"
    label: Text
    human_description: Text = Localized(en_US="")
    llm_description: str = ""
    required: bool = False
    default: JsonValue = None
    min: float | None = None
    max: float | None = None
    options: tuple[Option, ...] = ()


class ToolDescription(_Declared):
    """What a tool does, for people and for models."""

    human: Text
    llm: str = Field(min_length=1)


class ToolIdentity(_Declared):
    """What a tool is called."""

    name: str = Field(pattern=rf"^{TOOL_NAME}\Z")
    label: Text


class DeclaredTool(_Declared):
    """A tool of a plugin."""

    identity: ToolIdentity
    description: ToolDescription
    parameters: tuple[Parameter, ...] = ()
    output_schema: dict[str, JsonValue] = Field(default_factory=dict)


class DeclaredCredential(_Declared):
    """One field of the form of a provider's credentials."""

    type: Literal["text-input", "secret-input", "select"] = "text-input"
    label: Text
    required: bool = False
    default: str | None = None
    placeholder: Text = Localized(en_US="")
    options: tuple[Option, ...] = ()


class ProviderIdentity(_Declared):
    """What tools that belong together are called."""

    name: str = Field(pattern=rf"^{NAME}\Z")
    label: Text
    description: Text = Localized(en_US="")
    tags: tuple[str, ...] = ()


class DeclaredProvider(_Declared):
    """Tools that belong together; ``tools`` are the paths of files until they are read."""

    identity: ProviderIdentity
    credentials_for_provider: dict[str, DeclaredCredential] = Field(default_factory=dict)
    tools: tuple[DeclaredTool, ...] = Field(min_length=1, max_length=MAX_TOOLS)


class Resource(_Declared):
    """What a plugin asks for; ``memory`` is in bytes."""

    memory: int = Field(0, ge=0, le=2**40)


class Runner(_Declared):
    """How a plugin is started."""

    language: Literal["python"]
    version: str = ""
    entrypoint: str = Field(pattern=rf"^{MODULE}\Z")


class Meta(_Declared):
    """Of the file itself."""

    runner: Runner


class Manifest(_Declared):
    """A plugin, with the providers of tools it brings."""

    type: Literal["plugin"]
    author: str = Field(pattern=rf"^{NAME}\Z")
    name: str = Field(pattern=rf"^{NAME}\Z")
    version: str = Field(pattern=rf"^{VERSION}\Z")
    label: Text
    description: Text
    icon: str = ""
    created_at: str = ""
    tags: tuple[str, ...] = ()
    resource: Resource = Resource()
    meta: Meta
    providers: tuple[DeclaredProvider, ...] = Field(min_length=1, max_length=MAX_TOOLS)

    @property
    def plugin_id(self) -> str:
        """The author and the name, which every version has in common."""
        return f"{self.author}/{self.name}"

    def to_row(self) -> JSONObject:
        """Return what is kept of it."""
        return self.model_dump(mode="json")

    @classmethod
    def from_row(cls, row: JSONObject) -> "Manifest":
        """Return what :meth:`to_row` gave."""
        return cls.model_validate(row)


def read_manifest(read: Read) -> Manifest:
    """Return what a package says of itself. Raises BadPackage naming the file that is at fault."""
    raw = _yaml(MANIFEST, read)
    declared = raw.get("plugins")
    kinds = declared if isinstance(declared, dict) else {}
    for kind in OTHER_KINDS:
        if kinds.get(kind):
            raise BadPackage(f"Plugins that bring {kind.replace('_', ' ')} do not run here; only tools do.")
    paths = kinds.get("tools")
    providers: list[JSONValue] = [_provider(str(path), read) for path in _list(paths)[:MAX_TOOLS]]
    if not providers:
        raise BadPackage(f"{MANIFEST} names no tools under plugins.tools.")
    return _checked(Manifest, {**raw, "providers": providers}, MANIFEST)


def version_key(version: str) -> tuple[tuple[int, ...], bool, str]:
    """Return what versions are compared by; one with a suffix comes before the same without."""
    numbers, _, suffix = version.partition("-")
    return tuple(map(int, numbers.split("."))), not suffix, suffix


def _provider(path: str, read: Read) -> JSONValue:
    raw = _yaml(path, read)
    tools: list[JSONValue] = []
    for tool_path in _list(raw.get("tools"))[: MAX_TOOLS + 1]:
        tool = _yaml(str(tool_path), read)
        tools.append(_checked(DeclaredTool, tool, str(tool_path)).model_dump(mode="json"))
    return _checked(DeclaredProvider, {**raw, "tools": tools}, path).model_dump(mode="json")


def _list(value: JSONValue) -> list[JSONValue]:
    return value if isinstance(value, list) else []


def _yaml(path: str, read: Read) -> JSONObject:
    try:
        raw = load_yaml(read(path).decode())
    except (BadYAML, UnicodeDecodeError) as exc:
        raise BadPackage(f"{path[:200]} of the package cannot be read: {exc}") from exc
    if not isinstance(raw, dict):
        raise BadPackage(f"{path[:200]} of the package holds no mapping.")
    return raw


def _checked(model: type[Made], raw: JSONObject, path: str) -> Made:
    try:
        return model.model_validate(raw)
    except ValidationError as exc:
        fault = exc.errors()[0]
        place = ".".join(str(part) for part in fault["loc"])
        raise BadPackage(f"{path[:200]} of the package: {place}: {fault['msg']}.") from exc
