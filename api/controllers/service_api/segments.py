"""Doors of segments and their child chunks: listed, added, changed, deleted."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http.auth import dataset_key
from api.controllers.http.door import render, runtime, transactional
from api.controllers.http.parsing import parse
from api.controllers.schemas import segment as schema
from api.principal import Principal
from api.runtime import Session
from api.services import child_chunks, documents, segments
from api.services.child_chunks import ChunkText

ns = Namespace("segments", path="/", description="Segments of documents")

DOCUMENT = "/datasets/<string:dataset_id>/documents/<string:document_id>"
SEGMENT = f"{DOCUMENT}/segments/<string:segment_id>"


@ns.route(f"{DOCUMENT}/segments")
class Segments(Resource):
    """The segments of a document."""

    @ns.expect(schema.SEGMENT_LIST_CAPPED)
    @ns.response(200, "One page of segments.", schema.SEGMENT_PAGE)
    @dataset_key()
    @transactional
    def get(self, session: Session, principal: Principal, dataset_id: str, document_id: str) -> Response:
        """List segments in their order."""
        document = documents.open_document(session, principal, dataset_id, document_id)
        asked = parse(schema.SEGMENT_LIST_CAPPED, schema.SegmentListIn)
        found = segments.load_segments(session, document, asked.chosen, page=asked.page, limit=asked.limit)
        return render(schema.render_segment_page(found, asked))

    @ns.expect(schema.SEGMENTS_NEW)
    @ns.response(200, "The segments, waiting to be indexed.", schema.SEGMENTS_ANSWER)
    @dataset_key()
    @transactional
    def post(self, session: Session, principal: Principal, dataset_id: str, document_id: str) -> Response:
        """Add segments at the end of a document."""
        asked = parse(schema.SEGMENTS_NEW, schema.SegmentsIn)
        document = segments.open_for_change(session, principal, dataset_id, document_id)
        found = segments.create_segments(runtime(), session, principal, document, asked.texts)
        return render(schema.render_many(found))


@ns.route(SEGMENT)
class Segment(Resource):
    """One segment."""

    @ns.response(200, "The segment.", schema.SEGMENT_ANSWER)
    @dataset_key()
    @transactional
    def get(
        self, session: Session, principal: Principal, dataset_id: str, document_id: str, segment_id: str
    ) -> Response:
        """Show a segment."""
        document = documents.open_document(session, principal, dataset_id, document_id)
        found = segments.get_segment(session, principal, document, segment_id)
        return render(schema.render_one(found))

    @ns.expect(schema.SEGMENT_CHANGE)
    @ns.response(200, "The segment as it is now.", schema.SEGMENT_ANSWER)
    @dataset_key()
    @transactional
    def post(
        self, session: Session, principal: Principal, dataset_id: str, document_id: str, segment_id: str
    ) -> Response:
        """Change a segment; it is indexed anew where its text is another."""
        asked = parse(schema.SEGMENT_CHANGE, schema.SegmentIn)
        document = segments.open_for_change(session, principal, dataset_id, document_id)
        found = segments.update_segment(runtime(), session, principal, document, segment_id, asked.text)
        return render(schema.render_one(found))

    @ns.response(204, "Deleted.")
    @dataset_key()
    @transactional
    def delete(
        self, session: Session, principal: Principal, dataset_id: str, document_id: str, segment_id: str
    ) -> Response:
        """Delete a segment."""
        document = segments.open_for_change(session, principal, dataset_id, document_id)
        segments.delete_segments(runtime(), session, principal, document, [segment_id])
        return Response(status=204)


@ns.route(f"{SEGMENT}/child_chunks")
class ChildChunks(Resource):
    """The child chunks of a segment."""

    @ns.expect(schema.CHUNK_LIST_CAPPED)
    @ns.response(200, "One page of child chunks.", schema.CHUNK_PAGE)
    @dataset_key()
    @transactional
    def get(
        self, session: Session, principal: Principal, dataset_id: str, document_id: str, segment_id: str
    ) -> Response:
        """List a segment's child chunks."""
        document = documents.open_document(session, principal, dataset_id, document_id)
        asked = parse(schema.CHUNK_LIST_CAPPED, schema.ChunkListIn)
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
    @dataset_key()
    @transactional
    def post(
        self, session: Session, principal: Principal, dataset_id: str, document_id: str, segment_id: str
    ) -> Response:
        """Add a child chunk to a segment."""
        asked = parse(schema.CHUNK, schema.ChunkIn)
        document = segments.open_for_change(session, principal, dataset_id, document_id)
        view = child_chunks.create_chunk(runtime(), session, principal, document, segment_id, asked.content)
        return render({"data": schema.render_chunk(view)})


@ns.route(f"{SEGMENT}/child_chunks/<string:chunk_id>")
class ChildChunk(Resource):
    """One child chunk."""

    @ns.expect(schema.CHUNK)
    @ns.response(200, "The child chunk as it is now.", schema.CHUNK_ANSWER)
    @dataset_key()
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
    @dataset_key()
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
