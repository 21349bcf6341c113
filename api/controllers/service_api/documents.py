"""Doors of documents: added as text or file, changed, listed, switched, deleted."""

from flask import Response, request
from flask_restx import Namespace, Resource

from api.controllers.http import swagger
from api.controllers.http.auth import dataset_key
from api.controllers.http.door import base_url, claim, render, runtime, transactional
from api.controllers.http.downloads import send_archive
from api.controllers.http.parsing import parse
from api.controllers.http.uploads import sent_file, takes_files
from api.controllers.schemas import document as sent
from api.controllers.schemas import document_answer as shown
from api.controllers.schemas.fields import RESULT, render_page, render_success
from api.principal import Principal
from api.runtime import Session
from api.services import document_archives, document_sources, documents
from api.services.document_sources import Replacement, to_text_file

ns = Namespace("documents", path="/", description="Documents of datasets")

DATASET = "/datasets/<string:dataset_id>"
DOCUMENT = f"{DATASET}/documents/<string:document_id>"


@ns.route(f"{DATASET}/document/create-by-text", f"{DATASET}/document/create_by_text")
class TextDocuments(Resource):
    """Documents from text."""

    @ns.expect(sent.DOCUMENT_TEXT)
    @ns.doc(params=swagger.IDEMPOTENCY_HEADER)
    @ns.response(200, "The document, waiting to be indexed.", shown.CREATED)
    @dataset_key()
    def post(self, principal: Principal, dataset_id: str) -> Response:
        """Add a text to a dataset, or replace a document by it."""
        asked = parse(sent.DOCUMENT_TEXT, sent.TextIn)
        view = document_sources.create_from_file(
            runtime(),
            principal,
            dataset_id,
            to_text_file(asked.name, asked.text),
            asked.settings,
            name=asked.name,
            original_document_id=asked.original_document_id,
            claim=claim(principal.tenant_id, principal.id),
        )
        return render(shown.render_created(view))


@ns.route(f"{DATASET}/document/create-by-file", f"{DATASET}/document/create_by_file")
class FileDocuments(Resource):
    """Documents from files."""

    @ns.expect(sent.DOCUMENT_UPLOAD)
    @ns.doc(params=swagger.IDEMPOTENCY_HEADER)
    @ns.response(200, "The document, waiting to be indexed.", shown.CREATED)
    @ns.response(413, "The file is too large: file_too_large.")
    @ns.response(415, "Files of this kind are not read: unsupported_file_type.")
    @takes_files
    @dataset_key()
    def post(self, principal: Principal, dataset_id: str) -> Response:
        """Add a file to a dataset, or replace a document by it."""
        file = sent_file()
        asked = parse(sent.DOCUMENT_FORM, sent.FormIn).merged
        view = document_sources.create_from_file(
            runtime(),
            principal,
            dataset_id,
            file,
            asked.settings,
            name=asked.name,
            original_document_id=asked.original_document_id,
            claim=claim(principal.tenant_id, principal.id, file.fingerprint + repr(asked).encode()),
        )
        return render(shown.render_created(view))


@ns.route(f"{DOCUMENT}/update-by-text", f"{DOCUMENT}/update_by_text")
class TextChange(Resource):
    """A document's text."""

    @ns.expect(sent.DOCUMENT_TEXT_CHANGE)
    @ns.response(200, "The document as it is now.", shown.CREATED)
    @dataset_key()
    def post(self, principal: Principal, dataset_id: str, document_id: str) -> Response:
        """Give a document another text, name or rule; what the body leaves out stays."""
        asked = parse(sent.DOCUMENT_TEXT_CHANGE, sent.TextChangeIn)
        change = Replacement(file=asked.file, name=asked.name, settings=asked.settings)
        view = document_sources.replace_content(runtime(), principal, dataset_id, document_id, change)
        return render(shown.render_created(view))


def _change_by_form(principal: Principal, dataset_id: str, document_id: str) -> Response:
    file = sent_file() if request.files else None
    asked = parse(sent.DOCUMENT_FORM, sent.FormIn).merged
    change = Replacement(file=file, name=asked.name, settings=asked.settings)
    view = document_sources.replace_content(runtime(), principal, dataset_id, document_id, change)
    return render(shown.render_created(view))


@ns.route(f"{DOCUMENT}/update-by-file", f"{DOCUMENT}/update_by_file")
class FileChange(Resource):
    """A document's file."""

    @ns.expect(sent.DOCUMENT_UPLOAD_CHANGE)
    @ns.response(200, "The document as it is now.", shown.CREATED)
    @takes_files
    @dataset_key()
    def post(self, principal: Principal, dataset_id: str, document_id: str) -> Response:
        """Give a document another file, name or rule; what the form leaves out stays."""
        return _change_by_form(principal, dataset_id, document_id)


