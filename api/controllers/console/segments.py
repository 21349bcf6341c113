"""Segments of a document and their child chunks: listed, added, changed, switched, deleted."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http.auth import knowledge
from api.controllers.http.door import render, runtime, transactional
from api.controllers.http.parsing import parse
from api.controllers.schemas import segment as schema
from api.controllers.schemas.fields import RESULT, render_success
from api.principal import Principal
from api.runtime import Session
from api.services import child_chunks, documents, segments
from api.services.child_chunks import ChunkText
from api.services.segments import SegmentText

ns = Namespace("segments", path="/", description="Segments of documents")
for model in (*schema.MODELS, RESULT):
    ns.add_model(model.name, model)

DOCUMENT = "/datasets/<string:dataset_id>/documents/<string:document_id>"
SEGMENT = f"{DOCUMENT}/segments/<string:segment_id>"


@ns.route(f"{DOCUMENT}/segments")
class Segments(Resource):
    """The segments of a document."""

    @ns.expect(schema.SEGMENT_LIST)
    @ns.response(200, "One page of segments.", schema.SEGMENT_PAGE)
    @knowledge()
    @transactional
    def get(self, session: Session, principal: Principal, dataset_id: str, document_id: str) -> Response:
        """List segments in their order."""
        document = documents.open_document(session, principal, dataset_id, document_id)
        asked = parse(schema.SEGMENT_LIST, schema.SegmentListIn)
        found = segments.load_segments(session, document, asked.chosen, page=asked.page, limit=asked.limit)
        return render(schema.render_segment_page(found, asked))

    @ns.expect(schema.SEGMENT_IDS)
    @ns.response(204, "Deleted.")
    @knowledge(may_edit=True)
    @transactional
    def delete(self, session: Session, principal: Principal, dataset_id: str, document_id: str) -> Response:
        """Delete segments, all or none."""
        asked = parse(schema.SEGMENT_IDS, schema.SegmentIdsIn)
        document = segments.open_for_change(session, principal, dataset_id, document_id)
        segments.delete_segments(runtime(), session, principal, document, asked.ids)
        return Response(status=204)


@ns.route(f"{DOCUMENT}/segment")
class NewSegment(Resource):
    """A segment made by hand."""

    @ns.expect(schema.SEGMENT_NEW)
    @ns.response(200, "The segment, waiting to be indexed.", schema.SEGMENT_ANSWER)
    @knowledge(may_edit=True)
    @transactional
    def post(self, session: Session, principal: Principal, dataset_id: str, document_id: str) -> Response:
        """Add a segment at the end of a document."""
        text = parse(schema.SEGMENT_NEW, SegmentText)
        document = segments.open_for_change(session, principal, dataset_id, document_id)
        found = segments.create_segments(runtime(), session, principal, document, [text])
        return render(schema.render_one(found))


@ns.route(SEGMENT)
class Segment(Resource):
    """One segment."""

    @ns.expect(schema.SEGMENT_EDIT)
    @ns.response(200, "The segment as it is now.", schema.SEGMENT_ANSWER)
    @knowledge(may_edit=True)
    @transactional
    def patch(
        self, session: Session, principal: Principal, dataset_id: str, document_id: str, segment_id: str
    ) -> Response:
        """Change a segment; it is indexed anew."""
        text = parse(schema.SEGMENT_EDIT, SegmentText)
        document = segments.open_for_change(session, principal, dataset_id, document_id)
        found = segments.update_segment(runtime(), session, principal, document, segment_id, text)
        return render(schema.render_one(found))

    @ns.response(204, "Deleted.")
    @knowledge(may_edit=True)
    @transactional
    def delete(
        self, session: Session, principal: Principal, dataset_id: str, document_id: str, segment_id: str
    ) -> Response:
        """Delete a segment."""
        document = segments.open_for_change(session, principal, dataset_id, document_id)
        segments.delete_segments(runtime(), session, principal, document, [segment_id])
        return Response(status=204)


@ns.route(f"{DOCUMENT}/segment/<string:action>")
class SegmentSwitch(Resource):
    """Whether segments are searched."""

    @ns.expect(schema.SEGMENT_IDS)
    @ns.response(200, "Done.", RESULT)
    @knowledge(may_edit=True)
    @transactional
    def patch(
        self, session: Session, principal: Principal, dataset_id: str, document_id: str, action: str
    ) -> Response:
        """Enable or disable segments, all or none."""
        asked = parse(schema.SEGMENT_IDS, schema.SegmentIdsIn)
        document = segments.open_for_change(session, principal, dataset_id, document_id)
        segments.switch_segments(session, principal, document, asked.ids, action)
        return render(render_success())


@ns.route(f"{SEGMENT}/child_chunks")
class ChildChunks(Resource):
    """The child chunks of a segment."""

    @ns.expect(schema.CHUNK_LIST)
    @ns.response(200, "One page of child chunks.", schema.CHUNK_PAGE)
    @knowledge()
    @transactional
    def get(
        self, session: Session, principal: Principal, dataset_id: str, document_id: str, segment_id: str
    ) -> Response:
        """List a segment's child chunks."""
        document = documents.open_document(session, principal, dataset_id, document_id)
        asked = parse(schema.CHUNK_LIST, schema.ChunkListIn)
        views, total = child_chunks.load_chunks(
            session,
            principal,
            document,
            segment_id,
            keyword=asked.keyword.strip(),
            page=asked.page,
            limit=asked.limit,
        )
        return render(schema.render_chunk_page(views, total, asked))

    @ns.expect(schema.CHUNK)
    @ns.response(200, "The child chunk.", schema.CHUNK_ANSWER)
    @knowledge(may_edit=True)
    @transactional
    def post(
        self, session: Session, principal: Principal, dataset_id: str, document_id: str, segment_id: str
    ) -> Response:
        """Add a child chunk to a segment."""
        asked = parse(schema.CHUNK, schema.ChunkIn)
        document = segments.open_for_change(session, principal, dataset_id, document_id)
        view = child_chunks.create_chunk(runtime(), session, principal, document, segment_id, asked.content)
        return render({"data": schema.render_chunk(view)})

    @ns.expect(schema.CHUNKS)
    @ns.response(200, "All child chunks.", schema.CHUNKS_ANSWER)
    @knowledge(may_edit=True)
    @transactional
    def patch(
        self, session: Session, principal: Principal, dataset_id: str, document_id: str, segment_id: str
    ) -> Response:
        """Change a segment's child chunks into those the body names."""
        asked = parse(schema.CHUNKS, schema.ChunksIn)
        document = segments.open_for_change(session, principal, dataset_id, document_id)
        views = child_chunks.replace_chunks(
            runtime(), session, principal, document, segment_id, texts=asked.texts
        )
        return render({"data": [schema.render_chunk(view) for view in views]})


