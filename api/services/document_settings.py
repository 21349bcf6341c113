"""What a request says of documents beside their content, and what of that their dataset takes over.

The first document decides for its dataset: technique, embedding model, form and
source. From then on the dataset decides, and a document of another form is
refused.
"""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from api.core.model_runtime.provider import short_id
from api.core.model_runtime.types import ModelRef, ModelType
from api.core.ports import JSONObject, JSONValue
from api.core.rag.retrieval_model import load_retrieval_model
from api.core.text.process_rule import DocForm, ProcessRule, load_process_rule
from api.errors import InvalidRequest, ProviderNotConfigured
from api.models.dataset import Dataset, ProcessRuleRow
from api.principal import Principal
from api.runtime import Runtime
from api.services import datasets, providers

HIGH_QUALITY = "high_quality"
MODEL_FIELDS = ("embedding_model_provider", "embedding_model")


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentSettings:
    """How documents are to be processed; None leaves it to the dataset, and a rule to be automatic."""

    indexing_technique: str | None = None
    doc_form: str | None = None
    doc_language: str | None = None
    process_rule: JSONValue = None
    retrieval_model: JSONObject | None = None
    embedding_model: str | None = None
    embedding_model_provider: str | None = None
    summary_index_setting: JSONObject | None = None


def check_rule(runtime: Runtime, asked: DocumentSettings) -> ProcessRule:
    """Return the process rule that is asked for; raises InvalidRequest naming the part at fault."""
    return load_process_rule(asked.process_rule, max_tokens_limit=runtime.limits.max_segment_tokens)


def settle(
    runtime: Runtime,
    session: Session,
    principal: Principal,
    dataset: Dataset,
    asked: DocumentSettings,
    source_type: str,
) -> ProcessRuleRow:
    """Give the dataset what it has not decided yet, and return the row of the process rule.

    Raises InvalidRequest for what contradicts the dataset or is missing,
    ProviderNotConfigured where there is no model to embed with.
    """
    rule = check_rule(runtime, asked)
    if dataset.provider != "vendor":
        raise InvalidRequest("An external dataset holds no documents of its own.", field="dataset_id")
    if dataset.data_source_type not in (None, source_type):
        raise InvalidRequest(f"The dataset takes documents of the type {dataset.data_source_type!r} only.")
    dataset.data_source_type = source_type
    _settle_technique(runtime, session, principal, dataset, asked)
    _settle_form(dataset, asked)
    if asked.retrieval_model is not None:
        chosen = load_retrieval_model(asked.retrieval_model).to_wire()
        dataset.retrieval_model = dataset.retrieval_model or chosen
    if asked.summary_index_setting is not None and dataset.summary_index_setting is None:
        dataset.summary_index_setting = datasets.check_summaries(
            runtime, session, principal.tenant_id, asked.summary_index_setting
        )
    return add_rule(session, principal, dataset, rule)


def add_rule(session: Session, principal: Principal, dataset: Dataset, rule: ProcessRule) -> ProcessRuleRow:
    """Write down a process rule of a dataset."""
    stored = rule.to_json()
    row = ProcessRuleRow(
        tenant_id=principal.tenant_id,
        dataset_id=dataset.id,
        mode=stored["mode"],
        rules=stored["rules"],
        created_by=principal.id,
    )
    session.add(row)
    session.flush()
    return row


def _settle_technique(
    runtime: Runtime, session: Session, principal: Principal, dataset: Dataset, asked: DocumentSettings
) -> None:
    technique = dataset.indexing_technique or asked.indexing_technique
    if technique is None:
        message = "Parameter 'indexing_technique' is required"
        raise InvalidRequest(message, field="indexing_technique", fault="required")
    dataset.indexing_technique = technique
    if technique == HIGH_QUALITY and dataset.embedding_model is None:
        ref = choose_embedding(runtime, session, principal, asked)
        dataset.embedding_provider, dataset.embedding_model = ref.provider, ref.model


def choose_embedding(
    runtime: Runtime, session: Session, principal: Principal, asked: DocumentSettings
) -> ModelRef:
    """Return the embedding model that is named, or the workspace's own.

    Raises InvalidRequest for one that cannot be used, ProviderNotConfigured where there is none.
    """
    if asked.embedding_model is not None:
        provider = short_id(asked.embedding_model_provider or "")
        ref = ModelRef(provider, asked.embedding_model)
        providers.check_usable(
            runtime, session, principal.tenant_id, ref, ModelType.TEXT_EMBEDDING, names=MODEL_FIELDS
        )
        return ref
    default = providers.get_default(runtime, session, principal, ModelType.TEXT_EMBEDDING)
    if default is None:
        raise ProviderNotConfigured("No embedding model is available; connect a model provider first.")
    return default[0]


def _settle_form(dataset: Dataset, asked: DocumentSettings) -> None:
    form = asked.doc_form or dataset.doc_form or DocForm.TEXT.value
    if dataset.doc_form not in (None, form):
        message = f"The documents of this dataset have the form {dataset.doc_form!r}."
        raise InvalidRequest(message, field="doc_form")
    dataset.doc_form = form
