"""Documents of a dataset: listed, shown, added, replaced, switched, paused, tried again, deleted."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http import swagger
from api.controllers.http.auth import knowledge
from api.controllers.http.door import base_url, claim, render, runtime, transactional
from api.controllers.http.downloads import send_archive
from api.controllers.http.parsing import parse
from api.controllers.http.uploads import sent_file, takes_files
from api.controllers.schemas import document as sent
from api.controllers.schemas import document_answer as shown
from api.controllers.schemas.fields import RESULT, render_page, render_success
from api.principal import Principal
from api.runtime import Session
from api.services import (
    document_archives,
    document_batches,
    document_sources,
    document_syncs,
    document_types,
    documents,
)
from api.services.document_origins import NOTION, WEBSITE

ns = Namespace("documents", path="/", description="Documents of datasets")
for model in (*shown.MODELS, RESULT):
    ns.add_model(model.name, model)

DATASET = "/datasets/<string:dataset_id>"
DOCUMENT = f"{DATASET}/documents/<string:document_id>"


@ns.route(f"{DATASET}/document/create_by_file", f"{DATASET}/document/create-by-file")
class FileDocuments(Resource):
    """Documents from files."""

    @ns.expect(sent.DOCUMENT_UPLOAD)
    @ns.doc(params=swagger.IDEMPOTENCY_HEADER)
    @ns.response(200, "The document, waiting to be indexed.", shown.SEED_CREATED)
    @ns.response(413, "The file is too large: file_too_large.")
    @ns.response(415, "Files of this kind are not read: unsupported_file_type.")
    @takes_files
    @knowledge(may_edit=True)
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
        return render(shown.render_seed_created(view))


@ns.route("/datasets/process-rule")
class ProcessRule(Resource):
    """The process rule a form begins with."""

    @ns.expect(sent.RULE_OF)
    @ns.response(200, "The rule and its limits.")
    @knowledge()
    @transactional
    def get(self, session: Session, principal: Principal) -> Response:
        """Show the rule of a document, or the suggested one."""
        asked = parse(sent.RULE_OF, sent.RuleIn)
        return render(documents.get_rule_form(runtime(), session, principal, asked.document_id))


@ns.route(f"{DATASET}/documents")
class Documents(Resource):
    """The documents of a dataset."""

    @ns.expect(sent.DOCUMENT_LIST)
    @ns.response(200, "One page of documents.", shown.DOCUMENT_PAGE)
    @knowledge()
    @transactional
    def get(self, session: Session, principal: Principal, dataset_id: str) -> Response:
        """List documents, newest first unless ``sort`` says otherwise."""
        asked = parse(sent.DOCUMENT_LIST, sent.DocumentListIn)
        views, total = documents.load_documents(
            session, principal, dataset_id, asked.chosen, page=asked.page, limit=asked.limit
        )
        return render(render_page([shown.render_document(view) for view in views], total, asked))

    @ns.expect(sent.BATCH)
    @ns.doc(params=swagger.IDEMPOTENCY_HEADER)
    @ns.response(200, "The documents, waiting to be indexed.", shown.BATCH)
    @knowledge(may_edit=True)
    def post(self, principal: Principal, dataset_id: str) -> Response:
        """Make documents of uploads, of pages of a crawl or of Notion, or replace one."""
        asked = parse(sent.BATCH, sent.BatchIn)
        once = claim(principal.tenant_id, principal.id)
        added = document_batches.create_documents(runtime(), principal, dataset_id, asked.batch, claim=once)
        return render(shown.render_batch(added, base_url()))

    @ns.expect(sent.QUERY_IDS)
    @ns.response(204, "Deleted.")
    @knowledge(may_edit=True)
    @transactional
    def delete(self, session: Session, principal: Principal, dataset_id: str) -> Response:
        """Delete documents, all or none; this cannot be undone."""
        asked = parse(sent.QUERY_IDS, sent.QueryIdsIn)
        documents.delete_documents(runtime(), session, principal, dataset_id, asked.ids)
        return Response(status=204)


@ns.route("/datasets/init")
class NewDataset(Resource):
    """A dataset that begins with its documents."""

    @ns.expect(sent.BATCH)
    @ns.doc(params=swagger.IDEMPOTENCY_HEADER)
    @ns.response(200, "The dataset and its documents, waiting to be indexed.", shown.BATCH)
    @knowledge(may_edit=True)
    def post(self, principal: Principal) -> Response:
        """Make a dataset of uploads, of pages of a crawl or of Notion, named after the first."""
        asked = parse(sent.BATCH, sent.BatchIn)
        once = claim(principal.tenant_id, principal.id)
        added = document_batches.create_dataset(runtime(), principal, asked.batch, claim=once)
        return render(shown.render_batch(added, base_url()))


@ns.route(DOCUMENT)
class Document(Resource):
    """One document."""

    @ns.expect(sent.METADATA)
    @ns.response(200, "The document.", shown.DOCUMENT_DETAIL)
    @knowledge()
    @transactional
    def get(self, session: Session, principal: Principal, dataset_id: str, document_id: str) -> Response:
        """Show a document with its rules."""
        asked = parse(sent.METADATA, sent.MetadataIn)
        detail = documents.get_detail(session, principal, dataset_id, document_id)
        return render(shown.render_detail(detail, documents.check_metadata(asked.metadata)))

    @ns.response(204, "Deleted.")
    @knowledge(may_edit=True)
    @transactional
    def delete(self, session: Session, principal: Principal, dataset_id: str, document_id: str) -> Response:
        """Delete a document with its segments; this cannot be undone."""
        documents.delete_documents(runtime(), session, principal, dataset_id, [document_id])
        return Response(status=204)


@ns.route(f"{DOCUMENT}/indexing-status")
class IndexingStatus(Resource):
    """How far a document is."""

    @ns.response(200, "How far it is.", shown.STATUS)
    @knowledge()
    @transactional
    def get(self, session: Session, principal: Principal, dataset_id: str, document_id: str) -> Response:
        """Tell where a document's indexing stands."""
        status = documents.get_status(session, principal, dataset_id, document_id)
        return render(shown.render_status(status))


