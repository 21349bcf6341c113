"""Doors of an app's annotations: questions with the answers people wrote for them."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http import swagger
from api.controllers.http.auth import app_key
from api.controllers.http.door import render, runtime, transactional
from api.controllers.http.parsing import parse
from api.controllers.schemas.annotation import (
    ANNOTATION,
    ANNOTATION_MODEL,
    ANNOTATION_PAGE,
    JOB_MODEL,
    JOB_STATUS,
    PUBLIC_ANNOTATION_LIST,
    PUBLIC_MODELS,
    SWITCH,
    AnnotationIn,
    AnnotationListIn,
    SwitchIn,
    render_annotation,
    render_job,
    render_job_status,
)
from api.controllers.schemas.fields import render_page
from api.runtime import Session
from api.services import annotation_jobs, annotations
from api.services.tokens import KeyCaller

ns = Namespace("annotations", path="/apps", description="Annotations of the app")
for model in PUBLIC_MODELS:
    ns.add_model(model.name, model)


@ns.route("/annotations")
class Annotations(Resource):
    """The annotations of the app."""

    @ns.expect(PUBLIC_ANNOTATION_LIST)
    @ns.response(200, "A page of them, newest first.", ANNOTATION_PAGE)
    @app_key()
    @transactional
    def get(self, session: Session, caller: KeyCaller) -> Response:
        """List annotations."""
        asked = parse(PUBLIC_ANNOTATION_LIST, AnnotationListIn)
        found, total = annotations.load_annotations(
            session,
            caller.principal,
            caller.app.id,
            page=asked.page,
            limit=asked.limit,
            keyword=asked.keyword,
        )
        return render(render_page([render_annotation(view) for view in found], total, asked))

    @ns.expect(ANNOTATION)
    @ns.doc(params=swagger.IDEMPOTENCY_HEADER)
    @ns.response(201, "The annotation.", ANNOTATION_MODEL)
    @app_key()
    @transactional
    def post(self, session: Session, caller: KeyCaller) -> Response:
        """Add an annotation."""
        asked = parse(ANNOTATION, AnnotationIn)
        view = annotations.create_annotation(
            runtime(),
            session,
            caller.principal,
            caller.app.id,
            question=asked.question,
            answer=asked.answer,
        )
        return render(render_annotation(view), 201)


@ns.route("/annotations/<string:annotation_id>")
class Annotation(Resource):
    """One annotation."""

    @ns.expect(ANNOTATION)
    @ns.response(200, "The annotation as it is now.", ANNOTATION_MODEL)
    @app_key()
    @transactional
    def put(self, session: Session, caller: KeyCaller, annotation_id: str) -> Response:
        """Change question and answer."""
        asked = parse(ANNOTATION, AnnotationIn)
        view = annotations.update_annotation(
            runtime(),
            session,
            caller.principal,
            caller.app.id,
            annotation_id,
            question=asked.question,
            answer=asked.answer,
        )
        return render(render_annotation(view))

    @ns.response(204, "Deleted.")
    @app_key()
    @transactional
    def delete(self, session: Session, caller: KeyCaller, annotation_id: str) -> Response:
        """Delete an annotation with the history of its hits."""
        annotations.delete_annotation(runtime(), session, caller.principal, caller.app.id, annotation_id)
        return Response(status=204)


@ns.route("/annotation-reply/<string:action>")
class AnnotationReply(Resource):
    """Whether the app answers by its annotations."""

    @ns.expect(SWITCH)
    @ns.doc(params={"action": {"enum": ["enable", "disable"]}, **swagger.IDEMPOTENCY_HEADER})
    @ns.response(200, "The job that does it.", JOB_MODEL)
    @app_key()
    @transactional
    def post(self, session: Session, caller: KeyCaller, action: str) -> Response:
        """Have the app answer by its annotations, or no longer."""
        asked = parse(SWITCH, SwitchIn)
        view = annotation_jobs.start_switch(
            runtime(), session, caller.principal, caller.app.id, action, asked.wanted
        )
        return render(render_job(view))


@ns.route("/annotation-reply/<string:action>/status/<string:job_id>")
class AnnotationReplyStatus(Resource):
    """One such job."""

    @ns.doc(params={"action": {"enum": ["enable", "disable"]}})
    @ns.response(200, "How far it is.", JOB_STATUS)
    @ns.response(400, "There is no such job.")
    @app_key()
    @transactional
    def get(self, session: Session, caller: KeyCaller, action: str, job_id: str) -> Response:
        """Tell how far a job is."""
        view = annotation_jobs.get_switch(session, caller.principal, caller.app.id, action, job_id)
        return render(render_job_status(view))
