"""What a plugin says of the models it brings, in Dify's shape: providers, models, forms, parameters, prices.

Boundary: declarations alone; ``models.py`` beside this file calls them. What must
stay true: a type of models that is not called here is refused, never ignored.
"""

from collections.abc import Iterable
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, JsonValue

from api.core.model_runtime.openai_models import CHAT_PARAMETERS
from api.core.model_runtime.types import (
    FREE,
    CredentialField,
    ModelSchema,
    ModelType,
    ParameterRule,
    Price,
    ProviderSchema,
)
from api.core.plugins.declarations import (
    NAME,
    VARIABLE,
    BadPackage,
    Declared,
    DeclaredCredential,
    Localized,
    Read,
    Text,
    checked,
    read_yaml,
    to_list,
)
from api.core.ports import JSONObject, JSONValue

MAX_MODELS = 300
MAX_FIELDS = 50
MAX_CONTEXT_TOKENS = 100_000_000
MAX_CHUNKS = 2048
DEFAULT_CONTEXT_TOKENS = 4_096
TYPES = {"llm": ModelType.LLM, "text-embedding": ModelType.TEXT_EMBEDDING, "rerank": ModelType.RERANK}
"""The types of models that plugins may bring."""
TOP_K = ParameterRule(name="top_k", label="Top K", label_zh="Top K", type="int", default=50, min=1, max=100)
TEMPLATES = {rule.name: rule for rule in (*CHAT_PARAMETERS, TOP_K)}
DEFAULT_BACKGROUND = "#F2F4F7"
NO_DRAWING = ""
"""A plugin's picture is a file of its package."""

Type = Literal["llm", "text-embedding", "rerank"]


