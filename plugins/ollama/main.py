"""Ollama: chat and embedding models by Ollama's own API, which can do more than its imitation of OpenAI's.

Wire: https://github.com/ollama/ollama/blob/main/docs/api.md, /api/chat, /api/embed and /api/tags.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from slipway_plugin import Answer, Chat, Chunk, ModelFailed, Models, Texts, http, serve

OPTIONS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "max_tokens": "num_predict",
    "seed": "seed",
    "num_ctx": "num_ctx",
    "repeat_penalty": "repeat_penalty",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
}
"""Parameters by the names they have here, and the options they are at Ollama."""


def check(credentials: Mapping[str, str]) -> None:
    """Ask for the list of models, which proves address and key."""
    with _call(credentials, "tags") as answer:
        answer.check()
        told = answer.json()
    if not isinstance(told, dict) or not isinstance(told.get("models"), list):
        raise ModelFailed("What answers at this address is no Ollama.")


def chat(asked: Chat) -> Iterator[str | Chunk]:
    """Yield the answer line by line, thoughts and tool calls included."""
    body = {
        "model": asked.model,
        "messages": _messages(asked.messages),
        "stream": True,
        "options": _options(asked),
        **_kept(asked.credentials),
    }
    if asked.tools:
        body["tools"] = [{"type": "function", "function": tool} for tool in asked.tools]
    if isinstance(asked.parameters.get("think"), bool):
        body["think"] = asked.parameters["think"]
    if (wanted := _format(asked.parameters)) is not None:
        body["format"] = wanted
    with _call(asked.credentials, "chat", body) as answer:
        answer.check()
        yield from _chunks(answer)


def embed(asked: Texts) -> tuple[list[list[float]], int]:
    """Return the vectors, and the tokens of the texts."""
    body = {"model": asked.model, "input": asked.texts, "truncate": True, **_kept(asked.credentials)}
    with _call(asked.credentials, "embed", body) as answer:
        answer.check()
        told = answer.json()
    if not isinstance(told, dict) or not isinstance(told.get("embeddings"), list):
        raise ModelFailed("Ollama's embeddings are malformed.")
    return told["embeddings"], int(told.get("prompt_eval_count") or 0)


def _call(credentials: Mapping[str, str], path: str, body: object = None) -> Answer:
    root = credentials["base_url"].strip().rstrip("/").removesuffix("/v1").removesuffix("/api")
    key = credentials.get("api_key", "").strip()
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return http("GET" if body is None else "POST", f"{root}/api/{path}", headers=headers, json=body)


def _kept(credentials: Mapping[str, str]) -> dict[str, Any]:
    """Return how long the model stays loaded, where that is said; whole numbers are seconds."""
    said = credentials.get("keep_alive", "").strip()
    if not said:
        return {}
    return {"keep_alive": int(said) if said.lstrip("-").isdecimal() else said}


def _options(asked: Chat) -> dict[str, Any]:
    options = {
        OPTIONS[name]: value
        for name, value in asked.parameters.items()
        if name in OPTIONS and value not in (None, "")
    }
    size = asked.credentials.get("context_size", "").strip()
    if size.isdecimal():
        options.setdefault("num_ctx", int(size))
    if asked.stop:
        options["stop"] = asked.stop
    return options


def _format(parameters: Mapping[str, Any]) -> Any:
    """Return ``json``, a schema, or None where the answer is free."""
    wanted = parameters.get("response_format")
    wanted = wanted.get("type") if isinstance(wanted, dict) else wanted
    if wanted == "json_schema":
        schema = parameters.get("json_schema")
        try:
            schema = json.loads(schema) if isinstance(schema, str) else schema
        except ValueError as exc:
            raise ModelFailed(f"json_schema is not JSON: {exc}", status=400) from exc
        return schema.get("schema", schema) if isinstance(schema, dict) else "json"
    return "json" if wanted in ("json", "json_object") else None


def _messages(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the messages as Ollama takes them, tool results named by the tools they are of."""
    names: dict[str, str] = {}
    told = []
    for message in messages:
        text, images = _content(message["content"])
        one: dict[str, Any] = {"role": message["role"], "content": text}
        if images:
            one["images"] = images
        if calls := message.get("tool_calls"):
            names |= {call["id"]: call["function"]["name"] for call in calls}
            one["tool_calls"] = [_to_call(call) for call in calls]
        if message["role"] == "tool":
            call_id = message.get("tool_call_id") or ""
            one |= {"tool_name": names.get(call_id, ""), "tool_call_id": call_id}
        told.append(one)
    return told


def _content(content: str | list[dict[str, Any]]) -> tuple[str, list[str]]:
    if isinstance(content, str):
        return content, []
    texts = [part["data"] for part in content if part["type"] == "text"]
    images = [part["base64_data"] for part in content if part["type"] == "image"]
    if not all(images):
        raise ModelFailed("Ollama takes images as files, not as addresses.", status=400)
    return "\n".join(texts), images


def _to_call(call: dict[str, Any]) -> dict[str, Any]:
    """Return a call with its arguments as the object they are at Ollama."""
    try:
        arguments = json.loads(call["function"]["arguments"] or "{}")
    except ValueError:
        arguments = {}
    made = arguments if isinstance(arguments, dict) else {}
    return {"id": call["id"], "function": {"name": call["function"]["name"], "arguments": made}}


def _chunks(answer: Answer) -> Iterator[Chunk]:
    calls = 0
    for line in answer.lines():
        if not line.strip():
            continue
        frame = _frame(line)
        message = frame.get("message") or {}
        made = []
        for call in message.get("tool_calls") or []:
            calls += 1
            function = call["function"]
            made.append(
                {
                    "id": call.get("id") or f"call_{calls}",
                    "name": function["name"],
                    "arguments": json.dumps(function.get("arguments") or {}),
                }
            )
        text, thought = message.get("content") or "", message.get("thinking") or ""
        if not frame.get("done"):
            yield Chunk(text=text, reasoning=thought, tool_calls=made)
            continue
        yield Chunk(
            text=text,
            reasoning=thought,
            tool_calls=made,
            finish_reason="tool_calls" if calls else frame.get("done_reason") or "stop",
            prompt_tokens=int(frame.get("prompt_eval_count") or 0),
            completion_tokens=int(frame.get("eval_count") or 0),
        )
        return
    raise ModelFailed("Ollama's answer ended before it was complete.")


def _frame(line: str) -> dict[str, Any]:
    try:
        frame = json.loads(line)
    except ValueError as exc:
        raise ModelFailed("Ollama's answer is malformed.") from exc
    if not isinstance(frame, dict):
        raise ModelFailed("Ollama's answer is malformed.")
    if frame.get("error"):
        raise ModelFailed(str(frame["error"]))
    return frame


if __name__ == "__main__":
    serve(models={"ollama": Models(check, chat, embed)})
