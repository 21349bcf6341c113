"""Doors of the tags of datasets."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http.auth import dataset_key
from api.controllers.http.door import render, transactional
from api.controllers.http.parsing import parse
from api.controllers.schemas.tag import (
    MODELS,
    PUBLIC_BINDING,
    PUBLIC_TAG,
    PUBLIC_TAG_NAME,
    TAG_ID,
    TAG_MODEL,
    TAGS_OF_MODEL,
    BindingIn,
    TagIdIn,
    TagIn,
    TagNameIn,
    render_tag,
)
from api.principal import Principal
from api.runtime import Session
from api.services import tags

ns = Namespace("tags", path="/", description="Tags of datasets")
for model in MODELS:
    ns.add_model(model.name, model)


@ns.route("/datasets/tags")
class Tags(Resource):
    """The tags of the workspace's datasets."""

    @ns.response(200, "The tags.", [TAG_MODEL])
    @dataset_key()
    @transactional
    def get(self, session: Session, principal: Principal) -> Response:
        """List tags, newest first."""
        return render([render_tag(view) for view in tags.load_tags(session, principal, "knowledge")])

    @ns.expect(PUBLIC_TAG)
    @ns.response(200, "The tag.", TAG_MODEL)
    @dataset_key()
    @transactional
    def post(self, session: Session, principal: Principal) -> Response:
        """Make a tag."""
        asked = parse(PUBLIC_TAG, TagIn)
        return render(render_tag(tags.create_tag(session, principal, name=asked.name, kind="knowledge")))

    @ns.expect(PUBLIC_TAG_NAME)
    @ns.response(200, "The tag as it is now.", TAG_MODEL)
    @dataset_key()
    @transactional
    def patch(self, session: Session, principal: Principal) -> Response:
        """Give a tag another name."""
        asked = parse(PUBLIC_TAG_NAME, TagNameIn)
        return render(
            render_tag(tags.rename_tag(session, principal, asked.tag_id, asked.name, kind="knowledge"))
        )

    @ns.expect(TAG_ID)
    @ns.response(204, "Deleted.")
    @dataset_key()
    @transactional
    def delete(self, session: Session, principal: Principal) -> Response:
        """Delete a tag and take it off everything."""
        tags.delete_tag(session, principal, parse(TAG_ID, TagIdIn).tag_id, kind="knowledge")
        return Response(status=204)


@ns.route("/datasets/tags/binding")
class TagBindings(Resource):
    """Tags put on datasets."""

    @ns.expect(PUBLIC_BINDING)
    @ns.response(204, "They are on it.")
    @dataset_key()
    @transactional
    def post(self, session: Session, principal: Principal) -> Response:
        """Put tags on a dataset."""
        asked = parse(PUBLIC_BINDING, BindingIn)
        tags.bind_tags(session, principal, asked.ids, asked.target_id, "knowledge")
        return Response(status=204)


@ns.route("/datasets/tags/unbinding")
class TagUnbindings(Resource):
    """Tags taken off datasets."""

    @ns.expect(PUBLIC_BINDING)
    @ns.response(204, "They are off it.")
    @dataset_key()
    @transactional
    def post(self, session: Session, principal: Principal) -> Response:
        """Take tags off a dataset."""
        asked = parse(PUBLIC_BINDING, BindingIn)
        tags.unbind_tags(session, principal, asked.ids, asked.target_id, "knowledge")
        return Response(status=204)


@ns.route("/datasets/<dataset_id>/tags")
class DatasetTags(Resource):
    """The tags on a dataset."""

    @ns.response(200, "The tags.", TAGS_OF_MODEL)
    @dataset_key()
    @transactional
    def get(self, session: Session, principal: Principal, dataset_id: str) -> Response:
        """List the tags on a dataset."""
        found = tags.load_tags_of(session, principal, dataset_id)
        return render({"data": [{"id": tag.id, "name": tag.name} for tag in found], "total": len(found)})
