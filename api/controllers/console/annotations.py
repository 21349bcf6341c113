"""Annotations of apps: written by hand or from messages, imported, switched on, and how often they hit."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http import swagger
from api.controllers.http.auth import console
from api.controllers.http.door import JSON_TYPE, render, runtime, transactional
from api.controllers.http.parsing import parse
from api.controllers.http.uploads import sent_file, takes_files
from api.controllers.schemas.annotation import (
    ANNOTATION,
    ANNOTATION_EXPORT,
    ANNOTATION_IDS,
    ANNOTATION_LIST,
    ANNOTATION_MODEL,
    ANNOTATION_PAGE,
    COUNT,
    HIT_LIST,
    HIT_PAGE,
    JOB_MODEL,
    JOB_STATUS,
    MODELS,
    NEW_ANNOTATION,
    SETTING_MODEL,
    SWITCH,
    TABLE_FORM,
    THRESHOLD,
    AnnotationIdsIn,
    AnnotationIn,
    AnnotationListIn,
    NewAnnotationIn,
    SwitchIn,
    ThresholdIn,
    render_annotation,
    render_export,
    render_hit,
    render_job,
    render_job_status,
    render_setting,
)
from api.controllers.schemas.fields import PageIn, render_page
from api.principal import Principal, Role
from api.runtime import Session
from api.services import annotation_jobs, annotations

ns = Namespace("annotations", path="/apps/<string:app_id>", description="Annotations of apps")
for model in MODELS:
    ns.add_model(model.name, model)
ACTION = {"action": {"enum": ["enable", "disable"]}}


@ns.route("/annotations")
class Annotations(Resource):
    """The annotations of an app."""

    @ns.expect(ANNOTATION_LIST)
    @ns.response(200, "A page of them, newest first.", ANNOTATION_PAGE)
    @console(Role.EDITOR)
    @transactional
    def get(self, session: Session, principal: Principal, app_id: str) -> Response:
        """List annotations."""
        asked = parse(ANNOTATION_LIST, AnnotationListIn)
        found, total = annotations.load_annotations(
            session, principal, app_id, page=asked.page, limit=asked.limit, keyword=asked.keyword
        )
        return render(render_page([render_annotation(view) for view in found], total, asked))

    @ns.expect(NEW_ANNOTATION)
    @ns.doc(params=swagger.IDEMPOTENCY_HEADER)
    @ns.response(200, "The annotation.", ANNOTATION_MODEL)
    @console(Role.EDITOR)
    @transactional
    def post(self, session: Session, principal: Principal, app_id: str) -> Response:
        """Add an annotation, or make a message one."""
        asked = parse(NEW_ANNOTATION, NewAnnotationIn)
        view = annotations.annotate(
            runtime(),
            session,
            principal,
            app_id,
            message_id=asked.message_id,
            question=asked.question,
            answer=asked.answer,
        )
        return render(render_annotation(view))

    @ns.expect(ANNOTATION_IDS)
    @ns.response(204, "Deleted.")
    @console(Role.EDITOR)
    @transactional
    def delete(self, session: Session, principal: Principal, app_id: str) -> Response:
        """Delete some annotations, or all."""
        asked = parse(ANNOTATION_IDS, AnnotationIdsIn)
        annotations.delete_annotations(runtime(), session, principal, app_id, asked.ids)
        return Response(status=204)


@ns.route("/annotations/<string:annotation_id>")
class Annotation(Resource):
    """One annotation."""

    @ns.expect(ANNOTATION)
    @ns.response(200, "The annotation as it is now.", ANNOTATION_MODEL)
    @console(Role.EDITOR)
    @transactional
    def post(self, session: Session, principal: Principal, app_id: str, annotation_id: str) -> Response:
        """Change question and answer."""
        asked = parse(ANNOTATION, AnnotationIn)
        view = annotations.update_annotation(
            runtime(),
            session,
            principal,
            app_id,
            annotation_id,
            question=asked.question,
            answer=asked.answer,
        )
        return render(render_annotation(view))

    @ns.response(204, "Deleted.")
    @console(Role.EDITOR)
    @transactional
    def delete(self, session: Session, principal: Principal, app_id: str, annotation_id: str) -> Response:
        """Delete an annotation with the history of its hits."""
        annotations.delete_annotation(runtime(), session, principal, app_id, annotation_id)
        return Response(status=204)


@ns.route("/annotations/<string:annotation_id>/hit-histories")
class AnnotationHits(Resource):
    """When an annotation was given as an answer."""

    @ns.expect(HIT_LIST)
    @ns.response(200, "A page of its hits, latest first.", HIT_PAGE)
    @console(Role.EDITOR)
    @transactional
    def get(self, session: Session, principal: Principal, app_id: str, annotation_id: str) -> Response:
        """List the hits of an annotation."""
        asked = parse(HIT_LIST, PageIn)
        found, total = annotations.load_hits(
            session, principal, app_id, annotation_id, page=asked.page, limit=asked.limit
        )
        return render(render_page([render_hit(view) for view in found], total, asked))


@ns.route("/annotations/count")
class AnnotationCount(Resource):
    """How many there are."""

    @ns.response(200, "The number.", COUNT)
    @console(Role.EDITOR)
    @transactional
    def get(self, session: Session, principal: Principal, app_id: str) -> Response:
        """Count annotations."""
        return render({"count": annotations.count_annotations(session, principal, app_id)})


@ns.route("/annotations/export")
class AnnotationExport(Resource):
    """All of them."""

    @ns.response(200, "All annotations, newest first.", ANNOTATION_EXPORT)
    @console(Role.EDITOR)
    def get(self, principal: Principal, app_id: str) -> Response:
        """Return all annotations, as they are read."""
        pages = annotations.iterate_all(runtime(), principal, app_id)
        return Response(render_export(pages), content_type=JSON_TYPE)


@ns.route("/annotations/batch-import")
class AnnotationImport(Resource):
    """Annotations from tables."""

    @ns.expect(TABLE_FORM)
    @ns.response(200, "The job that adds them.", JOB_MODEL)
    @ns.response(413, "The table is larger than 2 MB: file_too_large.")
    @ns.response(415, "The file is no CSV: unsupported_file_type.")
    @takes_files
    @console(Role.EDITOR)
    def post(self, principal: Principal, app_id: str) -> Response:
        """Add the rows of a CSV file of questions and answers."""
        view = annotation_jobs.import_table(runtime(), principal, app_id, sent_file)
        return render(render_job(view))


@ns.route("/annotations/batch-import-status/<string:job_id>")
class AnnotationImportStatus(Resource):
    """One import."""

    @ns.response(200, "How far it is.", JOB_STATUS)
    @ns.response(400, "There is no such job.")
    @console(Role.EDITOR)
    @transactional
    def get(self, session: Session, principal: Principal, app_id: str, job_id: str) -> Response:
        """Tell how far an import is."""
        return render(render_job_status(annotation_jobs.get_import(session, principal, app_id, job_id)))


@ns.route("/annotation-reply/<string:action>")
class AnnotationReply(Resource):
    """Whether an app answers by its annotations."""

    @ns.expect(SWITCH)
    @ns.doc(params={**ACTION, **swagger.IDEMPOTENCY_HEADER})
    @ns.response(200, "The job that does it.", JOB_MODEL)
    @console(Role.EDITOR)
    @transactional
    def post(self, session: Session, principal: Principal, app_id: str, action: str) -> Response:
        """Have an app answer by its annotations, or no longer."""
        asked = parse(SWITCH, SwitchIn)
        view = annotation_jobs.start_switch(runtime(), session, principal, app_id, action, asked.wanted)
        return render(render_job(view))


@ns.route("/annotation-reply/<string:action>/status/<string:job_id>")
class AnnotationReplyStatus(Resource):
    """One such job."""

    @ns.doc(params=ACTION)
    @ns.response(200, "How far it is.", JOB_STATUS)
    @ns.response(400, "There is no such job.")
    @console(Role.EDITOR)
    @transactional
    def get(self, session: Session, principal: Principal, app_id: str, action: str, job_id: str) -> Response:
        """Tell how far a job is."""
        return render(
            render_job_status(annotation_jobs.get_switch(session, principal, app_id, action, job_id))
        )


@ns.route("/annotation-setting")
class AnnotationSetting(Resource):
    """How an app answers by its annotations."""

    @ns.response(200, "The setting; only enabled, false, while replies are off.", SETTING_MODEL)
    @console(Role.EDITOR)
    @transactional
    def get(self, session: Session, principal: Principal, app_id: str) -> Response:
        """Return the setting."""
        return render(render_setting(annotation_jobs.get_setting(session, principal, app_id)))


@ns.route("/annotation-settings/<string:setting_id>")
class AnnotationThreshold(Resource):
    """The same, by its id."""

    @ns.expect(THRESHOLD)
    @ns.response(200, "The setting as it is now.", SETTING_MODEL)
    @console(Role.EDITOR)
    @transactional
    def post(self, session: Session, principal: Principal, app_id: str, setting_id: str) -> Response:
        """Set how near a question must be."""
        asked = parse(THRESHOLD, ThresholdIn)
        view = annotation_jobs.update_threshold(session, principal, app_id, setting_id, asked.score_threshold)
        return render(render_setting(view))