def _numbers_as_text(value: object) -> object:
    """Take a number for the digits it is written with, so that no price goes through binary fractions."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


Amount = Annotated[Decimal, BeforeValidator(_numbers_as_text)]


class Pricing(Declared):
    """Prices of a model: ``input`` and ``output`` for ``unit`` tokens (0.000001 = for a million)."""

    input: Amount = Field(Decimal(0), ge=0, le=10**6)
    output: Amount = Field(Decimal(0), ge=0, le=10**6)
    unit: Amount = Field(Decimal("0.000001"), gt=0, le=1)
    currency: str = Field("USD", pattern=r"^[A-Z]{3}\Z")


class Properties(Declared):
    """The figures of a model."""

    context_size: int = Field(DEFAULT_CONTEXT_TOKENS, ge=1, le=MAX_CONTEXT_TOKENS)
    max_chunks: int = Field(1, ge=1, le=MAX_CHUNKS)


class Rule(Declared):
    """One completion parameter; what it leaves out is that of the template it uses."""

    name: str = Field(pattern=rf"^{VARIABLE}\Z")
    use_template: str = ""
    label: Text | None = None
    type: Literal["float", "int", "string", "boolean", "text"] | None = None
    default: JsonValue = None
    min: float | None = None
    max: float | None = None
    precision: int | None = None
    options: tuple[str, ...] = ()

    def to_rule(self) -> ParameterRule:
        """Return it as models have them."""
        like = TEMPLATES.get(self.use_template or self.name)
        label = self.label or Localized(en_US=like.label if like else self.name)
        return ParameterRule(
            name=self.name,
            label=label.en_US,
            label_zh=self.label.chinese if self.label else like.label_zh if like else self.name,
            type=self.type or (like.type if like else "string"),
            default=self.default if self.default is not None or like is None else like.default,
            min=self.min if self.min is not None or like is None else like.min,
            max=self.max if self.max is not None or like is None else like.max,
            precision=self.precision if self.precision is not None or like is None else like.precision,
            options=self.options or (like.options if like else ()),
        )


class DeclaredModel(Declared):
    """A model of a provider."""

    model: str = Field(min_length=1, max_length=255)
    label: Text | None = None
    model_type: Type
    features: tuple[str, ...] = ()
    model_properties: Properties = Properties()
    parameter_rules: tuple[Rule, ...] = Field((), max_length=MAX_FIELDS)
    pricing: Pricing | None = None

    def to_schema(self) -> ModelSchema:
        """Return it as models are known."""
        pricing, is_embedding = self.pricing, self.model_type == "text-embedding"
        most = next((rule.max for rule in self.parameter_rules if rule.name == "max_tokens"), None)
        return ModelSchema(
            model=self.model,
            type=TYPES[self.model_type],
            label=self.label.en_US if self.label else self.model,
            context_tokens=self.model_properties.context_size,
            max_output_tokens=int(most or 0) if (most or 0) < self.model_properties.context_size else 0,
            features=frozenset(self.features),
            price=FREE if pricing is None else Price(**pricing.model_dump()),
            max_chunks=self.model_properties.max_chunks if is_embedding else 0,
            rules=tuple(rule.to_rule() for rule in self.parameter_rules),
        )


class FormField(DeclaredCredential):
    """One field of a form; one that is ``show_on`` others is asked for in some cases, so never required."""

    variable: str = Field(pattern=rf"^{VARIABLE}\Z")
    show_on: tuple[JsonValue, ...] = ()

    def in_form(self, addresses: Iterable[str]) -> CredentialField:
        """Return it as forms are read and shown; ``addresses`` are those fields that say where calls go."""
        field = self.model_copy(update={"required": self.required and not self.show_on})
        return field.to_field(self.variable, is_address=self.variable in addresses)


class Form(Declared):
    """The form of a provider's, or a model's, credentials."""

    credential_form_schemas: tuple[FormField, ...] = Field((), max_length=MAX_FIELDS)


class Help(Declared):
    """Where credentials come from."""

    url: Text


class DeclaredModelProvider(Declared):
    """Models that belong together; ``models`` are the patterns of files until they are read."""

    provider: str = Field(pattern=rf"^{NAME}\Z")
    label: Text
    description: Text = Localized(en_US="")
    background: str = Field(DEFAULT_BACKGROUND, pattern=r"^#[0-9A-Fa-f]{3,8}\Z")
    help: Help | None = None
    supported_model_types: tuple[Type, ...] = Field(min_length=1)
    configurate_methods: tuple[Literal["predefined-model", "customizable-model"], ...] = ("predefined-model",)
    provider_credential_schema: Form = Form()
    model_credential_schema: Form = Form()
    parameter_rules: tuple[Rule, ...] = Field((), max_length=MAX_FIELDS)
    models: tuple[DeclaredModel, ...] = Field((), max_length=MAX_MODELS)

    @property
    def variables(self) -> frozenset[str]:
        """The names of the fields of both forms."""
        forms = (self.provider_credential_schema, self.model_credential_schema)
        return frozenset(field.variable for form in forms for field in form.credential_form_schemas)

    def to_schema(self, plugin_id: str, addresses: frozenset[str]) -> ProviderSchema:
        """Return it as providers are known, by ``author/plugin/provider``."""
        of_provider = [
            field.in_form(addresses) for field in self.provider_credential_schema.credential_form_schemas
        ]
        known = {field.variable for field in of_provider}
        of_model = [
            field.in_form(addresses)
            for field in self.model_credential_schema.credential_form_schemas
            if field.variable not in known
        ]
        is_customizable = "customizable-model" in self.configurate_methods
        return ProviderSchema(
            id=f"{plugin_id}/{self.provider}",
            plugin_id=plugin_id,
            label=self.label.en_US,
            label_zh=self.label.chinese,
            description=self.description.en_US,
            description_zh=self.description.chinese,
            background=self.background,
            icon_svg=NO_DRAWING,
            models=tuple(model.to_schema() for model in self.models),
            credential_fields=tuple(of_provider),
            model_credential_fields=tuple(of_model) if is_customizable else (),
            parameter_rules=tuple(rule.to_rule() for rule in self.parameter_rules),
            custom_model_types=frozenset(TYPES[each] for each in self.supported_model_types)
            if is_customizable
            else frozenset(),
            help_url=self.help.url.en_US if self.help else None,
        )


def read_model_provider(path: str, read: Read, paths: Iterable[str]) -> JSONValue:
    """Return a provider that a file declares, with the models of the files it names. Raises BadPackage."""
    raw = read_yaml(path, read)
    models: list[JSONValue] = []
    for model_path in _model_paths(raw, paths):
        model = checked(DeclaredModel, read_yaml(model_path, read), model_path)
        models.append(model.model_dump(mode="json"))
    declared = checked(DeclaredModelProvider, _plain(raw) | {"models": models}, path)
    strange = {model.model_type for model in declared.models} - set(declared.supported_model_types)
    if strange:
        raise BadPackage(
            f"{path[:200]} of the package does not support the type {min(strange)} of its models."
        )
    if not declared.models and "customizable-model" not in declared.configurate_methods:
        raise BadPackage(f"{path[:200]} of the package names no models, and takes none by name.")
    names = [(model.model_type, model.model) for model in declared.models]
    if len(set(names)) < len(names):
        raise BadPackage(f"{path[:200]} of the package names a model twice.")
    return declared.model_dump(mode="json")


def _plain(raw: JSONObject) -> JSONObject:
    """Return a declaration without the keys that are there and empty."""
    return {key: value for key, value in raw.items() if value is not None}


def _model_paths(raw: JSONObject, paths: Iterable[str]) -> list[str]:
    """Return the files of the models, in order; what is named with ``_`` tells of other things."""
    declared = raw.get("models")
    found: list[str] = []
    for kind in declared.values() if isinstance(declared, dict) else ():
        patterns = to_list(kind.get("predefined")) if isinstance(kind, dict) else []
        for pattern in patterns:
            found += sorted(path for path in paths if fnmatchcase(path, str(pattern)))
    return [path for path in dict.fromkeys(found) if not path.rpartition("/")[2].startswith("_")]
