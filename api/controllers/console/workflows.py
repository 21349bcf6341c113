"""Doors to an app's workflow: its draft, its published versions, what new nodes begin with."""

from flask import Response, request
from flask_restx import Namespace, Resource, fields

from api.controllers.http.auth import console
from api.controllers.http.door import render, runtime, transactional
from api.controllers.http.parsing import parse
from api.controllers.schemas.fields import to_unix
from api.controllers.schemas.workflow import (
    BLOCK_DEFAULT,
    DRAFT,
    MARKS,
    PUBLISHED,
    SAVED,
    SCHEMA_DEFINITION,
    VERSIONS,
    WORKFLOW,
    WORKFLOWS,
    MarksIn,
    VersionsIn,
    parse_draft,
    parse_marks,
    render_workflow,
)
from api.core.workflow import block_defaults
from api.principal import Principal, Role
from api.runtime import Session
from api.services import workflows

ns = Namespace("workflows", path="/", description="Workflows and chatflows")
for model in (WORKFLOW, DRAFT, SAVED, PUBLISHED, WORKFLOWS, BLOCK_DEFAULT, SCHEMA_DEFINITION):
    ns.add_model(model.name, model)
OR_NONE = fields.Nested(WORKFLOW, nullable=True)


@ns.route("/apps/<app_id>/workflows/draft")
class Draft(Resource):
    """The workflow as it is drawn."""

    @ns.response(200, "The draft.", WORKFLOW)
    @ns.response(404, "There is no such app, or it has no draft yet.")
    @console(Role.EDITOR)
    @transactional
    def get(self, session: Session, principal: Principal, app_id: str) -> Response:
        """Return the draft."""
        return render(render_workflow(workflows.get_draft(runtime(), session, principal, app_id)))

    @ns.expect(DRAFT)
    @ns.doc(params={"validate": {"in": "query", "enum": ["strict", "lenient"]}})
    @ns.response(200, "Saved.", SAVED)
    @ns.response(400, "The graph breaks a rule; details name the nodes.")
    @ns.response(409, "Somebody else saved the draft meanwhile.")
    @console(Role.EDITOR)
    @transactional
    def post(self, session: Session, principal: Principal, app_id: str) -> Response:
        """Save the draft."""
        row = workflows.save_draft(runtime(), session, principal, app_id, parse_draft())
        return render({"result": "success", "hash": row.hash, "updated_at": to_unix(row.updated_at)})


@ns.route("/apps/<app_id>/workflows/publish")
class Published(Resource):
    """The workflow an app's API runs."""

    @ns.response(200, "The version in use; null where none was published.", OR_NONE)
    @console(Role.EDITOR)
    @transactional
    def get(self, session: Session, principal: Principal, app_id: str) -> Response:
        """Return the version in use."""
        view = workflows.get_published(runtime(), session, principal, app_id)
        return render(None if view is None else render_workflow(view))

    @ns.expect(MARKS)
    @ns.response(200, "Published.", PUBLISHED)
    @ns.response(400, "The draft cannot be run; details name every problem.")
    @console(Role.EDITOR)
    @transactional
    def post(self, session: Session, principal: Principal, app_id: str) -> Response:
        """Publish the draft as the next version."""
        marks = parse_marks()
        row = workflows.publish(
            runtime(),
            session,
            principal,
            app_id,
            name=marks.marked_name or "",
            comment=marks.marked_comment or "",
        )
        at = to_unix(row.created_at)
        told = {"version": row.version, "published_at": at, "created_at": at, "workflow_id": row.id}
        return render({"result": "success", **told})


