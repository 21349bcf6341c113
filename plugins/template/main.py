"""Hello: the smallest plugin there is."""

from collections.abc import Iterator, Mapping

from slipway_plugin import Call, ToolFailed, serve


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


if __name__ == "__main__":
    serve({"greet": greet}, check)
