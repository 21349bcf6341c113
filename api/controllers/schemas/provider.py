"""Model providers on the wire: what the console sends of credentials and models, and what it is shown."""

from collections.abc import Callable
from dataclasses import dataclass

from flask_restx import fields

from api.controllers.http.model import Model
from api.controllers.http.parsing import (
    UUID,
    Choice,
    Field,
    Items,
    Object,
    Text,
    json_field,
    parser,
    query_field,
)
from api.core.model_runtime.provider import short_id
from api.core.model_runtime.types import (
    CredentialField,
    IdStyle,
    ModelRef,
    ModelType,
    ParameterRule,
    ProviderSchema,
)
from api.core.ports import JSONObject, JSONValue
from api.services.provider_snapshot import AddedModel
from api.services.providers import CredentialName, ModelView, ProviderView, Status

MODEL_TYPES = tuple(kind.value for kind in ModelType)
ICONS = ("icon_small", "icon_small_dark", "icon_large")
LANGUAGES = ("zh_Hans", "en_US")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderListIn:
    """Which type of models to list providers of; None: any."""

    model_type: ModelType | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialQuery:
    """Which credentials to show; None: those in use."""

    credential_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialIn:
    """A filled-in form; ``credential_id`` names what it replaces or repeats secrets of."""

    credentials: JSONObject
    credential_id: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialChangeIn:
    """A filled-in form that replaces stored credentials."""

    credential_id: str
    credentials: JSONObject
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialIdIn:
    """Which credentials are meant."""

    credential_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelIn:
    """Which model of a provider is meant."""

    model: str
    model_type: ModelType


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCredentialIn(ModelIn):
    """A filled-in form of a model's own credentials."""

    credentials: JSONObject
    credential_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCredentialChangeIn(ModelIn):
    """A filled-in form that replaces a model's own credentials."""

    credentials: JSONObject
    credential_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCredentialIdIn(ModelIn):
    """Which of a model's own credentials are meant."""

    credential_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesQuery:
    """Which model's parameters to show."""

    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DefaultQuery:
    """Which type's default model to show."""

    model_type: ModelType


@dataclass(frozen=True, slots=True, kw_only=True)
class DefaultsIn:
    """The models to use from now on where none is named, by type."""

    model_settings: tuple[tuple[ModelType, ModelRef] | None, ...]

    @property
    def chosen(self) -> dict[ModelType, ModelRef]:
        """The types that name a model; the others stay as they are."""
        return dict(setting for setting in self.model_settings if setting is not None)


def model_type(value: object) -> ModelType:
    """Return a type of models by its word."""
    return ModelType(Choice(MODEL_TYPES)(value))


model_type.__schema__ = Choice(MODEL_TYPES).__schema__  # type: ignore[attr-defined]  # read by restx

MODEL_NAME = Text(min_length=1, max_length=255, is_trimmed=True)


def _setting(value: object) -> tuple[ModelType, ModelRef] | None:
    """Return type and model of one setting; None where it names no model."""
    setting = Object()(value)
    kind = model_type(setting.get("model_type"))
    if setting.get("model") is None or setting.get("provider") is None:
        return None
    provider = Text(min_length=1, max_length=255)(setting["provider"])
    return kind, ModelRef(short_id(provider), MODEL_NAME(setting["model"]))


_setting.__schema__ = Object().__schema__  # type: ignore[attr-defined]  # read by restx

NAME = json_field(
    "name", Text(min_length=1, max_length=30, is_trimmed=True), nullable=True, help="1 to 30 characters."
)
CREDENTIALS = json_field(
    "credentials", Object(), required=True, help="The form's fields; a masked secret keeps its stored value."
)
CREDENTIAL_ID = json_field("credential_id", UUID(), required=True)
OPTIONAL_ID = json_field("credential_id", UUID(may_be_blank=True), nullable=True)


def _model_fields(declare: Callable[..., Field]) -> tuple[Field, Field]:
    return declare("model", MODEL_NAME, required=True), declare("model_type", model_type, required=True)


