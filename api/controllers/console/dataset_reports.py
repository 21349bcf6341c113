"""What is told of datasets beside themselves, and the keys that open them."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http.auth import console, knowledge
from api.controllers.http.door import base_url, render, runtime, transactional
from api.controllers.http.parsing import parse, parser
from api.controllers.schemas.api_key import KEY_LIST_MODEL, KEY_MODEL, parse_app_key, render_key
from api.controllers.schemas.dataset_report import (
    BASE_MODEL,
    COUNTED_MODEL,
    DATA_MODEL,
    DISABLED_MODEL,
    METHODS_MODEL,
    MODELS,
    QUERY_PAGE_MODEL,
    RETRIEVAL_METHODS,
    render_progress,
    render_query,
    render_related_app,
)
from api.controllers.schemas.fields import RESULT, PageIn, page_fields, render_page, render_success
from api.principal import Principal, Role
from api.runtime import Session
from api.services import dataset_reports, datasets, tokens
from api.services.access import access_dataset

ns = Namespace("dataset_reports", path="/", description="What is told of datasets, and their keys")
PAGE = parser(*page_fields())
for model in (*MODELS, KEY_MODEL, KEY_LIST_MODEL, RESULT):
    ns.add_model(model.name, model)


@ns.route("/datasets/api-keys")
class DatasetKeys(Resource):
    """The keys that open the datasets of the workspace."""

    @ns.response(200, "The keys, masked.", KEY_LIST_MODEL)
    @console(Role.ADMIN)
    @transactional
    def get(self, session: Session, principal: Principal) -> Response:
        """List the dataset keys, newest first."""
        found = tokens.load_tokens(session, principal, None, kind="dataset")
        return render({"data": [render_key(key) for key in found]})

    @ns.response(200, "The key, whole for this once.", KEY_MODEL)
    @console(Role.ADMIN)
    @transactional
    def post(self, session: Session, principal: Principal) -> Response:
        """Make a dataset key; it may do what its maker may do."""
        name = parse_app_key().name
        key, token = tokens.create_token(
            session, principal, name=name, app_id=None, permissions=("dataset",), kind="dataset"
        )
        return render(render_key(key, token))


@ns.route("/datasets/api-keys/<key_id>")
class DatasetKey(Resource):
    """One dataset key."""

    @ns.response(204, "Revoked; it opens nothing from now on.")
    @console(Role.ADMIN)
    @transactional
    def delete(self, session: Session, principal: Principal, key_id: str) -> Response:
        """Revoke a dataset key."""
        tokens.delete_token(session, principal, key_id, app_id=None, kind="dataset")
        return Response(status=204)


@ns.route("/datasets/<dataset_id>/api-keys/enable")
class DatasetAPIOpen(Resource):
    """A dataset opened to keys."""

    @ns.response(200, "Opened.", RESULT)
    @knowledge(may_edit=True)
    @transactional
    def post(self, session: Session, principal: Principal, dataset_id: str) -> Response:
        """Open a dataset to the keys of the workspace."""
        datasets.switch_api(session, principal, dataset_id, is_enabled=True)
        return render(render_success())


@ns.route("/datasets/<dataset_id>/api-keys/disable")
class DatasetAPIClosed(Resource):
    """A dataset closed to keys."""

    @ns.response(200, "Closed.", RESULT)
    @knowledge(may_edit=True)
    @transactional
    def post(self, session: Session, principal: Principal, dataset_id: str) -> Response:
        """Close a dataset to every key."""
        datasets.switch_api(session, principal, dataset_id, is_enabled=False)
        return render(render_success())


@ns.route("/datasets/api-base-info")
class APIBase(Resource):
    """Where dataset keys are used."""

    @ns.response(200, "The address.", BASE_MODEL)
    @knowledge()
    def get(self, principal: Principal) -> Response:
        """Tell where dataset keys are used."""
        del principal
        return render({"api_base_url": f"{base_url()}/v1"})


@ns.route("/datasets/retrieval-setting")
class RetrievalSetting(Resource):
    """How datasets can be searched here."""

    @ns.response(200, "The methods.", METHODS_MODEL)
    @knowledge()
    def get(self, principal: Principal) -> Response:
        """Tell how datasets can be searched here."""
        del principal
        return render({"retrieval_method": list(RETRIEVAL_METHODS)})


@ns.route("/datasets/retrieval-setting/<vector_type>")
class StoreRetrievalSetting(Resource):
    """How datasets could be searched with a vector store."""

    @ns.response(200, "The methods.", METHODS_MODEL)
    @knowledge()
    def get(self, principal: Principal, vector_type: str) -> Response:
        """Tell how datasets can be searched with a vector store; every one we have does all."""
        del principal, vector_type
        return render({"retrieval_method": list(RETRIEVAL_METHODS)})


@ns.route("/datasets/<dataset_id>/permission-part-users")
class DatasetMembers(Resource):
    """Who a dataset names as its users."""

    @ns.response(200, "Ids of accounts.", DATA_MODEL)
    @knowledge()
    @transactional
    def get(self, session: Session, principal: Principal, dataset_id: str) -> Response:
        """List the accounts a dataset is shared with by name."""
        return render({"data": list(dataset_reports.load_members(session, principal, dataset_id))})


@ns.route("/datasets/<dataset_id>/related-apps")
class RelatedApps(Resource):
    """The apps that use a dataset."""

    @ns.response(200, "The apps.", COUNTED_MODEL)
    @knowledge()
    @transactional
    def get(self, session: Session, principal: Principal, dataset_id: str) -> Response:
        """List the apps that use a dataset."""
        found = dataset_reports.load_related_apps(runtime(), session, principal, dataset_id)
        address = base_url()
        return render({"data": [render_related_app(app, address) for app in found], "total": len(found)})


@ns.route("/datasets/<dataset_id>/auto-disable-logs")
class AutoDisabled(Resource):
    """Documents the server disabled by itself."""

    @ns.response(200, "The documents.", DISABLED_MODEL)
    @knowledge()
    @transactional
    def get(self, session: Session, principal: Principal, dataset_id: str) -> Response:
        """List documents the server disabled by itself: it never does."""
        access_dataset(session, principal, dataset_id)
        return render({"document_ids": [], "count": 0})


@ns.route("/datasets/<dataset_id>/queries")
class Queries(Resource):
    """The searches of a dataset."""

    @ns.expect(PAGE)
    @ns.response(200, "One page of searches.", QUERY_PAGE_MODEL)
    @knowledge()
    @transactional
    def get(self, session: Session, principal: Principal, dataset_id: str) -> Response:
        """List the searches of a dataset, latest first."""
        asked = parse(PAGE, PageIn)
        found, total = dataset_reports.load_queries(
            session, principal, dataset_id, page=asked.page, limit=asked.limit
        )
        return render(render_page([render_query(row) for row in found], total, asked))


@ns.route("/datasets/<dataset_id>/indexing-status")
class DatasetIndexingStatus(Resource):
    """How a dataset's documents are getting on."""

    @ns.response(200, "The documents' states.", DATA_MODEL)
    @knowledge()
    @transactional
    def get(self, session: Session, principal: Principal, dataset_id: str) -> Response:
        """Tell how the indexing of a dataset's documents is getting on."""
        found = dataset_reports.load_progress(session, principal, dataset_id)
        return render({"data": [render_progress(row) for row in found]})


@ns.route("/datasets/<dataset_id>/error-docs")
class FailedDocuments(Resource):
    """Documents whose indexing failed or was paused."""

    @ns.response(200, "The documents' states.", COUNTED_MODEL)
    @knowledge()
    @transactional
    def get(self, session: Session, principal: Principal, dataset_id: str) -> Response:
        """List documents whose indexing failed or was paused."""
        found = dataset_reports.load_progress(session, principal, dataset_id, "error", "paused")
        return render({"data": [render_progress(row) for row in found], "total": len(found)})
