"""The datasets of a workspace, for the knowledge-retrieval nodes of workflows."""

from dataclasses import asdict, dataclass, replace

from api.core.apps.config import load_model_config
from api.core.apps.spec import AppSpec
from api.core.events import RetrieverResource
from api.core.model_runtime.runtime import ModelRuntime
from api.core.model_runtime.types import NO_TOKENS, ModelRef, Usage
from api.core.ports import Cancel, JSONObject, JSONValue
from api.core.workflow.deps import Found, Wanted
from api.principal import Principal
from api.runtime import Runtime
from api.services import app_knowledge
from api.services.app_search import Question

NO_MODEL: JSONObject = {"provider": "builtin", "name": "extractive-qa", "mode": "chat"}
"""Stands where the node names no model: then none is asked."""


@dataclass(frozen=True, slots=True)
class FlowKnowledge:
    """Searches as one run's principal may."""

    runtime: Runtime
    app: AppSpec
    principal: Principal
    models: ModelRuntime

    def find(self, wanted: Wanted, cancel: Cancel) -> Found:
        """Return the passages that answer a query, best first. Raises AppError, Cancelled."""
        app = replace(self.app, config=load_model_config(_as_config(wanted)))
        question = Question(
            runtime=self.runtime, app=app, models=self.models, cancel=cancel, text=wanted.query
        )
        retrieved = app_knowledge.consult(question, self.principal)
        cited = tuple(replace(item, retriever_from="workflow") for item in retrieved.resources)
        usage = None
        if retrieved.spent != NO_TOKENS:
            choice = app.configured().model
            usage = self._usage(choice.ref, retrieved.spent.prompt_tokens, retrieved.spent.completion_tokens)
        return Found(result=[_shown(item) for item in cited], usage=usage)

    def _usage(self, ref: ModelRef, prompt_tokens: int, completion_tokens: int) -> Usage:
        return Usage(
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            price=self.models.schema(self.app.tenant_id, ref).price,
            latency_s=0.0,
            first_token_s=None,
        )


def _as_config(wanted: Wanted) -> JSONObject:
    """Return a node's settings as those of a chat app's datasets are written."""
    settings = wanted.settings
    mode = settings.get("retrieval_mode") or "multiple"
    single = _object(settings.get("single_retrieval_config"))
    named = (
        _object(single.get("model")) if mode == "single" else _object(settings.get("metadata_model_config"))
    )
    kept = ("metadata_filtering_mode", "metadata_model_config", "metadata_filtering_conditions")
    listed: list[JSONValue] = [
        {"dataset": {"id": dataset_id, "enabled": True}} for dataset_id in wanted.dataset_ids
    ]
    configs: JSONObject = {
        **_object(settings.get("multiple_retrieval_config")),
        **{key: settings[key] for key in kept if settings.get(key) is not None},
        "retrieval_model": mode,
        "datasets": {"datasets": listed},
    }
    return {
        "model": named if named.get("provider") and named.get("name") else NO_MODEL,
        "dataset_configs": configs,
    }


def _object(value: JSONValue) -> JSONObject:
    return value if isinstance(value, dict) else {}


def _shown(item: RetrieverResource) -> JSONObject:
    """Return a passage as the node's result holds it."""
    cited: JSONObject = asdict(item)
    return {
        "title": item.document_name,
        "content": item.content,
        "files": [],
        "summary": item.summary,
        "metadata": {
            "_source": "knowledge",
            "dataset_id": item.dataset_id,
            "dataset_name": item.dataset_name,
            "document_id": item.document_id,
            "document_name": item.document_name,
            "data_source_type": item.data_source_type,
            "segment_id": item.segment_id,
            "retriever_from": item.retriever_from,
            "score": item.score,
            "child_chunks": [],
            "segment_hit_count": cited["hit_count"],
            "segment_word_count": cited["word_count"],
            "segment_position": cited["segment_position"],
            "segment_index_node_hash": cited["index_node_hash"],
            "doc_metadata": item.doc_metadata,
            "position": item.position,
        },
    }
