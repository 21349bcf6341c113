"""JSON: a text read, and what lies where a path leads."""

import json
from collections.abc import Iterator

import orjson

from api.core.ports import JSONObject, JSONValue
from api.core.text.json_path import BadPath, find_all
from api.core.tools.provider import provide
from api.core.tools.tool import (
    JSONMessage,
    TextMessage,
    ToolContext,
    ToolFailed,
    ToolMessage,
    ToolParameter,
    ToolProviderSchema,
    ToolSchema,
    Words,
)

MAX_CHARS = 10_000_000

JSON_PROCESS = provide(
    ToolProviderSchema(
        id="json_process",
        label=Words("JSON", "JSON 处理"),
        description=Words("Reads JSON and looks things up in it.", "解析与查询 JSON。"),
        icon_svg='<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" stroke="#039855"'
        ' stroke-width="2" stroke-linecap="round"><path d="M8 4c-3 0-2 7-4 8 2 1 1 8 4 8M16 4c3 0 2 7 4'
        ' 8-2 1-1 8-4 8"/></svg>',
        labels=("utilities",),
    )
)


@JSON_PROCESS.tool(
    ToolSchema(
        name="parse",
        label=Words("Parse JSON", "JSON 解析"),
        description=Words("Reads a JSON text and picks a part of it.", "解析 JSON 文本并提取其中的部分。"),
        llm_description="Parses a JSON text and extracts the part that a JSONPath names.",
        parameters=(
            ToolParameter(
                name="content",
                label=Words("JSON", "JSON 内容"),
                human_description=Words("The JSON text.", "JSON 文本。"),
                llm_description="The JSON text.",
                is_required=True,
            ),
            ToolParameter(
                name="json_filter",
                label=Words("JSONPath", "JSONPath 表达式"),
                human_description=Words(
                    "Such as $.store.book[0].title; everything where empty.",
                    "例如 $.store.book[0].title；为空则返回全部。",
                ),
                llm_description="A JSONPath such as $.store.book[*].title; empty for everything.",
                default="",
            ),
            ToolParameter(
                name="ensure_ascii",
                label=Words("Escape non-ASCII", "转义非 ASCII 字符"),
                human_description=Words(
                    "Whether other scripts are written as \\u escapes.", "是否将非 ASCII 字符写作转义。"
                ),
                type="boolean",
                form="form",
                default=False,
            ),
        ),
    )
)
def parse(arguments: JSONObject, _context: ToolContext) -> Iterator[ToolMessage]:
    """Yield what a path leads to: the value itself where it is one, else a list."""
    try:
        value: JSONValue = orjson.loads(str(arguments["content"]))
        found = find_all(value, str(arguments["json_filter"]))
    except orjson.JSONDecodeError as exc:
        raise ToolFailed(f"The content is no JSON: {exc}.") from exc
    except BadPath as exc:
        raise ToolFailed(str(exc)) from exc
    result = found[0] if len(found) == 1 else found
    yield TextMessage(_written(result, is_ascii=bool(arguments["ensure_ascii"])))
    yield JSONMessage(result)


def _written(result: JSONValue, *, is_ascii: bool) -> str:
    """Return a value as text. Raises ToolFailed where that is too long: a path may pick a part many times."""
    if isinstance(result, str):
        return result
    pieces: list[str] = []
    size = 0
    try:
        for piece in json.JSONEncoder(ensure_ascii=is_ascii).iterencode(result):
            size += len(piece)
            if size > MAX_CHARS:
                raise ToolFailed(f"The path leads to more than {MAX_CHARS} characters.")
            pieces.append(piece)
    except RecursionError as exc:
        raise ToolFailed("The JSON is nested too deep.") from exc
    return "".join(pieces)