@ns.route(f"{DATASET}/batch/<string:batch>/indexing-status")
class BatchStatus(Resource):
    """How far documents are that came in together."""

    @ns.response(200, "How far they are.", shown.STATUSES)
    @knowledge()
    @transactional
    def get(self, session: Session, principal: Principal, dataset_id: str, batch: str) -> Response:
        """Tell where the indexing of a batch stands."""
        rows = documents.load_batch(session, principal, dataset_id, batch)
        return render({"data": [shown.render_status(row) for row in rows]})


@ns.route(f"{DOCUMENT}/processing/<string:action>")
class Processing(Resource):
    """Whether a document's indexing goes on."""

    @ns.response(204, "It stops at its next step, or goes on.")
    @knowledge(may_edit=True)
    @transactional
    def patch(
        self, session: Session, principal: Principal, dataset_id: str, document_id: str, action: str
    ) -> Response:
        """Pause or resume a document's indexing."""
        documents.process(runtime(), session, principal, dataset_id, document_id, action=action)
        return Response(status=204)


@ns.route(f"{DATASET}/documents/status/<string:action>/batch")
class Switches(Resource):
    """Whether documents are searched."""

    @ns.expect(sent.QUERY_IDS)
    @ns.response(200, "Done.", RESULT)
    @knowledge(may_edit=True)
    @transactional
    def patch(self, session: Session, principal: Principal, dataset_id: str, action: str) -> Response:
        """Enable, disable, archive or un_archive documents, all or none."""
        asked = parse(sent.QUERY_IDS, sent.QueryIdsIn)
        documents.switch(session, principal, dataset_id, asked.ids, action)
        return render(render_success())


@ns.route(f"{DOCUMENT}/rename")
class Rename(Resource):
    """A document's name."""

    @ns.expect(sent.RENAME)
    @ns.response(200, "The document as it is now.", shown.DOCUMENT)
    @knowledge(may_edit=True)
    @transactional
    def post(self, session: Session, principal: Principal, dataset_id: str, document_id: str) -> Response:
        """Give a document another name."""
        asked = parse(sent.RENAME, sent.NameIn)
        view = documents.rename(session, principal, dataset_id, document_id, asked.name)
        return render(shown.render_document(view))


@ns.route(f"{DOCUMENT}/website-sync")
class WebsiteSync(Resource):
    """The page of a website a document follows."""

    @ns.response(200, "It is read again, and indexed anew where it says something else.", RESULT)
    @knowledge(may_edit=True)
    def get(self, principal: Principal, dataset_id: str, document_id: str) -> Response:
        """Have the page of a document read again."""
        document_syncs.request_sync(runtime(), principal, dataset_id, document_id, WEBSITE)
        return render(render_success())


@ns.route(f"{DOCUMENT}/notion/sync")
class NotionSync(Resource):
    """The page of Notion a document follows."""

    @ns.response(200, "It is read again, and indexed anew where it says something else.", RESULT)
    @knowledge(may_edit=True)
    def get(self, principal: Principal, dataset_id: str, document_id: str) -> Response:
        """Have the page of a document read again."""
        document_syncs.request_sync(runtime(), principal, dataset_id, document_id, NOTION)
        return render(render_success())


@ns.route(f"{DOCUMENT}/metadata")
class Description(Resource):
    """What a document is."""

    @ns.expect(sent.DESCRIPTION)
    @ns.response(200, "Done.", shown.DESCRIBED)
    @knowledge(may_edit=True)
    @transactional
    def put(self, session: Session, principal: Principal, dataset_id: str, document_id: str) -> Response:
        """Say what a document is; the values take the place of those it has."""
        asked = parse(sent.DESCRIPTION, sent.DescriptionIn)
        document_types.describe(
            session, principal, dataset_id, document_id, asked.doc_type, asked.doc_metadata
        )
        return render({**render_success(), "message": "Document metadata updated."})


@ns.route(f"{DATASET}/retry")
class Retry(Resource):
    """Documents whose indexing failed."""

    @ns.expect(sent.DOCUMENT_IDS)
    @ns.response(204, "They are tried again.")
    @knowledge(may_edit=True)
    @transactional
    def post(self, session: Session, principal: Principal, dataset_id: str) -> Response:
        """Try documents again that failed; others are left alone."""
        asked = parse(sent.DOCUMENT_IDS, sent.IdsIn)
        documents.retry(runtime(), session, principal, dataset_id, asked.document_ids)
        return Response(status=204)


@ns.route(f"{DOCUMENT}/download")
class Download(Resource):
    """The file a document was made of."""

    @ns.response(200, "Where it can be fetched for some minutes.", shown.URL)
    @knowledge()
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
    @knowledge()
    def post(self, principal: Principal, dataset_id: str) -> Response:
        """Fetch the files of up to 100 documents, all or none, as one ZIP."""
        asked = parse(sent.ARCHIVE, sent.IdsIn)
        pieces = document_archives.stream_archive(runtime(), principal, dataset_id, asked.document_ids)
        return send_archive(pieces, "documents.zip")