@ns.route(f"{DATASET}/documents")
class Documents(Resource):
    """The documents of a dataset."""

    @ns.expect(sent.DOCUMENT_LIST_CAPPED)
    @ns.response(200, "One page of documents.", shown.DOCUMENT_PAGE)
    @dataset_key()
    @transactional
    def get(self, session: Session, principal: Principal, dataset_id: str) -> Response:
        """List documents, newest first unless ``sort`` says otherwise."""
        asked = parse(sent.DOCUMENT_LIST_CAPPED, sent.DocumentListIn)
        views, total = documents.load_documents(
            session, principal, dataset_id, asked.chosen, page=asked.page, limit=asked.limit
        )
        return render(render_page([shown.render_document(view) for view in views], total, asked))


@ns.route(DOCUMENT)
class Document(Resource):
    """One document."""

    @ns.expect(sent.METADATA)
    @ns.response(200, "The document.", shown.DOCUMENT_DETAIL)
    @dataset_key()
    @transactional
    def get(self, session: Session, principal: Principal, dataset_id: str, document_id: str) -> Response:
        """Show a document with its rules."""
        asked = parse(sent.METADATA, sent.MetadataIn)
        detail = documents.get_detail(session, principal, dataset_id, document_id)
        return render(shown.render_detail(detail, documents.check_metadata(asked.metadata)))

    @ns.expect(sent.DOCUMENT_UPLOAD_CHANGE)
    @ns.response(200, "The document as it is now.", shown.CREATED)
    @takes_files
    @dataset_key()
    def patch(self, principal: Principal, dataset_id: str, document_id: str) -> Response:
        """Give a document another file, name or rule; what the form leaves out stays."""
        return _change_by_form(principal, dataset_id, document_id)

    @ns.response(204, "Deleted.")
    @dataset_key()
    @transactional
    def delete(self, session: Session, principal: Principal, dataset_id: str, document_id: str) -> Response:
        """Delete a document with its segments; this cannot be undone."""
        documents.delete_documents(runtime(), session, principal, dataset_id, [document_id])
        return Response(status=204)


@ns.route(f"{DATASET}/documents/<string:batch>/indexing-status")
class BatchStatus(Resource):
    """How far documents are that came in together."""

    @ns.response(200, "How far they are.", shown.STATUSES)
    @dataset_key()
    @transactional
    def get(self, session: Session, principal: Principal, dataset_id: str, batch: str) -> Response:
        """Tell where the indexing of a batch stands."""
        rows = documents.load_batch(session, principal, dataset_id, batch)
        return render({"data": [shown.render_status(row) for row in rows]})


@ns.route(f"{DATASET}/documents/status/<string:action>")
class Switches(Resource):
    """Whether documents are searched."""

    @ns.expect(sent.DOCUMENT_IDS)
    @ns.response(200, "Done.", RESULT)
    @dataset_key()
    @transactional
    def patch(self, session: Session, principal: Principal, dataset_id: str, action: str) -> Response:
        """Enable, disable, archive or un_archive documents, all or none."""
        asked = parse(sent.DOCUMENT_IDS, sent.IdsIn)
        documents.switch(session, principal, dataset_id, asked.document_ids, action)
        return render(render_success())


@ns.route(f"{DOCUMENT}/download")
class Download(Resource):
    """The file a document was made of."""

    @ns.response(200, "Where it can be fetched for some minutes.", shown.URL)
    @dataset_key()
    @transactional
    def get(self, session: Session, principal: Principal, dataset_id: str, document_id: str) -> Response:
        """Give a signed address of a document's file."""
        upload = documents.get_upload(session, principal, dataset_id, document_id)
        return render({"url": documents.sign_download(runtime(), upload, base_url())})


@ns.route(f"{DATASET}/documents/download-zip")
class Archive(Resource):
    """The files some documents were made of."""

    @ns.expect(sent.ARCHIVE)
    @ns.doc(produces=swagger.ZIP_ONLY)
    @ns.response(200, "A ZIP with the files.")
    @dataset_key()
    def post(self, principal: Principal, dataset_id: str) -> Response:
        """Fetch the files of up to 100 documents, all or none, as one ZIP."""
        asked = parse(sent.ARCHIVE, sent.IdsIn)
        pieces = document_archives.stream_archive(runtime(), principal, dataset_id, asked.document_ids)
        return send_archive(pieces, "documents.zip")


@ns.route(f"{DOCUMENT}/upload-file")
class SourceFile(Resource):
    """What is known of the file a document was made of."""

    @ns.response(200, "The file, with addresses good for some minutes.", shown.SOURCE_FILE)
    @dataset_key()
    @transactional
    def get(self, session: Session, principal: Principal, dataset_id: str, document_id: str) -> Response:
        """Show the file a document was made of."""
        upload = documents.get_upload(session, principal, dataset_id, document_id)
        url = documents.sign_download(runtime(), upload, base_url(), is_attachment=False)
        saved = documents.sign_download(runtime(), upload, base_url())
        return render(shown.render_source_file(upload, url, saved))