PROVIDER_LIST = parser(query_field("model_type", model_type, help="Only models of this type."))
CREDENTIAL_QUERY = parser(
    query_field("credential_id", UUID(may_be_blank=True), help="Those in use if absent.")
)
CREDENTIAL = parser(CREDENTIALS, OPTIONAL_ID, NAME)
CREDENTIAL_CHANGE = parser(CREDENTIAL_ID, CREDENTIALS, NAME)
CREDENTIAL_CHOICE = parser(CREDENTIAL_ID)
MODEL = parser(*_model_fields(json_field))
MODEL_QUERY = parser(*_model_fields(query_field))
MODEL_CREDENTIAL = parser(*_model_fields(json_field), CREDENTIALS, OPTIONAL_ID)
MODEL_CREDENTIAL_CHANGE = parser(*_model_fields(json_field), CREDENTIALS, CREDENTIAL_ID)
MODEL_CREDENTIAL_CHOICE = parser(*_model_fields(json_field), CREDENTIAL_ID)
RULES_QUERY = parser(query_field("model", MODEL_NAME, required=True))
DEFAULT_QUERY = parser(query_field("model_type", model_type, required=True))
DEFAULTS = parser(json_field("model_settings", Items(item=_setting, max_items=20), required=True))

PROVIDER_MODEL = Model(
    "ModelProvider",
    {
        "tenant_id": fields.String,
        "provider": fields.String(
            description="Long id, such as langgenius/openai/openai; short ids are accepted."
        ),
        "provider_short": fields.String,
        "label": fields.Raw,
        "description": fields.Raw,
        "icon_small": fields.Raw,
        "icon_small_dark": fields.Raw(nullable=True),
        "icon_large": fields.Raw,
        "background": fields.String,
        "help": fields.Raw(nullable=True),
        "status": fields.String(enum=[status.value for status in Status]),
        "models": fields.List(fields.Raw),
        "supported_model_types": fields.List(fields.String(enum=MODEL_TYPES)),
        "configurate_methods": fields.List(fields.String),
        "provider_credential_schema": fields.Raw(nullable=True),
        "model_credential_schema": fields.Raw(nullable=True),
        "preferred_provider_type": fields.String,
        "custom_configuration": fields.Raw,
        "system_configuration": fields.Raw,
    },
)
PROVIDER_LIST_MODEL = Model("ModelProviders", {"data": fields.List(fields.Nested(PROVIDER_MODEL))})

_USABLE_KEYS = (
    "tenant_id",
    "provider",
    "label",
    "icon_small",
    "icon_small_dark",
    "icon_large",
    "status",
    "models",
)
USABLE_MODEL = Model("UsableProvider", {key: PROVIDER_MODEL[key] for key in _USABLE_KEYS})
USABLE_MODELS = Model("UsableModels", {"data": fields.List(fields.Nested(USABLE_MODEL))})


def render_provider(view: ProviderView, base_url: str) -> JSONObject:
    """Return a provider in full; ``base_url`` is where its icons are fetched."""
    schema = view.schema
    return {
        **_head(view, base_url),
        "provider_short": schema.id,
        "description": _both(schema.description, schema.description_zh),
        "background": schema.background,
        "help": _render_help(schema),
        "models": [render_model(model) for model in view.models],
        "supported_model_types": [kind.value for kind in schema.model_types],
        "configurate_methods": _methods(schema),
        "provider_credential_schema": _render_form(schema.credential_fields),
        "model_credential_schema": _render_model_form(schema),
        "preferred_provider_type": "custom",
        "custom_configuration": _render_custom(view),
        "system_configuration": {
            "enabled": False,
            "current_quota_type": None,
            "quota_configurations": [],
        },
    }


def render_usable(view: ProviderView, base_url: str) -> JSONObject:
    """Return a provider with the models that can be called now, as model pickers show it."""
    return {**_head(view, base_url), "models": [render_model(model) for model in view.usable_models]}


def render_default(
    found: tuple[ModelRef, ProviderSchema] | None,
    kind: ModelType,
    tenant_id: str,
    base_url: str,
    id_style: IdStyle,
) -> JSONObject | None:
    """Return the model that serves a type where none is named."""
    if found is None:
        return None
    ref, schema = found
    return {
        "model": ref.model,
        "model_type": kind.value,
        "provider": {
            "tenant_id": tenant_id,
            "provider": schema.named(id_style),
            "label": _both(schema.label, schema.label_zh),
            "icon_small": _icon(schema, tenant_id, base_url, "icon_small"),
            "supported_model_types": [kind.value for kind in schema.model_types],
        },
    }


def render_model(view: ModelView) -> JSONObject:
    """Return one model of a provider; the seed's three figures are always there."""
    schema = view.schema
    properties: JSONObject = {
        "context_size": schema.context_tokens,
        "max_chunks": schema.max_chunks,
        "file_upload_limit": 0,
    }
    if schema.type is ModelType.LLM:
        properties["mode"] = "chat"
    return {
        "model": schema.model,
        "label": _both(schema.label, schema.label),
        "model_type": schema.type.value,
        "features": [*sorted(schema.features)],
        "fetch_from": "customizable-model" if view.is_added else "predefined-model",
        "model_properties": properties,
        "deprecated": False,
        "status": view.status.value,
        "load_balancing_enabled": False,
        "has_invalid_load_balancing_configs": False,
    }


