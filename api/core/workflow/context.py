"""Reads what a model is given as its context: a text, or what a knowledge-retrieval node found."""

from api.core.events import RetrieverResource
from api.core.ports import JSONObject, JSONValue
from api.core.workflow.templates import to_text

KNOWLEDGE = "knowledge"


def read_context(value: JSONValue) -> tuple[str, tuple[RetrieverResource, ...]]:
    """Return a variable as context, its items a blank line apart, and the passages in it that are cited."""
    if not isinstance(value, list):
        return to_text(value), ()
    texts = (_content(item) for item in value)
    cited = (_citation(item, place) for place, item in enumerate(value, 1))
    return "\n\n".join(text for text in texts if text), tuple(item for item in cited if item is not None)


def _content(item: JSONValue) -> str:
    content = item.get("content") if isinstance(item, dict) else None
    return content if isinstance(content, str) else to_text(item)


def _citation(item: JSONValue, place: int) -> RetrieverResource | None:
    """Return a passage as it is cited, None for what is none."""
    about = item.get("metadata") if isinstance(item, dict) else None
    if not isinstance(item, dict) or not isinstance(about, dict) or about.get("_source") != KNOWLEDGE:
        return None
    doc_metadata, summary = about.get("doc_metadata"), item.get("summary")
    score = about.get("score")
    return RetrieverResource(
        position=_whole(about, "position") or place,
        dataset_id=_text(about, "dataset_id"),
        dataset_name=_text(about, "dataset_name"),
        document_id=_text(about, "document_id"),
        document_name=_text(about, "document_name"),
        data_source_type=_text(about, "data_source_type"),
        segment_id=_text(about, "segment_id"),
        retriever_from=_text(about, "retriever_from"),
        score=float(score) if isinstance(score, int | float) else 0.0,
        content=_content(item),
        segment_position=_whole(about, "segment_position"),
        word_count=_whole(about, "segment_word_count"),
        hit_count=_whole(about, "segment_hit_count"),
        index_node_hash=_text(about, "segment_index_node_hash") or None,
        summary=summary if isinstance(summary, str) else None,
        doc_metadata=doc_metadata if isinstance(doc_metadata, dict) else None,
    )


def _text(about: JSONObject, name: str) -> str:
    return to_text(about.get(name))


def _whole(about: JSONObject, name: str) -> int | None:
    value = about.get(name)
    return value if isinstance(value, int) else None
