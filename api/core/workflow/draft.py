"""The mark by which saves of a draft are told apart."""

import hashlib

import orjson

from api.core.ports import JSONObject


def draft_hash(graph: JSONObject, features: JSONObject) -> str:
    """Return the mark of a graph and its features: the same in whatever order they are written."""
    text = orjson.dumps({"graph": graph, "features": features}, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(text).hexdigest()
