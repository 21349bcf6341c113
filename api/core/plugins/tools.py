"""The tools of a plugin as tools are called here: declared in its manifest, answered by its process."""

import base64
import binascii
from collections.abc import Iterator
from functools import partial

import orjson

from api.core.http_parts import OCTETS
from api.core.plugins.manifest import DeclaredProvider, DeclaredTool, Manifest, Network, Parameter
from api.core.plugins.outlet import Outlet, Reach
from api.core.plugins.runner import CALLED_BACK, PluginCode, PluginFailed, PluginRunner
from api.core.ports import JSONObject, JSONValue
from api.core.tools.provider import ToolProvider
from api.core.tools.tool import (
    FileMessage,
    JSONMessage,
    TextMessage,
    Tool,
    ToolContext,
    ToolMessage,
    ToolParameter,
    ToolProviderSchema,
    ToolSchema,
    VariableMessage,
)

MAX_NAME_CHARS = 200
ENVELOPE_BYTES = 64 * 1024
FILES_A_CALL = 2
"""How often the largest file fits into one answer, in base64."""


def provider_id(manifest: Manifest, provider: DeclaredProvider) -> str:
    """Return how a provider is named by drawings: ``author/plugin/provider``."""
    return f"{manifest.plugin_id}/{provider.identity.name}"


def to_provider(
    manifest: Manifest, declared: DeclaredProvider, code: PluginCode, runner: PluginRunner, *, icon_path: str
) -> ToolProvider:
    """Return a provider of a plugin; calling its tools calls the plugin's process."""
    ask = partial(_ask, runner, code, manifest.network, declared.identity.name)
    network = manifest.network
    fields = tuple(
        field.to_field(variable, is_address=variable in network.credentials)
        for variable, field in declared.credentials_for_provider.items()
    )
    schema = ToolProviderSchema(
        id=provider_id(manifest, declared),
        label=declared.identity.label.words(),
        description=declared.identity.description.words(),
        icon_svg="",
        labels=declared.identity.tags,
        credential_fields=fields,
        author=manifest.author,
        plugin_id=manifest.plugin_id,
        plugin_identifier=f"{manifest.plugin_id}:{manifest.version}@{code.digest}",
        icon_path=icon_path,
    )
    tools = {
        tool.identity.name: Tool(_to_schema(tool), partial(_invoke, ask, tool.identity.name))
        for tool in declared.tools
    }
    return ToolProvider(schema=schema, tools=tools, check=partial(_check, ask) if fields else None)


def _to_schema(tool: DeclaredTool) -> ToolSchema:
    return ToolSchema(
        name=tool.identity.name,
        label=tool.identity.label.words(),
        description=tool.description.human.words(),
        llm_description=tool.description.llm,
        parameters=tuple(map(_to_parameter, tool.parameters)),
        output_schema=tool.output_schema,
    )


def _to_parameter(parameter: Parameter) -> ToolParameter:
    return ToolParameter(
        name=parameter.name,
        label=parameter.label.words(),
        human_description=parameter.human_description.words(),
        type=parameter.type,
        form=parameter.form,
        llm_description=parameter.llm_description or parameter.human_description.en_US,
        is_required=parameter.required,
        default=parameter.default,
        minimum=parameter.min,
        maximum=parameter.max,
        options=tuple((option.value, option.label.words()) for option in parameter.options),
    )


def _ask(
    runner: PluginRunner,
    code: PluginCode,
    network: Network,
    provider: str,
    asked: JSONObject,
    context: ToolContext,
) -> Iterator[JSONObject]:
    request: JSONObject = {
        "type": "tool",
        "user_id": context.user,
        "provider": provider,
        "credentials": {**context.credentials},
        **asked,
    }
    reach = Reach(network=network, credentials=context.credentials, http=context.http, own_http=context.http)
    max_bytes = context.max_text_bytes + FILES_A_CALL * context.max_file_bytes + ENVELOPE_BYTES
    with Outlet(reach, context.cancel, context.timeouts) as outlet:
        told = runner.call(code, request, max_bytes=max_bytes, cancel=context.cancel, answer=outlet.answer)
        yield from (message for message in told if message != CALLED_BACK)


def _check(ask: "partial[Iterator[JSONObject]]", context: ToolContext) -> None:
    for _ in ask({"action": "validate_tool_credentials"}, context):
        pass


def _invoke(
    ask: "partial[Iterator[JSONObject]]", name: str, arguments: JSONObject, context: ToolContext
) -> Iterator[ToolMessage]:
    left_bytes = context.max_text_bytes
    asked: JSONObject = {"action": "invoke_tool", "tool": name, "tool_parameters": arguments}
    for told in ask(asked, context):
        message = _to_message(told, context)
        left_bytes -= _text_bytes(message)
        if left_bytes < 0:
            raise PluginFailed(f"The tool gave more than {context.max_text_bytes} bytes of text and JSON.")
        yield message


def _text_bytes(message: ToolMessage) -> int:
    match message:
        case TextMessage(text):
            return len(text.encode("utf-8", "replace"))
        case JSONMessage(value) | VariableMessage(_, value):
            return len(orjson.dumps(value))
    return 0


def _to_message(told: JSONObject, context: ToolContext) -> ToolMessage:
    """Return one message of a plugin. Raises PluginFailed for one of a kind that is not known here."""
    match told:
        case {"type": "text" | "link", "message": {"text": str(text)}}:
            return TextMessage(text)
        case {"type": "json", "message": {"json_object": value}}:
            return JSONMessage(value)
        case {"type": "variable", "message": {"variable_name": str(name), "variable_value": value}}:
            return VariableMessage(name, value)
        case {"type": "blob", "message": {"blob": str(blob)}}:
            return _file(blob, told.get("meta"), context)
    raise PluginFailed(f"The plugin gave a message that is not known here: {str(told.get('type'))[:100]!r}.")


def _file(blob: str, told: JSONValue, context: ToolContext) -> FileMessage:
    meta = told if isinstance(told, dict) else {}
    name, mime_type = meta.get("filename"), meta.get("mime_type")
    try:
        content = base64.b64decode(blob, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise PluginFailed("The plugin gave a file that cannot be read.") from exc
    if len(content) > context.max_file_bytes:
        raise PluginFailed(f"The plugin gave a file of more than {context.max_file_bytes} bytes.")
    return FileMessage(
        name[-MAX_NAME_CHARS:] if isinstance(name, str) and name else "file.bin",
        mime_type if isinstance(mime_type, str) and mime_type else OCTETS,
        content,
    )
