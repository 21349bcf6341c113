"""What an app's team tries beside its messages, as the app was last saved: speech, next questions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from api.core.apps.config import ModelConfig
from api.core.apps.features import Features
from api.core.apps.spec import CHAT_MODES, FLOW_MODES, AppMode, AppSpec
from api.models.app import App
from api.principal import Principal
from api.runtime import Runtime
from api.services import app_info, app_specs, debug_chats, flows, speech, suggestions
from api.services.access import AppNotFound, access_app, access_message, access_message_of_app
from api.services.uploads import IncomingFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """An app and the features it was last saved with."""

    app: AppSpec
    features: ModelConfig | Features


def open_trial(runtime: Runtime, principal: Principal, app_id: str) -> Trial:
    """Return an app to be tried; raises AppNotFound, AppUnavailable where it has no features."""
    with runtime.reading() as session:
        return _open(runtime, session, access_app(session, principal, app_id))


def transcribe(
    runtime: Runtime, trial: Trial, principal: Principal, sent: IncomingFile, mime_type: str
) -> str:
    """Return what is said in a recording; raises what ``speech.transcribe`` does."""
    return speech.transcribe(runtime, trial.app, principal, sent, mime_type, features=trial.features)


def speak(
    runtime: Runtime,
    principal: Principal,
    app_id: str,
    *,
    text: str | None,
    message_id: str | None,
    voice: str | None,
) -> Iterator[bytes]:
    """Yield a text, or the answer of any message of an app, as spoken MP3.

    Raises AppNotFound, NotFound, and what ``speech.speak`` does.
    """
    with runtime.reading() as session:
        row = access_app(session, principal, app_id)
        said = access_message_of_app(session, row, message_id).answer if message_id else text
        trial = _open(runtime, session, row)
    return speech.speak(
        runtime, trial.app, principal, text=said, message_id=None, voice=voice, features=trial.features
    )


def load_voices(runtime: Runtime, principal: Principal, app_id: str) -> Sequence[str]:
    """Return the voices an app may speak with; raises AppNotFound, or a ProviderFailure."""
    with runtime.reading() as session:
        row = access_app(session, principal, app_id)
        app = app_specs.load_spec(runtime, session, principal.tenant_id, row.id)
    return speech.load_voices(runtime, app)


def suggest(runtime: Runtime, principal: Principal, app_id: str, message_id: str) -> list[str]:
    """Return questions that may follow a message of the caller's, as the app was tested with it.

    Raises AppNotFound, also for an app that does not chat, NotFound,
    SuggestionsDisabled, or a ProviderFailure.
    """
    with runtime.reading() as session:
        row = access_app(session, principal, app_id)
        if AppMode(row.mode) not in CHAT_MODES:
            raise AppNotFound("App not found.")
        message = access_message(session, principal, row.id, message_id)
        trial = _open(runtime, session, row)
    app = debug_chats.as_tried(runtime, trial.app, message.id)
    features = trial.features if app is trial.app else app.configured()
    return suggestions.suggest_on_page(runtime, app, principal, message.id, features=features)


def _open(runtime: Runtime, session: Session, row: App) -> Trial:
    app = app_specs.load_spec(runtime, session, row.tenant_id, row.id)
    draft = flows.draft_flow(runtime, session, app.tenant_id, app.id) if app.mode in FLOW_MODES else None
    return Trial(app=app, features=draft.features if draft else app_info.features_of(runtime, app))
