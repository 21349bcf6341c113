"""Searches datasets that another service keeps; no connection is held while it is waited for."""

from collections.abc import Sequence

from api.core.ports import Cancel, JSONObject
from api.core.rag import external
from api.core.rag.external import ExternalRecord
from api.core.rag.external_settings import load_external_model
from api.errors import InvalidRequest
from api.principal import Principal
from api.runtime import Runtime
from api.services import external_apis, retrieval
from api.services.access import access_dataset, access_external_api


def hit_test_external(
    runtime: Runtime, principal: Principal, dataset_id: str, query: str, raw: JSONObject | None
) -> Sequence[ExternalRecord]:
    """Return what the service of a dataset finds, best first, as its settings say, or as ``raw`` does.

    The search is kept in the dataset's log. Raises NotFound or Forbidden for
    the dataset, InvalidRequest for one we keep ourselves or a bad setting, and
    ExternalKnowledgeFailed with what the service said.
    """
    asked = None if raw is None else load_external_model(raw)
    with runtime.reading() as session:
        dataset = access_dataset(session, principal, dataset_id)
        if dataset.external_api_id is None or dataset.external_knowledge_id is None:
            raise InvalidRequest("The dataset is not kept by an external API; use hit-testing.")
        row = access_external_api(session, principal, dataset.external_api_id)
        api = external_apis.open_external_api(runtime, session, row)
        settings = asked or load_external_model(dataset.external_retrieval_model)
        wanted = settings.to_query(dataset.external_knowledge_id, query)
        here = dataset.id
    found = external.retrieve(api, wanted, runtime.http, Cancel(runtime.limits.run_timeout_s))
    retrieval.note_search(runtime, principal, [here], query, (), source="hit_testing")
    return found
