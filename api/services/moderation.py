"""Who looks at the texts of an app: its keywords, or a model of the workspace's."""

from collections.abc import Callable, Iterator

from api.core.apps.config import WordAvoidance
from api.core.apps.moderation import Flags, flags_keywords, screen, to_moderator
from api.core.events import Event
from api.core.model_runtime.runtime import ModelRuntime
from api.core.model_runtime.types import ModelRef
from api.core.ports import Cancel, JSONObject
from api.errors import InvalidRequest

CHECK_TOTAL_S = 10.0
OPENAI = ModelRef("openai", "omni-moderation-latest")


def moderated(
    avoidance: WordAvoidance,
    models: ModelRuntime,
    tenant_id: str,
    cancel: Cancel,
    *,
    inputs: JSONObject,
    query: str,
    run: Callable[[], Iterator[Event]],
) -> Iterator[Event]:
    """Return the events of ``run``, moderated where the app wants that.

    They raise a ProviderFailure where nobody can look: what cannot be checked is not said.
    """
    if not avoidance.enabled:
        return run()
    moderator = to_moderator(avoidance, _flags(avoidance, models, tenant_id))
    return screen(moderator, cancel, inputs, query, run)


def _flags(avoidance: WordAvoidance, models: ModelRuntime, tenant_id: str) -> Flags:
    match avoidance.type:
        case "keywords":
            return flags_keywords(avoidance)
        case "openai_moderation":
            # A run that is stopped is still checked to its end, so the call has a time of its own.
            return lambda text: models.moderate(tenant_id, OPENAI, text, Cancel(CHECK_TOTAL_S))
    raise InvalidRequest(
        f"Moderation of type {avoidance.type!r} cannot be run here.", field="sensitive_word_avoidance.type"
    )
