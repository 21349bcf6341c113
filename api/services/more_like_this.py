"""Another answer of a completion app to what was asked before. Wire: docs/wire/web-app.md#more-like-this."""

from collections.abc import Sequence
from dataclasses import replace

from api.core.apps.config import ModelConfig
from api.core.apps.spec import AppMode, AppSpec
from api.core.events import EventLog
from api.core.model_runtime.types import ParameterRule
from api.core.ports import JSONObject, JSONValue
from api.errors import BadRequest, Forbidden
from api.models.conversation import Message
from api.principal import Principal
from api.runtime import Runtime
from api.services import generation, providers
from api.services.access import access_message
from api.services.asks import Ask
from api.services.files import AttachedFile
from api.services.provider_snapshot import load_snapshot

TEMPERATURE = 0.9
"""What lets a model that has one say something else."""


class NotCompletionApp(BadRequest):
    """The route is for completion apps and the app is another."""

    code = "not_completion_app"


class MoreLikeThisDisabled(Forbidden):
    """The app gives one answer to a request."""

    code = "app_more_like_this_disabled"


def check_completion_app(app: AppSpec) -> None:
    """Raise NotCompletionApp unless the app is a completion app."""
    if app.mode is not AppMode.COMPLETION:
        raise NotCompletionApp("Please check if your app mode matches the right API route.")


def answer_again(
    runtime: Runtime,
    app: AppSpec,
    principal: Principal,
    message_id: str,
    *,
    key_id: str | None,
    invoke_from: str,
    is_watched: bool,
) -> EventLog:
    """Start a run that asks what a message of the caller asked; return its log.

    Raises NotCompletionApp, MoreLikeThisDisabled, NotFound, and what runs are refused for.
    """
    check_completion_app(app)
    if not app.configured().more_like_this.enabled:
        raise MoreLikeThisDisabled("The 'More like this' feature is disabled. Please refresh your page.")
    with runtime.reading() as session:
        message = access_message(session, principal, app.id, message_id)
        ref = app.configured().model.ref
        provider = load_snapshot(runtime, session, app.tenant_id).find(ref.provider)
    rules = providers.rules_of(provider.schema, ref.model) if provider else ()
    ask = Ask(
        query=message.query,
        inputs=message.inputs,
        files=_files(message),
        auto_generate_name=False,
        key_id=key_id,
        invoke_from=invoke_from,
        is_watched=is_watched,
    )
    return generation.generate(
        runtime, replace(app, config=_varied(app.configured(), rules), config_id=None), principal, ask
    )


def _varied(config: ModelConfig, rules: Sequence[ParameterRule]) -> ModelConfig:
    """Return the configuration with a temperature that varies answers, where its model has one."""
    if not any(rule.name == "temperature" for rule in rules):
        return config
    params = {**config.model.completion_params, "temperature": TEMPERATURE}
    model = config.model.model_copy(update={"completion_params": params})
    return config.model_copy(update={"model": model})


def _files(message: Message) -> tuple[JSONObject, ...]:
    """Return the files of a message as a request names them, without those its variables hold."""
    held = {name for value in message.inputs.values() for name in _names(value)}
    files = (AttachedFile.from_row(row) for row in message.files or ())
    return tuple(_to_entry(file) for file in files if not {file.upload_file_id, file.url} & held)


def _names(value: JSONValue) -> set[JSONValue]:
    """Return what a variable names files by."""
    entries = value if isinstance(value, list) else [value]
    found = [entry for entry in entries if isinstance(entry, dict)]
    names = [entry.get(key) for entry in found for key in ("upload_file_id", "url", "remote_url")]
    return {name for name in names if isinstance(name, str)}


def _to_entry(file: AttachedFile) -> JSONObject:
    return {
        "type": file.type,
        "transfer_method": file.transfer_method,
        "url": file.url,
        "upload_file_id": file.upload_file_id,
    }
