"""Text: counted, replaced, split and put in another case, character by character."""

from collections.abc import Callable, Iterator

from api.core.ports import JSONObject, JSONValue
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

MAX_PIECES = 100_000
MAX_CHARS = 10 * 1024 * 1024
CASES: dict[str, Callable[[str], str]] = {
    "lower": str.lower,
    "upper": str.upper,
    "title": str.title,
    "capitalize": str.capitalize,
    "trim": str.strip,
}

TEXT = provide(
    ToolProviderSchema(
        id="text",
        label=Words("Text", "文本"),
        description=Words("Counts, replaces, splits and changes texts.", "统计、替换、拆分与转换文本。"),
        icon_svg='<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" stroke="#7A5AF8"'
        ' stroke-width="2" stroke-linecap="round"><path d="M5 6V4h14v2M12 4v16M9 20h6"/></svg>',
        labels=("utilities",),
    )
)
INPUT = ToolParameter(
    name="text",
    label=Words("Text", "文本"),
    human_description=Words("The text.", "要处理的文本。"),
    llm_description="The text.",
    is_required=True,
)


@TEXT.tool(
    ToolSchema(
        name="count",
        label=Words("Count", "统计"),
        description=Words("Counts characters, words and lines.", "统计字符、单词与行数。"),
        llm_description="Counts the characters, words and lines of a text.",
        parameters=(INPUT,),
    )
)
def count(arguments: JSONObject, _context: ToolContext) -> Iterator[ToolMessage]:
    """Yield how long a text is."""
    text = str(arguments["text"])
    counts: JSONObject = {
        "characters": len(text),
        "words": len(text.split()),
        "lines": len(text.splitlines()),
    }
    yield TextMessage(", ".join(f"{number} {name}" for name, number in counts.items()))
    yield JSONMessage(counts)


@TEXT.tool(
    ToolSchema(
        name="replace",
        label=Words("Replace", "替换"),
        description=Words("Replaces one text by another wherever it occurs.", "将文本中的内容全部替换。"),
        llm_description="Replaces every occurrence of one text by another.",
        parameters=(
            INPUT,
            ToolParameter(
                name="find",
                label=Words("Find", "查找"),
                human_description=Words("What to replace, letter by letter.", "要替换的内容。"),
                llm_description="The exact text to replace.",
                is_required=True,
            ),
            ToolParameter(
                name="replacement",
                label=Words("Replacement", "替换为"),
                human_description=Words("What to put in its place.", "替换后的内容。"),
                llm_description="The text to put in its place.",
                default="",
            ),
        ),
    )
)
def replace(arguments: JSONObject, _context: ToolContext) -> Iterator[ToolMessage]:
    """Yield a text with one part replaced everywhere."""
    text, find, replacement = (str(arguments[name]) for name in ("text", "find", "replacement"))
    if not find:
        raise ToolFailed("There is nothing to find.")
    if len(text) + text.count(find) * (len(replacement) - len(find)) > MAX_CHARS:
        raise ToolFailed(f"The text would have more than {MAX_CHARS:,} characters.")
    yield TextMessage(text.replace(find, replacement))


@TEXT.tool(
    ToolSchema(
        name="split",
        label=Words("Split", "拆分"),
        description=Words("Splits a text at a separator.", "按分隔符拆分文本。"),
        llm_description="Splits a text at every occurrence of a separator and returns the pieces as a list.",
        parameters=(
            INPUT,
            ToolParameter(
                name="separator",
                label=Words("Separator", "分隔符"),
                human_description=Words(
                    "Where to split; a line break where empty.", "分隔符；为空则按换行拆分。"
                ),
                llm_description="The exact separator; empty for line breaks.",
                default="",
            ),
        ),
    )
)
def split(arguments: JSONObject, _context: ToolContext) -> Iterator[ToolMessage]:
    """Yield the pieces of a text."""
    text, separator = str(arguments["text"]), str(arguments["separator"])
    pieces: list[JSONValue] = list(text.split(separator, MAX_PIECES) if separator else text.splitlines())
    if len(pieces) > MAX_PIECES:
        raise ToolFailed(f"The text has more than {MAX_PIECES:,} pieces.")
    yield TextMessage("\n".join(str(piece) for piece in pieces))
    yield JSONMessage(pieces)


@TEXT.tool(
    ToolSchema(
        name="convert",
        label=Words("Convert", "转换"),
        description=Words("Changes the case of a text, or trims it.", "转换大小写或去除首尾空白。"),
        llm_description="Changes the case of a text, or removes the white space around it.",
        parameters=(
            INPUT,
            ToolParameter(
                name="to",
                label=Words("To", "转换为"),
                human_description=Words("What to make of it.", "转换方式。"),
                llm_description="One of: lower, upper, title, capitalize, trim.",
                type="select",
                is_required=True,
                options=(
                    ("lower", Words("lower case", "小写")),
                    ("upper", Words("UPPER CASE", "大写")),
                    ("title", Words("Title Case", "首字母大写")),
                    ("capitalize", Words("Sentence case", "句首大写")),
                    ("trim", Words("Trimmed", "去除首尾空白")),
                ),
            ),
        ),
    )
)
def convert(arguments: JSONObject, _context: ToolContext) -> Iterator[ToolMessage]:
    """Yield a text in another case."""
    yield TextMessage(CASES[str(arguments["to"])](str(arguments["text"])))
