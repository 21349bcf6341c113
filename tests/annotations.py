"""What tests of annotations share: a model that embeds without a wait, and calls of the console's doors."""

from collections.abc import Sequence
from typing import Any, ClassVar

from flask.testing import FlaskClient

from api.core.model_runtime.provider import ProviderContext, provider
from api.core.model_runtime.types import (
    Embeddings,
    EmbedKind,
    ModelSchema,
    ModelType,
    ProviderSchema,
    TokenCount,
)
from api.core.ports import Cancel
from api.errors import ProviderNotConfigured
from api.runtime import Runtime
from tests.factories import ChatApp
from tests.knowledge import finish_jobs

WORDS = ("pool", "open", "train", "leave", "today", "when")
BROKEN = "broken"
"""A model that embeds nothing."""
EMBEDDED: list[str] = []
"""Every text that was embedded."""


@provider
class WordsProvider:
    """Embeds a text as which of a few words it has: the cosine counts those two texts share."""

    schema: ClassVar[ProviderSchema] = ProviderSchema(
        id="words",
        plugin_id="tests/words",
        label="Words",
        label_zh="词",
        description="Embeds texts by their words.",
        description_zh="按词向量化。",
        background="#FFFFFF",
        icon_svg='<svg xmlns="http://www.w3.org/2000/svg"/>',
        models=(),
        custom_model_types=frozenset({ModelType.TEXT_EMBEDDING}),
    )

    def __init__(self, context: ProviderContext) -> None:
        self.context = context

    def check_credentials(self) -> None:
        """Accept whatever there is."""

    def model_schema(self, model: str) -> ModelSchema:
        """Describe any model."""
        kind = ModelType.TEXT_EMBEDDING
        return ModelSchema(model=model, type=kind, label=model, context_tokens=512, max_chunks=16)

    def embed(self, model: str, texts: Sequence[str], kind: EmbedKind, cancel: Cancel) -> Embeddings:
        """Return the vectors."""
        del kind, cancel
        if model == BROKEN:
            raise ProviderNotConfigured("The model is broken.")
        EMBEDDED.extend(texts)
        return Embeddings([to_vector(text, model) for text in texts], TokenCount(prompt_tokens=1))


def to_vector(text: str, model: str) -> list[float]:
    """Return the vector of a text by a model."""
    found = [float(word in text.lower()) for word in WORDS]
    numbers = [*found, 0.0 if any(found) else 1.0, *([0.0] if model == "other" else [])]
    length = sum(number * number for number in numbers) ** 0.5
    return [number / length for number in numbers]


class Desk:
    """An app's annotations as the console has them; the test is the worker."""

    def __init__(self, client: FlaskClient, runtime: Runtime, app: ChatApp) -> None:
        self.client, self.runtime, self.app = client, runtime, app
        self.path = f"/console/api/apps/{app.id}"

    def call(self, method: str, path: str, **options: Any) -> Any:
        headers = self.app.owner.headers
        return self.client.open(f"{self.path}/{path}", method=method, headers=headers, **options)

    def read(self, method: str, path: str, **options: Any) -> Any:
        answer = self.call(method, path, **options)
        assert answer.status_code == 200, answer.text
        return answer.get_json()

    def add(self, question: str, answer: str = "At noon.") -> str:
        """Add an annotation; return its id."""
        made = self.read("POST", "annotations", json={"question": question, "answer": answer})
        return str(made["id"])

    def switch(self, action: str, *, threshold: float = 0.9, model: str = "any") -> str:
        """Ask for a switch; return the job's id."""
        names = {"embedding_provider_name": "words", "embedding_model_name": model}
        asked = {"score_threshold": threshold, **names}
        return str(self.read("POST", f"annotation-reply/{action}", json=asked)["job_id"])

    def state(self, action: str, job_id: str) -> Any:
        return self.read("GET", f"annotation-reply/{action}/status/{job_id}")

    def work(self) -> None:
        """Do the jobs that wait."""
        finish_jobs(self.runtime, self.app.owner)

    def turn_on(self, **options: Any) -> None:
        """Switch replies on, and wait for it."""
        job_id = self.switch("enable", **options)
        self.work()
        assert self.state("enable", job_id)["job_status"] == "completed"