@ns.route("/apps/<app_id>/workflows")
class Versions(Resource):
    """The draft and all published versions."""

    @ns.expect(VERSIONS)
    @ns.response(200, "A page of them, the draft first, then the latest.", WORKFLOWS)
    @console(Role.EDITOR)
    @transactional
    def get(self, session: Session, principal: Principal, app_id: str) -> Response:
        """List the workflows of an app; nothing before the first is published."""
        asked = parse(VERSIONS, VersionsIn)
        views, has_more = workflows.load_versions(
            runtime(),
            session,
            principal,
            app_id,
            page=asked.page,
            limit=asked.limit,
            is_named_only=asked.named_only,
            user_id=asked.user_id,
        )
        page = {"page": asked.page, "limit": asked.limit, "has_more": has_more}
        return render({"items": [render_workflow(view) for view in views], **page})


@ns.route("/apps/<app_id>/workflows/<uuid:workflow_id>")
class Version(Resource):
    """One published version."""

    @ns.expect(MARKS)
    @ns.response(200, "The version.", WORKFLOW)
    @ns.response(404, "The app has no such version.")
    @console(Role.EDITOR)
    @transactional
    def patch(self, session: Session, principal: Principal, app_id: str, workflow_id: object) -> Response:
        """Name a version, or say what it is for."""
        marks = parse(MARKS, MarksIn)
        view = workflows.mark_version(
            runtime(),
            session,
            principal,
            app_id,
            str(workflow_id),
            name=marks.marked_name,
            comment=marks.marked_comment,
        )
        return render(render_workflow(view))

    @ns.response(204, "Deleted.")
    @ns.response(400, "It is the draft, or in use.")
    @ns.response(404, "The app has no such version.")
    @console(Role.EDITOR)
    @transactional
    def delete(self, session: Session, principal: Principal, app_id: str, workflow_id: object) -> Response:
        """Delete a version that is not in use."""
        workflows.delete_version(session, principal, app_id, str(workflow_id))
        return Response(status=204)


@ns.route("/apps/<app_id>/workflows/<uuid:workflow_id>/restore")
class Restored(Resource):
    """An earlier version as the draft."""

    @ns.response(200, "The draft is what the version is.", SAVED)
    @ns.response(404, "The app has no such version.")
    @console(Role.EDITOR)
    @transactional
    def post(self, session: Session, principal: Principal, app_id: str, workflow_id: object) -> Response:
        """Make a published version the draft."""
        row = workflows.restore_version(session, principal, app_id, str(workflow_id))
        return render({"result": "success", "hash": row.hash, "updated_at": to_unix(row.updated_at)})


@ns.route("/spec/schema-definitions")
class SchemaDefinitions(Resource):
    """Types of values that outputs of nodes may name."""

    @ns.response(200, "None.", [SCHEMA_DEFINITION])
    @console()
    def get(self, _principal: Principal) -> Response:
        """List named types of values: there are none but those of JSON."""
        return render([])


@ns.route("/apps/<app_id>/workflows/default-workflow-block-configs")
class BlockDefaults(Resource):
    """What new nodes begin with."""

    @ns.response(200, "A list of types with their settings.", [BLOCK_DEFAULT])
    @console(Role.EDITOR)
    @transactional
    def get(self, session: Session, principal: Principal, app_id: str) -> Response:
        """Return the settings new nodes of each type begin with."""
        workflows.access_flow_app(session, principal, app_id)
        return render(block_defaults.all_defaults())


@ns.route("/apps/<app_id>/workflows/default-workflow-block-configs/<node_type>")
class BlockDefault(Resource):
    """What a new node begins with."""

    @ns.doc(params={"q": {"in": "query", "description": 'JSON; {"code_language": …} for code nodes.'}})
    @ns.response(200, "The settings.", fields.Raw)
    @ns.response(404, "There is no such type, or it begins with nothing.")
    @console(Role.EDITOR)
    @transactional
    def get(self, session: Session, principal: Principal, app_id: str, node_type: str) -> Response:
        """Return the settings a new node of a type begins with."""
        workflows.access_flow_app(session, principal, app_id)
        return render(workflows.block_default(node_type, request.args.get("q")))
