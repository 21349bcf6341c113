"""An app as a file: read from YAML of any version of Dify's, written in the version we speak.

Graphs stay as they are drawn, old forms and notes included: the engine reads
those. What a file may not bring is taken out by :mod:`api.core.dsl.secrets`.
Wire: docs/wire/app-files.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from api.core.apps.features import read_features
from api.core.apps.spec import CONFIGURED_MODES, AppMode
from api.core.dsl.versions import CURRENT_VERSION, FIRST_VERSION
from api.core.ports import JSONObject, JSONValue
from api.core.text.yaml_text import BadYAML, dump_yaml, load_yaml
from api.core.workflow.declared import (
    Declared,
    export_environment,
    read_conversation,
    read_environment,
    show_conversation,
)
from api.core.workflow.validation import check_shape
from api.errors import InvalidRequest

DEFAULT_ICON = "🤖"
DEFAULT_ICON_BACKGROUND = "#FFEAD5"
DEFAULT_NAME = "Imported app"
KIND = "app"


class BadDocument(Exception):
    """The text is not an app's file; the message is a sentence that says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowPart:
    """What a workflow or chatflow is made of."""

    graph: JSONObject
    features: JSONObject = field(default_factory=dict)
    environment: Declared = ()
    conversation: Declared = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AppDocument:
    """An app as a file holds it: ``workflow`` for graph modes, ``config`` for the others, never both.

    ``dependencies`` are the plug-ins the file says it was made with.
    """

    name: str
    mode: AppMode
    description: str = ""
    icon_type: str = "emoji"
    icon: str = DEFAULT_ICON
    icon_background: str = DEFAULT_ICON_BACKGROUND
    use_icon_as_answer_icon: bool = False
    version: str = CURRENT_VERSION
    workflow: WorkflowPart | None = None
    config: JSONObject | None = None
    dependencies: tuple[JSONObject, ...] = ()


def read_document(text: str) -> AppDocument:
    """Return the app of a file. Raises BadDocument."""
    try:
        return _document(load_yaml(text))
    except BadYAML as exc:
        raise BadDocument(str(exc)) from exc
    except InvalidRequest as exc:
        raise BadDocument(f"{exc.message.rstrip('.')}.") from exc


def write_document(document: AppDocument, *, has_secrets: bool = False) -> str:
    """Return an app as YAML, its secret variables empty unless they are wanted."""
    raw: JSONObject = {
        "app": _app(document),
        "dependencies": list(document.dependencies),
        "kind": KIND,
        "version": CURRENT_VERSION,
    }
    if document.workflow is not None:
        raw["workflow"] = _workflow(document.workflow, has_secrets=has_secrets)
    if document.config is not None:
        raw["model_config"] = document.config
    return dump_yaml(raw)


def _document(raw: JSONValue) -> AppDocument:
    if not isinstance(raw, dict):
        raise BadDocument("The file holds no app: it is not a mapping.")
    app, version = raw.get("app"), raw.get("version")
    if not isinstance(app, dict):
        raise BadDocument("The file holds no app: 'app' is missing.")
    if version is not None and not isinstance(version, str):
        raise BadDocument(f"The file's version is not a text: {version!r}.")
    mode = _mode(app)
    is_configured = mode in CONFIGURED_MODES
    icon_type, icon = _icon(app)
    dependencies = raw.get("dependencies")
    return AppDocument(
        name=_text(app, "name").strip() or DEFAULT_NAME,
        mode=mode,
        description=_text(app, "description"),
        icon_type=icon_type,
        icon=icon,
        icon_background=_text(app, "icon_background") or DEFAULT_ICON_BACKGROUND,
        use_icon_as_answer_icon=app.get("use_icon_as_answer_icon") is True,
        version=version or FIRST_VERSION,
        workflow=None if is_configured else _read_workflow(raw),
        config=_object(raw, "model_config") if is_configured else None,
        dependencies=tuple(
            item
            for item in (dependencies if isinstance(dependencies, list) else ())
            if isinstance(item, dict)
        ),
    )


def _mode(app: JSONObject) -> AppMode:
    mode = app.get("mode")
    try:
        return AppMode(str(mode))
    except ValueError:
        raise BadDocument(f"There are no apps of mode {mode!r}.") from None


def _icon(app: JSONObject) -> tuple[str, str]:
    """Return kind and value of the icon; an image is one of the workspace the file came from."""
    icon = _text(app, "icon")
    kind = _text(app, "icon_type") or ("link" if icon.startswith("http") else "emoji")
    return (kind, icon) if icon and kind in ("emoji", "link") else ("emoji", DEFAULT_ICON)


def _read_workflow(raw: JSONObject) -> WorkflowPart:
    part = _object(raw, "workflow")
    features = part.get("features")
    read_features(features)
    return WorkflowPart(
        graph=check_shape(part.get("graph")),
        features=features if isinstance(features, dict) else {},
        environment=read_environment(part.get("environment_variables")),
        conversation=read_conversation(part.get("conversation_variables")),
    )


def _object(raw: JSONObject, name: str) -> JSONObject:
    value = raw.get(name)
    if not isinstance(value, dict):
        raise BadDocument(f"The file lacks {name!r}, which an app of its mode is made of.")
    return value


def _text(raw: Mapping[str, JSONValue], name: str) -> str:
    value = raw.get(name)
    return "" if value is None else str(value)


def _app(document: AppDocument) -> JSONObject:
    is_image = document.icon_type == "image"
    return {
        "description": document.description,
        "icon": DEFAULT_ICON if is_image else document.icon,
        "icon_background": DEFAULT_ICON_BACKGROUND if is_image else document.icon_background,
        "icon_type": "emoji" if is_image else document.icon_type,
        "mode": document.mode.value,
        "name": document.name,
        "use_icon_as_answer_icon": document.use_icon_as_answer_icon,
    }


def _workflow(part: WorkflowPart, *, has_secrets: bool) -> JSONObject:
    return {
        "conversation_variables": list(show_conversation(part.conversation)),
        "environment_variables": list(export_environment(part.environment, has_secrets=has_secrets)),
        "features": part.features,
        "graph": part.graph,
        "rag_pipeline_variables": [],
    }
