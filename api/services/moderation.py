"""Who looks at the texts of an app: its keywords, a model of the workspace's, or an extension of its own."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from api.core.apps.config import AvoidanceSide, WordAvoidance
from api.core.apps.extension import Extension, Point
from api.core.apps.moderation import (
    Asked,
    Flags,
    Moderator,
    Refused,
    flags_keywords,
    screen,
    to_moderator,
)
from api.core.apps.speech import Lines, heard
from api.core.events import Event
from api.core.model_runtime.runtime import ModelRuntime
from api.core.model_runtime.types import ModelRef
from api.core.ports import Cancel, JSONObject, JSONValue
from api.errors import ExtensionFailed
from api.runtime import Runtime
from api.services import api_extensions

CHECK_TOTAL_S = 10.0
OPENAI = ModelRef("openai", "omni-moderation-latest")
SILENCE = "This cannot be answered."
"""What is said where neither the extension nor the app says what to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moderation:
    """What an app wants looked at, and what that takes."""

    runtime: Runtime
    tenant_id: str
    app_id: str
    avoidance: WordAvoidance
    models: ModelRuntime


def moderated(
    wanted: Moderation,
    cancel: Cancel,
    asked: Asked,
    run: Callable[[Asked], Iterator[Event]],
    refuse: Callable[[str], Iterator[Event]] | None = None,
    *,
    lines: Lines | None = None,
) -> Iterator[Event]:
    """Return the events of ``run``, moderated where the app wants that; the rest as ``screen`` takes it.

    They raise the error of whoever cannot look: what cannot be checked is not said.
    """
    if not wanted.avoidance.enabled:
        return heard(run(asked), lines)
    return screen(_moderator(wanted), cancel, asked, run, refuse, lines=lines)


def _moderator(wanted: Moderation) -> Moderator:
    match wanted.avoidance.type:
        case "keywords":
            return to_moderator(wanted.avoidance, flags_keywords(wanted.avoidance))
        case "openai_moderation":
            return to_moderator(wanted.avoidance, _flags_by_model(wanted))
        case _:
            return _by_extension(wanted)


def _flags_by_model(wanted: Moderation) -> Flags:
    # A run that is stopped is still checked to its end, so the call has a time of its own.
    return lambda text: wanted.models.moderate(wanted.tenant_id, OPENAI, text, Cancel(CHECK_TOTAL_S))


def _by_extension(wanted: Moderation) -> Moderator:
    """Return a moderator that asks an extension of the workspace's; it says itself what is said instead."""
    config = wanted.avoidance.config
    extension = api_extensions.open_extension(wanted.runtime, wanted.tenant_id, config.api_based_extension_id)
    judge = partial(_judge, wanted, extension)

    def check_input(asked: Asked) -> Asked | Refused:
        sent: JSONObject = {"inputs": asked.inputs, "query": asked.query}
        said = judge(Point.MODERATE_INPUT, sent)
        if said is None:
            return asked
        if said.get("action") == "direct_output":
            return _refused(said, config.inputs_config)
        return _covered(asked, said)

    def check_output(text: str) -> str | Refused:
        said = judge(Point.MODERATE_OUTPUT, {"text": text})
        if said is None:
            return text
        if said.get("action") == "direct_output":
            return _refused(said, config.outputs_config)
        return _text(said, "text", extension)

    return Moderator(
        checks_input=check_input if config.inputs_config.enabled else None,
        checks_output=check_output if config.outputs_config.enabled else None,
    )


def _judge(wanted: Moderation, extension: Extension, point: Point, params: JSONObject) -> JSONObject | None:
    """Return what an extension has against a text; None where it has nothing. Raises ExtensionFailed."""
    said = api_extensions.consult(
        wanted.runtime, extension, point, {"app_id": wanted.app_id, **params}, Cancel(CHECK_TOTAL_S)
    )
    flagged = said.get("flagged")
    if not isinstance(flagged, bool):
        raise ExtensionFailed(f"{extension.name!r} did not say whether it has {point.value!r} flagged.")
    if not flagged:
        return None
    if said.get("action") not in ("direct_output", "overridden", "overrided"):
        raise ExtensionFailed(f"{extension.name!r} flagged {point.value!r} without a known action.")
    return said


def _refused(said: JSONObject, side: AvoidanceSide) -> Refused:
    preset = said.get("preset_response")
    return Refused(preset if isinstance(preset, str) and preset else side.preset_response or SILENCE)


def _covered(asked: Asked, said: JSONObject) -> Asked:
    """Return what was asked with the texts an extension put in the place of others; all else stays."""
    given = said.get("inputs")
    covered = given if isinstance(given, dict) else {}
    inputs = {name: _covered_value(value, covered.get(name)) for name, value in asked.inputs.items()}
    query = _covered_value(asked.query, said.get("query"))
    assert isinstance(query, str)
    return Asked(inputs=inputs, query=query)


def _covered_value(value: JSONValue, given: JSONValue) -> JSONValue:
    are_texts = isinstance(value, str) and isinstance(given, str)
    return given.replace("\0", "") if are_texts and isinstance(given, str) else value


def _text(said: JSONObject, key: str, extension: Extension) -> str:
    text = said.get(key)
    if not isinstance(text, str):
        raise ExtensionFailed(f"{extension.name!r} flagged an answer without the {key} to say instead.")
    return text.replace("\0", "")
