"""A provider of models over the wire that most vendors imitate, for the suite of what providers promise."""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from slipway_plugin import Answer, Chat, Chunk, ModelFailed, Models, Texts, http, serve


def call(credentials: Mapping[str, str], path: str, body: object = None) -> Answer:
    return http(
        "GET" if body is None else "POST",
        f"{credentials['base_url']}/{path}",
        headers={"authorization": f"Bearer {credentials['api_key']}"},
        json=body,
    )


def check(credentials: Mapping[str, str]) -> None:
    with call(credentials, "models") as answer:
        answer.check()


def to_message(message: dict[str, Any]) -> dict[str, Any]:
    content = message["content"]
    if isinstance(content, list):
        content = [to_part(part) for part in content]
    kept = {name: message[name] for name in ("role", "tool_calls", "tool_call_id") if name in message}
    return {**kept, "content": content}


def to_part(part: dict[str, Any]) -> dict[str, Any]:
    if part["type"] == "text":
        return {"type": "text", "text": part["data"]}
    url = part["url"] or f"data:{part['mime_type']};base64,{part['base64_data']}"
    return {"type": "image_url", "image_url": {"url": url}}


def chat(asked: Chat) -> Iterator[str | Chunk]:
    misbehave(asked.messages[-1]["content"])
    body = {
        "model": asked.model,
        "stream": True,
        "messages": [to_message(message) for message in asked.messages],
        "tools": [{"type": "function", "function": tool} for tool in asked.tools],
        **asked.parameters,
    }
    with call(asked.credentials, "chat/completions", body) as answer:
        answer.check()
        yield from read(answer)


def read(answer: Answer) -> Iterator[str | Chunk]:
    tokens: dict[str, int] = {}
    reason, last_id = None, ""
    for line in answer.lines():
        data = line.removeprefix("data:").strip()
        if data == "[DONE]":
            break
        if not line.startswith("data:"):
            continue
        frame = parsed(data)
        usage = frame.get("usage") or {}
        tokens |= {name: usage[name] for name in ("prompt_tokens", "completion_tokens") if name in usage}
        for choice in frame.get("choices", []):
            reason = choice.get("finish_reason") or reason
            if choice["delta"].get("content"):
                yield choice["delta"]["content"]
            for piece in choice["delta"].get("tool_calls", []):
                last_id = piece.get("id") or last_id
                made = piece["function"]
                told = {"id": last_id, "name": made.get("name", ""), "arguments": made["arguments"]}
                yield Chunk(tool_calls=[told])
    yield Chunk(finish_reason=reason, **tokens)


def parsed(data: str) -> dict[str, Any]:
    try:
        frame: dict[str, Any] = json.loads(data)
        if "error" in frame:
            raise ModelFailed(frame["error"]["message"])
        frame.get("choices")
    except (ValueError, AttributeError, TypeError) as exc:
        raise ModelFailed("The stream is malformed.") from exc
    return frame


def misbehave(content: object) -> None:
    """Do what a plugin must not, where a question says so."""
    if content == "crash":
        os._exit(7)
    if content == "hang":
        while True:
            pass
    if content == "leak":
        http("GET", "http://192.0.2.1/")
    if content == "print":
        sys.stdout.write("this is no answer\n")


def embed(asked: Texts) -> tuple[list[list[float]], int]:
    body = {"model": asked.model, "input": asked.texts}
    with call(asked.credentials, "embeddings", body) as answer:
        answer.check()
        told = answer.json()
    try:
        rows = sorted(told["data"], key=lambda row: row["index"])
        return [row["embedding"] for row in rows], told["usage"]["prompt_tokens"]
    except (TypeError, KeyError) as exc:
        raise ModelFailed("The provider's embeddings are malformed.") from exc


def rerank(asked: Texts) -> list[tuple[int, float]]:
    body = {"model": asked.model, "query": asked.query, "documents": asked.texts, "top_n": asked.top_n}
    with call(asked.credentials, "rerank", body) as answer:
        answer.check()
        told = answer.json()
    try:
        return [(row["index"], row["relevance_score"]) for row in told["results"]]
    except (TypeError, KeyError) as exc:
        raise ModelFailed("The provider's ranking is malformed.") from exc


serve(models={"vendor": Models(check, chat, embed, rerank)})
