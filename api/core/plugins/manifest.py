"""What a plugin says of itself: ``manifest.yaml`` and the declarations it names, in Dify's shape.

Boundary: foreign data, read once into values that are kept as JSON. What must
stay true: a kind of plugin that does not run here is refused with a sentence,
never installed and ignored. Wire: docs/how-to/plugin.md.
"""

import re
from collections.abc import Collection
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from api.core.model_runtime.provider import PROVIDERS
from api.core.plugins.declarations import (
    NAME,
    BadPackage,
    Declared,
    DeclaredCredential,
    Localized,
    Option,
    Read,
    Text,
    checked,
    read_yaml,
    to_list,
)
from api.core.plugins.model_manifest import DeclaredModelProvider, read_model_provider
from api.core.ports import JSONObject, JSONValue
from api.core.tools.tool import Form, ParameterType

MANIFEST = "manifest.yaml"
MAX_TOOLS = 100
MAX_HOSTS = 50
TOOL_NAME = r"[a-zA-Z0-9_-]{1,64}"
VERSION = r"[0-9]{1,6}\.[0-9]{1,6}\.[0-9]{1,6}(?:-[0-9a-z.]{1,32})?"
MODULE = r"[A-Za-z_][A-Za-z0-9_.]{0,99}"
HOST = r"(?:\*\.)?[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?(?::[0-9]{1,5})?"
IDENTIFIER = re.compile(rf"({NAME}/{NAME}):({VERSION})@([0-9a-f]{{64}})")
OTHER_KINDS = ("endpoints", "agent_strategies", "datasources", "triggers")


class Parameter(Declared):
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


class ToolDescription(Declared):
    """What a tool does, for people and for models."""

    human: Text
    llm: str = Field(min_length=1)


class ToolIdentity(Declared):
    """What a tool is called."""

    name: str = Field(pattern=rf"^{TOOL_NAME}\Z")
    label: Text


class DeclaredTool(Declared):
    """A tool of a plugin."""

    identity: ToolIdentity
    description: ToolDescription
    parameters: tuple[Parameter, ...] = ()
    output_schema: dict[str, JsonValue] = Field(default_factory=dict)


class ProviderIdentity(Declared):
    """What tools that belong together are called."""

    name: str = Field(pattern=rf"^{NAME}\Z")
    label: Text
    description: Text = Localized(en_US="")
    tags: tuple[str, ...] = ()


class DeclaredProvider(Declared):
    """Tools that belong together; ``tools`` are the paths of files until they are read."""

    identity: ProviderIdentity
    credentials_for_provider: dict[str, DeclaredCredential] = Field(default_factory=dict)
    tools: tuple[DeclaredTool, ...] = Field(min_length=1, max_length=MAX_TOOLS)


class Network(Declared):
    """Where calls of a plugin may go: ``hosts``, and the addresses that ``credentials`` of these names hold.

    A host is a name, with ``*.`` for all below it, and a port where that is
    another than HTTP's.
    """

    hosts: tuple[Annotated[str, Field(pattern=rf"^{HOST}\Z")], ...] = Field((), max_length=MAX_HOSTS)
    credentials: tuple[str, ...] = Field((), max_length=MAX_HOSTS)


class Permission(Declared):
    """What a plugin may do besides answering."""

    network: Network = Network()


class Resource(Declared):
    """What a plugin asks for; ``memory`` is in bytes."""

    memory: int = Field(0, ge=0, le=2**40)
    permission: Permission = Permission()


class Runner(Declared):
    """How a plugin is started."""

    language: Literal["python"]
    version: str = ""
    entrypoint: str = Field(pattern=rf"^{MODULE}\Z")


class Meta(Declared):
    """Of the file itself."""

    runner: Runner


class Manifest(Declared):
    """A plugin, with the providers of tools and of models it brings."""

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
    providers: tuple[DeclaredProvider, ...] = Field((), max_length=MAX_TOOLS)
    models: tuple[DeclaredModelProvider, ...] = Field((), max_length=MAX_TOOLS)

    @property
    def plugin_id(self) -> str:
        """The author and the name, which every version has in common."""
        return f"{self.author}/{self.name}"

    @property
    def network(self) -> Network:
        """Where its calls may go."""
        return self.resource.permission.network

    @property
    def categories(self) -> tuple[str, ...]:
        """What it brings, in the words of the console; what it is listed as comes first."""
        brought = (("model", self.models), ("tool", self.providers))
        return tuple(word for word, providers in brought if providers)

    def to_row(self) -> JSONObject:
        """Return what is kept of it."""
        return self.model_dump(mode="json")

    @classmethod
    def from_row(cls, row: JSONObject) -> "Manifest":
        """Return what :meth:`to_row` gave."""
        return cls.model_validate(row)


def read_manifest(read: Read, paths: Collection[str]) -> Manifest:
    """Return what a package of some files says of itself. Raises BadPackage naming the file at fault."""
    raw = read_yaml(MANIFEST, read)
    declared = raw.get("plugins")
    kinds = declared if isinstance(declared, dict) else {}
    for kind in OTHER_KINDS:
        if kinds.get(kind):
            words = kind.replace("_", " ")
            raise BadPackage(f"Plugins that bring {words} do not run here; tools and models do.")
    tools: list[JSONValue] = [_provider(str(path), read) for path in to_list(kinds.get("tools"))[:MAX_TOOLS]]
    models: list[JSONValue] = [
        read_model_provider(str(path), read, paths) for path in to_list(kinds.get("models"))[:MAX_TOOLS]
    ]
    if not tools and not models:
        raise BadPackage(f"{MANIFEST} names no tools under plugins.tools and no models under plugins.models.")
    manifest = checked(Manifest, {**raw, "providers": tools, "models": models}, MANIFEST)
    _check_names(manifest)
    return manifest


def version_key(version: str) -> tuple[tuple[int, ...], bool, str]:
    """Return what versions are compared by; one with a suffix comes before the same without."""
    numbers, _, suffix = version.partition("-")
    return tuple(map(int, numbers.split("."))), not suffix, suffix


def _provider(path: str, read: Read) -> JSONValue:
    raw = read_yaml(path, read)
    tools: list[JSONValue] = []
    for tool_path in to_list(raw.get("tools"))[: MAX_TOOLS + 1]:
        tool = read_yaml(str(tool_path), read)
        tools.append(checked(DeclaredTool, tool, str(tool_path)).model_dump(mode="json"))
    return checked(DeclaredProvider, {**raw, "tools": tools}, path).model_dump(mode="json")


def _check_names(manifest: Manifest) -> None:
    """Raise BadPackage where names are taken twice, or name what is not there."""
    fields = {variable for each in manifest.providers for variable in each.credentials_for_provider}
    fields = fields.union(*(each.variables for each in manifest.models))
    for variable in manifest.network.credentials:
        if variable not in fields:
            raise BadPackage(f"{MANIFEST}: no form has the field {variable[:100]!r} of permission.network.")
    names = [each.provider for each in manifest.models]
    if len(set(names)) < len(names):
        raise BadPackage(f"{MANIFEST} names a provider of models twice.")
    own = {known.schema.long_id for known in PROVIDERS.values()}
    for name in names:
        if f"{manifest.plugin_id}/{name}" in own:
            raise BadPackage(f"The model provider {manifest.plugin_id}/{name} is a part of this program.")