@ns.route(f"{SEGMENT}/child_chunks/<string:chunk_id>")
class ChildChunk(Resource):
    """One child chunk."""

    @ns.expect(schema.CHUNK)
    @ns.response(200, "The child chunk as it is now.", schema.CHUNK_ANSWER)
    @knowledge(may_edit=True)
    @transactional
    def patch(
        self,
        session: Session,
        principal: Principal,
        dataset_id: str,
        document_id: str,
        segment_id: str,
        *,
        chunk_id: str,
    ) -> Response:
        """Change a child chunk."""
        asked = parse(schema.CHUNK, schema.ChunkIn)
        document = segments.open_for_change(session, principal, dataset_id, document_id)
        text = ChunkText(id=chunk_id, content=asked.content)
        view = child_chunks.update_chunk(runtime(), session, principal, document, segment_id, text=text)
        return render({"data": schema.render_chunk(view)})

    @ns.response(204, "Deleted.")
    @knowledge(may_edit=True)
    @transactional
    def delete(
        self,
        session: Session,
        principal: Principal,
        dataset_id: str,
        document_id: str,
        segment_id: str,
        *,
        chunk_id: str,
    ) -> Response:
        """Delete a child chunk."""
        document = segments.open_for_change(session, principal, dataset_id, document_id)
        child_chunks.delete_chunk(runtime(), session, principal, document, segment_id, chunk_id)
        return Response(status=204)
