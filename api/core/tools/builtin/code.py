"""Code: a function run in the sandbox."""

import json
from collections.abc import Iterator

from api.core.ports import JSONObject
from api.core.tools.provider import provide
from api.core.tools.tool import (
    JSONMessage,
    TextMessage,
    ToolContext,
    ToolMessage,
    ToolParameter,
    ToolProviderSchema,
    ToolSchema,
    Words,
)

TIMEOUT_S = 30.0

CODE = provide(
    ToolProviderSchema(
        id="code",
        label=Words("Code", "代码"),
        description=Words("Runs code in the sandbox.", "在沙箱中运行代码。"),
        icon_svg='<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" stroke="#344054"'
        ' stroke-width="2" stroke-linecap="round"><path d="M8 7l-5 5 5 5M16 7l5 5-5 5M13 5l-2 14"/></svg>',
        labels=("productivity",),
    )
)


@CODE.tool(
    ToolSchema(
        name="simple_code",
        label=Words("Run code", "代码解释器"),
        description=Words(
            "Runs a function main of Python or JavaScript.", "运行 Python 或 JavaScript 的 main 函数。"
        ),
        llm_description="Runs code apart from everything else: no network, no files. Define a function main "
        "that takes the inputs as arguments and returns an object with the results.",
        parameters=(
            ToolParameter(
                name="language",
                label=Words("Language", "语言"),
                human_description=Words("The language of the code.", "代码语言。"),
                llm_description="python3 or javascript.",
                type="select",
                default="python3",
                options=(
                    ("python3", Words("Python 3", "Python 3")),
                    ("javascript", Words("JavaScript", "JavaScript")),
                ),
            ),
            ToolParameter(
                name="code",
                label=Words("Code", "代码"),
                human_description=Words(
                    "Code with a function main that returns an object.",
                    "包含 main 函数的代码，返回一个对象。",
                ),
                llm_description="Code that defines a function main which returns an object, such as "
                "def main() -> dict: return {'result': 1}.",
                is_required=True,
            ),
            ToolParameter(
                name="inputs",
                label=Words("Inputs", "输入"),
                human_description=Words("The arguments of main, as an object.", "main 的参数对象。"),
                llm_description="The arguments of main by name, as an object.",
                type="object",
            ),
        ),
        timeout_s=TIMEOUT_S,
    )
)
def simple_code(arguments: JSONObject, context: ToolContext) -> Iterator[ToolMessage]:
    """Yield what main returns."""
    inputs = arguments.get("inputs")
    result = context.sandbox.run(
        str(arguments["language"]),
        str(arguments["code"]),
        inputs if isinstance(inputs, dict) else {},
        timeout_s=context.cancel.remaining_s(),
        cancel=context.cancel,
    )
    yield TextMessage(json.dumps(result, ensure_ascii=False))
    yield JSONMessage(result)
