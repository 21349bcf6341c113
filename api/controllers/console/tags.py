"""Tags of the workspace, and what they are on."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http.auth import knowledge
from api.controllers.http.door import render, transactional
from api.controllers.http.parsing import parse
from api.controllers.schemas.fields import RESULT, render_success
from api.controllers.schemas.tag import (
    BINDING,
    TAG,
    TAG_LIST,
    TAG_MODEL,
    TAG_NAME,
    BindingIn,
    TagIn,
    TagListIn,
    TagNameIn,
    render_tag,
)
from api.principal import Principal
from api.runtime import Session
from api.services import tags

ns = Namespace("tags", path="/", description="Tags of apps and datasets")
for model in (TAG_MODEL, RESULT):
    ns.add_model(model.name, model)


@ns.route("/tags")
class Tags(Resource):
    """The tags of the workspace."""

    @ns.expect(TAG_LIST)
    @ns.response(200, "The tags.", [TAG_MODEL])
    @knowledge()
    @transactional
    def get(self, session: Session, principal: Principal) -> Response:
        """List tags, newest first."""
        asked = parse(TAG_LIST, TagListIn)
        found = tags.load_tags(session, principal, asked.type, asked.keyword)
        return render([render_tag(view) for view in found])

    @ns.expect(TAG)
    @ns.response(200, "The tag.", TAG_MODEL)
    @knowledge(may_edit=True)
    @transactional
    def post(self, session: Session, principal: Principal) -> Response:
        """Make a tag."""
        asked = parse(TAG, TagIn)
        return render(render_tag(tags.create_tag(session, principal, name=asked.name, kind=asked.type)))


@ns.route("/tags/<tag_id>")
class Tag(Resource):
    """One tag."""

    @ns.expect(TAG_NAME)
    @ns.response(200, "The tag as it is now.", TAG_MODEL)
    @knowledge(may_edit=True)
    @transactional
    def patch(self, session: Session, principal: Principal, tag_id: str) -> Response:
        """Give a tag another name."""
        asked = parse(TAG_NAME, TagNameIn)
        return render(render_tag(tags.rename_tag(session, principal, tag_id, asked.name)))

    @ns.response(204, "Deleted.")
    @knowledge(may_edit=True)
    @transactional
    def delete(self, session: Session, principal: Principal, tag_id: str) -> Response:
        """Delete a tag and take it off everything."""
        tags.delete_tag(session, principal, tag_id)
        return Response(status=204)


@ns.route("/tag-bindings/create")
class TagBindings(Resource):
    """Tags put on things."""

    @ns.expect(BINDING)
    @ns.response(200, "They are on it.", RESULT)
    @knowledge(may_edit=True)
    @transactional
    def post(self, session: Session, principal: Principal) -> Response:
        """Put tags on an app or a dataset."""
        asked = parse(BINDING, BindingIn)
        tags.bind_tags(session, principal, asked.ids, asked.target_id, asked.type)
        return render(render_success())


@ns.route("/tag-bindings/remove")
class TagUnbindings(Resource):
    """Tags taken off things."""

    @ns.expect(BINDING)
    @ns.response(200, "They are off it.", RESULT)
    @knowledge(may_edit=True)
    @transactional
    def post(self, session: Session, principal: Principal) -> Response:
        """Take tags off an app or a dataset."""
        asked = parse(BINDING, BindingIn)
        tags.unbind_tags(session, principal, asked.ids, asked.target_id, asked.type)
        return render(render_success())