def render_rule(rule: ParameterRule) -> JSONObject:
    """Return one completion parameter of a model."""
    return {
        "name": rule.name,
        "use_template": None,
        "label": _both(rule.label, rule.label_zh),
        "type": rule.type,
        "help": None,
        "required": False,
        "default": rule.default,
        "min": rule.min,
        "max": rule.max,
        "precision": rule.precision,
        "options": [*rule.options],
    }


def render_model_credential(added: AddedModel | None, masked: JSONObject) -> JSONObject:
    """Return a model's own credentials, masked."""
    return {
        "credentials": masked,
        "current_credential_id": added.id if added else None,
        "current_credential_name": added.ref.model if added else None,
        "load_balancing": {"enabled": False, "configs": []},
        "available_credentials": (
            [{"credential_id": added.id, "credential_name": added.ref.model}] if added else []
        ),
    }


def render_check(fault: str | None) -> JSONObject:
    """Return what came of checking credentials."""
    return {"result": "success"} if fault is None else {"result": "error", "error": fault}


def _head(view: ProviderView, base_url: str) -> JSONObject:
    schema = view.schema
    return {
        "tenant_id": view.tenant_id,
        "provider": schema.named(view.id_style),
        "label": _both(schema.label, schema.label_zh),
        "icon_small": _icon(schema, view.tenant_id, base_url, "icon_small"),
        "icon_small_dark": None,
        "icon_large": _icon(schema, view.tenant_id, base_url, "icon_large"),
        "status": view.status.value,
    }


def _both(english: str, chinese: str) -> JSONObject:
    return {"zh_Hans": chinese, "en_US": english}


def _icon(schema: ProviderSchema, tenant_id: str, base_url: str, size: str) -> JSONObject:
    path = f"{base_url}/console/api/workspaces/{tenant_id}/model-providers/{schema.long_id}/{size}"
    return {language: f"{path}/{language}" for language in LANGUAGES}


def _methods(schema: ProviderSchema) -> list[JSONValue]:
    methods: list[JSONValue] = ["predefined-model"] if schema.models else []
    return [*methods, "customizable-model"] if schema.is_customizable else methods


def _render_help(schema: ProviderSchema) -> JSONObject | None:
    if schema.help_url is None:
        return None
    return {
        "title": _both(f"Get your key from {schema.label}", f"从 {schema.label_zh} 获取密钥"),
        "url": _both(schema.help_url, schema.help_url),
    }


def _render_form(form: tuple[CredentialField, ...]) -> JSONObject | None:
    return {"credential_form_schemas": [_render_field(field) for field in form]} if form else None


def _render_model_form(schema: ProviderSchema) -> JSONObject | None:
    if not schema.is_customizable:
        return None
    form = (*schema.credential_fields, *schema.model_credential_fields)
    return {
        "model": {"label": _both("Model name", "模型名称"), "placeholder": None},
        "credential_form_schemas": [_render_field(field) for field in form],
    }


def _render_field(field: CredentialField) -> JSONObject:
    return {
        "variable": field.variable,
        "label": _both(field.label, field.label_zh),
        "type": field.type,
        "required": field.is_required,
        "default": field.default,
        "options": [{"label": _both(word, word), "value": word, "show_on": []} for word in field.options],
        "placeholder": _both(field.placeholder, field.placeholder) if field.placeholder else None,
        "max_length": 0,
        "show_on": [],
    }


def _render_custom(view: ProviderView) -> JSONObject:
    """Return what the workspace has configured, by names alone."""
    current = next((credential for credential in view.credentials if credential.is_current), None)
    return {
        "status": "no-configure" if view.status is Status.NO_CONFIGURE else "active",
        "current_credential_id": current.id if current else None,
        "current_credential_name": current.name if current else None,
        "available_credentials": [_render_name(credential) for credential in view.credentials],
        "custom_models": [_render_added(model) for model in view.models if model.is_added],
        "can_added_models": [],
    }


def _render_added(view: ModelView) -> JSONObject:
    own = view.credential
    return {
        "model": view.schema.model,
        "model_type": view.schema.type.value,
        "current_credential_id": own.id if own else None,
        "current_credential_name": own.name if own else None,
        "available_model_credentials": [_render_name(own)] if own else [],
    }


def _render_name(credential: CredentialName) -> JSONObject:
    return {"credential_id": credential.id, "credential_name": credential.name}
