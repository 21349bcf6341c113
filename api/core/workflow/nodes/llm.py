"""LLM: asks a model, and tells its answer as it comes."""

from collections.abc import Generator, Iterable
from typing import Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from api.core.model_runtime.choice import ModelChoice
from api.core.model_runtime.thinking import ThinkJoiner
from api.core.model_runtime.types import ChatChunk
from api.core.ports import JSONObject, JSONValue
from api.core.text.found_json import find_json
from api.core.text.json_schema import SchemaBroken, find_fault
from api.core.workflow.model_call import Reply, call, clean, has_feature, shown_call
from api.core.workflow.node import Demand, NodeConfig, NodeContext, Types, node
from api.core.workflow.prompt import Memory, Vision, to_messages
from api.core.workflow.prompt_template import ContextConfig, PromptConfig, PromptPlan, PromptText, compose
from api.core.workflow.variables import Selector, ValueType
from api.core.workflow.work import NodeFailed, NodeResult, NodeText, Work

DEFAULTS: JSONObject = {
    "prompt_templates": {
        "chat_model": {
            "prompts": [{"role": "system", "text": "You are a helpful assistant.", "edition_type": "basic"}]
        },
        "completion_model": {
            "conversation_histories_role": {"user_prefix": "Human", "assistant_prefix": "Assistant"},
            "prompt": {
                "text": "The conversation so far:\n\n{{#histories#}}\n\nHuman: {{#sys.query#}}\n\nAssistant:",
                "edition_type": "basic",
            },
            "stop": ["Human:"],
        },
    }
}

RULES = """\
Answer with one JSON object and nothing else: no explanation, no code fence. It must be valid under this \
JSON schema:
"""


class StructuredOutput(BaseModel):
    """What the answer must be like."""

    model_config = ConfigDict(extra="ignore")

    wanted: dict[str, JsonValue] = Field(default_factory=dict, alias="schema")


@node("llm", waits=True, defaults=DEFAULTS)
class LLMNode:
    """Its text goes out as it comes; thinking stands in it between tags, unless it is to be separate."""

    class Config(NodeConfig):
        """The model and its prompt: messages for chat models, one text for completion models."""

        model: ModelChoice
        prompt_template: list[PromptText] | PromptText
        prompt_config: PromptConfig = Field(default_factory=PromptConfig)
        memory: Memory | None = None
        context: ContextConfig = Field(default_factory=ContextConfig)
        vision: Vision = Field(default_factory=Vision)
        structured_output_enabled: bool = False
        structured_output: StructuredOutput | None = None
        reasoning_format: Literal["tagged", "separated"] = "tagged"

        def plan(self) -> PromptPlan:
            """Return what is said of the prompt."""
            template = self.prompt_template
            return PromptPlan(
                model=self.model,
                templates=(template,) if isinstance(template, PromptText) else tuple(template),
                jinja=tuple(self.prompt_config.jinja2_variables or ()),
                context=self.context,
                memory=self.memory,
                vision=self.vision,
                is_completion=isinstance(template, PromptText),
            )

        def references(self) -> Iterable[Selector]:
            """Return the variables of the prompt."""
            return self.plan().references()

        def demands(self) -> Iterable[Demand]:
            """Return the images' variable."""
            return self.vision.demands()

        def gives(self) -> Types:
            """Return the answer and what it took."""
            structured = {"structured_output": ValueType.OBJECT} if self.structured_output_enabled else {}
            return {
                "text": ValueType.STRING,
                "reasoning_content": ValueType.STRING,
                "usage": ValueType.OBJECT,
                "finish_reason": ValueType.STRING,
                **structured,
            }

        def schema_wanted(self) -> JSONObject | None:
            """Return what the answer must be like, None where it is free. Raises NodeFailed."""
            if not self.structured_output_enabled:
                return None
            if self.structured_output is None or not self.structured_output.wanted:
                raise NodeFailed("The structured output has no schema.", error_type="ConfigError")
            return self.structured_output.wanted

    def run(self, config: Config, ctx: NodeContext) -> Work:
        """Yield the answer's text, return it with what it took. Raises NodeFailed, AppError, Cancelled."""
        schema = config.schema_wanted()
        is_native = schema is not None and has_feature(config.model, "structured-output", ctx)
        rules = f"{RULES}{orjson.dumps(schema).decode()}" if schema is not None and not is_native else ""
        prompt = compose(config.plan(), rules, ctx)
        ctx.process_data = shown_call(config.model, prompt.drafts)
        if not prompt.drafts:
            raise NodeFailed("There is no prompt, or nothing in it.", error_type="NoPrompt")
        request = config.model.request(
            to_messages(prompt.drafts, config.vision, ctx),
            user=ctx.facts.user,
            parameters=_response_format(schema) if is_native else None,
        )
        text, reply = yield from _told(config, call(config.model, request, ctx))
        ctx.process_data = shown_call(config.model, prompt.drafts, reply)
        is_separate = config.reasoning_format == "separated"
        outputs: JSONObject = {
            "text": text,
            "reasoning_content": clean(reply.answer.reasoning) if is_separate else "",
            "usage": reply.usage.to_json(),
            "finish_reason": reply.answer.finish_reason,
        }
        if schema is not None:
            outputs["structured_output"] = _structured(reply.answer.text, schema, outputs)
        return NodeResult(outputs=outputs, usage=reply.usage, cited=prompt.cited)


def _told(
    config: LLMNode.Config, chunks: Generator[ChatChunk, None, Reply]
) -> Generator[NodeText, None, tuple[str, Reply]]:
    """Yield the text of an answer; return all of it."""
    joiner, pieces = ThinkJoiner(), list[str]()
    while True:
        try:
            chunk = next(chunks)
        except StopIteration as end:
            if rest := joiner.rest():
                pieces.append(rest)
                yield NodeText(rest)
            return "".join(pieces), end.value
        thought = chunk.reasoning if config.reasoning_format == "tagged" else ""
        if text := clean(joiner.feed(chunk.text, thought)):
            pieces.append(text)
            yield NodeText(text)


def _response_format(schema: JSONObject | None) -> JSONObject:
    return {"response_format": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


def _structured(text: str, schema: JSONObject, outputs: JSONObject) -> JSONValue:
    """Return the object a model wrote. Raises NodeFailed where it wrote none, or not as it was to be."""
    found = find_json(text)
    try:
        fault = "it is not JSON" if found is None else find_fault(found, schema)
    except SchemaBroken as exc:
        raise NodeFailed(f"The schema of the structured output cannot be used: {exc}") from exc
    if fault is not None:
        raise NodeFailed(
            f"The model's answer is not as the schema wants it: {fault}",
            error_type="StructuredOutputError",
            outputs=outputs,
        )
    return found
