"""Hello: the smallest plugin there is that brings a tool and a model."""

from collections.abc import Iterator, Mapping

from slipway_plugin import Call, Chat, Chunk, Models, ToolFailed, http, serve


def greet(call: Call) -> Iterator[object]:
    """Yield a text, and a value."""
    name = call.arguments["name"].strip()
    if not name:
        raise ToolFailed("There is nobody to greet.")
    signature = call.credentials.get("signature")
    yield f"Hello, {name}!" + (f" {signature}" if signature else "")
    yield {"name": name}


def check(credentials: Mapping[str, str]) -> None:
    """Refuse what cannot be a signature."""
    if len(credentials.get("signature", "")) > 100:
        raise ToolFailed("A signature has at most 100 characters.")


def check_models(credentials: Mapping[str, str]) -> None:
    """Prove address and key by a call, where there is an address."""
    if address := credentials.get("base_url"):
        with http(
            "GET", address, headers={"authorization": f"Bearer {credentials.get('api_key', '')}"}
        ) as answer:
            answer.check()


def chat(asked: Chat) -> Iterator[str | Chunk]:
    """Yield the last message word by word."""
    words = str(asked.messages[-1]["content"]).split()
    most = int(asked.parameters.get("max_tokens") or 256)
    for word in words[:most]:
        yield f"{word} "
    yield Chunk(
        finish_reason="stop" if len(words) <= most else "length",
        prompt_tokens=len(words),
        completion_tokens=min(most, len(words)),
    )


if __name__ == "__main__":
    serve({"greet": greet}, check, {"parrot": Models(check_models, chat)})
