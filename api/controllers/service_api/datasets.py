"""Doors of datasets: listed, made, shown, changed, deleted with a dataset key."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http.auth import dataset_key
from api.controllers.http.door import base_url, render, runtime, transactional
from api.controllers.http.parsing import parse
from api.controllers.schemas.dataset import (
    DATASET_CHANGES,
    DATASET_LIST_CAPPED,
    DATASET_MODEL,
    DATASET_PAGE_MODEL,
    MODELS,
    NEW_DATASET,
    DatasetListIn,
    NewDatasetIn,
    render_dataset,
)
from api.controllers.schemas.fields import render_page
from api.principal import Principal
from api.runtime import Session
from api.services import dataset_views, datasets
from api.services.datasets import DatasetChanges

ns = Namespace("datasets", path="/", description="Datasets of the workspace")
for model in MODELS:
    ns.add_model(model.name, model)


@ns.route("/datasets")
class Datasets(Resource):
    """The datasets of the workspace."""

    @ns.expect(DATASET_LIST_CAPPED)
    @ns.response(200, "One page of datasets.", DATASET_PAGE_MODEL)
    @dataset_key()
    @transactional
    def get(self, session: Session, principal: Principal) -> Response:
        """List the datasets the caller may use, newest first."""
        asked = parse(DATASET_LIST_CAPPED, DatasetListIn)
        views, total = dataset_views.load_datasets(
            runtime(), session, principal, asked.chosen, page=asked.page, limit=asked.limit
        )
        address = base_url()
        return render(render_page([render_dataset(view, address) for view in views], total, asked))

    @ns.expect(NEW_DATASET)
    @ns.response(200, "The dataset.", DATASET_MODEL)
    @ns.response(409, "The name is taken: dataset_name_duplicate.")
    @dataset_key()
    @transactional
    def post(self, session: Session, principal: Principal) -> Response:
        """Make an empty dataset."""
        asked = parse(NEW_DATASET, NewDatasetIn)
        made = datasets.create_dataset(runtime(), session, principal, asked.wanted, asked.provider)
        view = dataset_views.get_dataset(runtime(), session, principal, made.id)
        return render(render_dataset(view, base_url()))


@ns.route("/datasets/<dataset_id>")
class Dataset(Resource):
    """One dataset."""

    @ns.response(200, "The dataset.", DATASET_MODEL)
    @dataset_key()
    @transactional
    def get(self, session: Session, principal: Principal, dataset_id: str) -> Response:
        """Show a dataset."""
        view = dataset_views.get_dataset(runtime(), session, principal, dataset_id)
        return render(render_dataset(view, base_url()))

    @ns.expect(DATASET_CHANGES)
    @ns.response(200, "The dataset as it is now.", DATASET_MODEL)
    @ns.response(409, "The name is taken: dataset_name_duplicate.")
    @dataset_key()
    @transactional
    def patch(self, session: Session, principal: Principal, dataset_id: str) -> Response:
        """Change what the body names; another technique or embedding model follows in the background."""
        changes = parse(DATASET_CHANGES, DatasetChanges)
        datasets.update_dataset(runtime(), session, principal, dataset_id, changes)
        view = dataset_views.get_dataset(runtime(), session, principal, dataset_id)
        return render(render_dataset(view, base_url()))

    @ns.response(204, "Deleted.")
    @ns.response(409, "An app uses it: dataset_in_use.")
    @dataset_key()
    @transactional
    def delete(self, session: Session, principal: Principal, dataset_id: str) -> Response:
        """Delete a dataset with its documents; this cannot be undone."""
        datasets.delete_dataset(runtime(), session, principal, dataset_id)
        return Response(status=204)
